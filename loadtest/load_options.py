"""The options that the load test's commands share or that make one of them long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str | None, typer.Option(help="The gateway; without it, one is started for the command.")
]
Key = Annotated[str | None, typer.Option(help="API key.", envvar="VOICE_GATEWAY_KEY")]
Model = Annotated[
    Path | None, typer.Option(help="Own gateway: speak with this model by default.", metavar="DIR")
]
Setting = Annotated[
    list[str] | None, typer.Option("--set", help="Own gateway: a setting, section.name=value.")
]
Pid = Annotated[
    int | None, typer.Option(help="With --url: the server's process here, for CPU and memory.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON.")]
Seed = Annotated[int, typer.Option(help="Another seed is another crowd.", min=1)]
Sessions = Annotated[int, typer.Option(help="Callers at once.", min=1, max=20_000)]
Seconds = Annotated[float, typer.Option(help="Measured time.", min=1, max=7200)]
Ramp = Annotated[float, typer.Option(help="Callers arrive within this time.", min=0.1, max=600)]
Processes = Annotated[
    int | None, typer.Option(help="Processes of callers; by default one for 150.", min=1, max=64)
]
FirstAudio = Annotated[
    float, typer.Option(help="Limit: p95 of the first audible sample, s.", min=0.001)
]
ErrorRate = Annotated[float, typer.Option(help="Limit: share of answers that fail.", min=0, max=1)]
Smooth = Annotated[
    float,
    typer.Option(help="Limit: share of sessions without an underrun over 50 ms.", min=0, max=1),
]
Lifetime = Annotated[
    float, typer.Option(help="Mean stay of a caller, s; others replace it. 0: all stay.", min=0)
]
RunCount = Annotated[
    int, typer.Option(help="Runs; from 3 on, intervals are over runs.", min=1, max=100)
]
Voices = Annotated[str, typer.Option(help="Voices, NAME or NAME=WEIGHT, by comma; default: four.")]
Codecs = Annotated[str, typer.Option(help="Codecs, NAME or NAME=WEIGHT, by comma.")]
Pause = Annotated[float, typer.Option(help="Mean silence between two answers, s.", min=0.01)]
BargeIns = Annotated[
    float, typer.Option(help="Share of answers that are interrupted.", min=0, max=1)
]
Cuts = Annotated[
    float, typer.Option(help="Broken connections of a caller, per minute.", min=0, max=60)
]
FirstToken = Annotated[float, typer.Option(help="Median delay of the language model, s.", min=0)]
TokensPerS = Annotated[float, typer.Option(help="Speed of the language model.", min=1, max=10_000)]
Stalls = Annotated[
    float, typer.Option(help="Share of tokens after a stall of 1 s on average.", min=0, max=1)
]
Cached = Annotated[
    bool, typer.Option("--cached", help="One speed for all, so that the cache may help.")
]
HtmlFile = Annotated[Path | None, typer.Option(help="Write a report with plots.")]
MarkdownFile = Annotated[Path | None, typer.Option(help="Write the tables.")]
