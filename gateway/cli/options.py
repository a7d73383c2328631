"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "ws://127.0.0.1:8000"

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="VOICE_GATEWAY_URL",
        help="The gateway: ws://, http:// or just host:port.",
        metavar="URL",
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="VOICE_GATEWAY_API_KEY",
        help="Key to show to the gateway; better set in the environment.",
        metavar="KEY",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a text.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="VOICE_GATEWAY_CONFIG",
        help="TOML file with settings; default: voice-gateway.toml here, if there is one.",
        metavar="FILE",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting, e.g. limits.sessions_max=50; may be repeated.",
        metavar="SECTION.NAME=VALUE",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Directory of a model, or the name of an installed one; may be repeated. "
        "The same as --set engine.models=…",
        metavar="DIR",
    ),
]


def model_overrides(models: Sequence[str] | None) -> list[str]:
    """``--model`` as flags of the settings; none if there is no model."""
    return [f"engine.models={json.dumps(list(models))}"] if models else []
