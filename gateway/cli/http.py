"""One GET of JSON from a gateway, with errors that say what to do."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from gateway.client.address import Address, refusal

TIMEOUT_S = 30.0


def get_json(
    address: Address, path: str, api_key: str | None = None, timeout_s: float = TIMEOUT_S
) -> Any:
    """The JSON at ``path``; raises ConnectionError, or what the gateway's status means."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    opener = build_opener(*([ProxyHandler({})] if address.loopback else []))
    try:
        request = Request(address.http_url(path), headers=headers)
        with opener.open(request, timeout=timeout_s) as response:
            return json.load(response)
    except HTTPError as error:
        with error:
            raise refusal(address, error.code, _message(error) or error.reason) from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = getattr(reason, "strerror", None) or reason
        raise ConnectionError(
            f"cannot connect to {address.authority}: {text}; is the gateway running?"
        ) from None
    except ValueError:
        raise ConnectionError(
            f"{address.http_url(path)} is not JSON; is it a voice-gateway?"
        ) from None


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return ""
