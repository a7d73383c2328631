"""A gateway of one's own for one command: ``--local``.

It runs in a child process, as a real one does, on a free port of the loopback interface, and ends
with the command.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.cli.http import get_json
from gateway.client.address import Address, parse_address
from gateway.errors import SetupError, Unavailable

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05


@contextmanager
def local_gateway() -> Iterator[str]:
    """Start a gateway, yield its URL once it is ready, and stop it.

    Raises SetupError with the gateway's own last words if it does not start.
    """
    address = parse_address(f"127.0.0.1:{_free_port()}")
    port = address.authority.rpartition(":")[2]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--host", "127.0.0.1", "--port", port],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            if not _wait_until_ready(process, address):
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-3:]
                raise SetupError(
                    f"the local gateway did not start: {' / '.join(last) or 'it said nothing'}"
                )
            yield address.websocket_url
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], address: Address) -> bool:
    """Poll: the listing of voices answers once the engines are loaded, or have failed to."""
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            get_json(address, "/v1/voices")
            return True
        except Unavailable:
            return False
        except ConnectionError:
            time.sleep(_POLL_S)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
