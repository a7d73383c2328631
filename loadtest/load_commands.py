"""The commands that put a load on a gateway: ``run``, ``capacity``, ``targets``, ``soak``.

Results go to standard output and to the files asked for, progress to standard error.  Exit status
0: every stated limit held; 1: one was missed, or nothing could be measured; 3: the limits held, but
the load generator was late, so the result is not valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from loadtest.load_options import (
    BargeIns,
    Cached,
    Codecs,
    Cuts,
    ErrorRate,
    FirstAudio,
    FirstToken,
    HtmlFile,
    JsonFile,
    Key,
    Lifetime,
    MarkdownFile,
    Model,
    Pause,
    Pid,
    Processes,
    Ramp,
    RunCount,
    Seconds,
    Seed,
    Sessions,
    Setting,
    Smooth,
    Stalls,
    TokensPerS,
    Url,
    Voices,
)
from loadtest.machine import machine, progress

INVALID = 3


def register(app: typer.Typer) -> None:
    """Add the commands to ``python -m loadtest``."""
    app.command("run")(run_command)
    app.command("capacity")(capacity_command)
    app.command("targets")(targets_command)
    app.command("soak")(soak_command)


def run_command(
    url: Url = None,
    key: Key = None,
    model: Model = None,
    setting: Setting = None,
    pid: Pid = None,
    sessions: Sessions = 100,
    seconds: Seconds = 30.0,
    ramp: Ramp = 5.0,
    lifetime: Lifetime = 0.0,
    runs: RunCount = 1,
    voices: Voices = "",
    codecs: Codecs = "opus=8,pcmu=1,pcm=1",
    pause: Pause = 1.0,
    barge_ins: BargeIns = 0.15,
    cuts: Cuts = 0.1,
    first_token: FirstToken = 0.35,
    tokens_per_s: TokensPerS = 40.0,
    stalls: Stalls = 0.002,
    cached: Cached = False,
    processes: Processes = None,
    seed: Seed = 1,
    first_audio_max: FirstAudio = 1.0,
    error_rate_max: ErrorRate = 0.001,
    smooth_min: Smooth = 0.999,
    json_file: JsonFile = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
) -> None:
    """Many callers as in production, and what their listeners heard.

    Callers arrive as a Poisson process and act at times of their own, whatever the server does
    (open loop). Tokens come as a language model writes them, with bursts and stalls. Each caller
    plays what it gets in a true jitter buffer and reports from it; some interrupt, some lose their
    connection. Latency is from the scheduled time to the first sample above -50 dBFS that a
    listener hears.

    Takes runs x (ramp + seconds + 8) s.
    """
    from loadtest import document, verdict
    from loadtest.measure import measure, mixed_voices, serving
    from loadtest.script import Load, Tempo

    load = Load(
        sessions=sessions,
        seconds=seconds,
        ramp_s=ramp,
        lifetime_s=lifetime or inf,
        pause_s=pause,
        barge_in_share=barge_ins,
        cuts_per_minute=cuts,
        codecs=_weighted(codecs, "--codecs"),
        cached=cached,
        tempo=Tempo(first_token, tokens_per_s, stall_share=stalls),
        seed=seed,
    )
    done = []
    with serving(url, key, _settings(model, setting), pid) as server:
        chosen = _weighted(voices, "--voices") if voices else mixed_voices(server)
        for number in range(runs):
            progress(f"run {number + 1} of {runs}")
            one = replace(load, voices=chosen, seed=seed + number)
            done.append(measure(one, server, progress, processes=processes))
    limits = verdict.standard_limits(first_audio_max, error_rate_max, smooth_min)
    result = verdict.judge(machine(), done, limits)
    typer.echo(document.to_markdown(result))
    _write(json_file, lambda: verdict.to_json(result))
    _write(html, lambda: document.to_html(result).encode())
    _write(markdown, lambda: document.to_markdown(result).encode())
    _leave(held=result.held, valid=result.valid)


def capacity_command(
    url: Url = None,
    key: Key = None,
    model: Model = None,
    setting: Setting = None,
    start: Annotated[int, typer.Option(help="First load tried.", min=1)] = 50,
    sessions_max: Annotated[int, typer.Option(help="Greatest load tried.", min=1)] = 2000,
    seconds: Seconds = 20.0,
    ramp: Ramp = 5.0,
    processes: Processes = None,
    seed: Seed = 1,
    at_least: Annotated[
        int, typer.Option(help="Limit: the capacity must be this at least.", min=0)
    ] = 0,
    first_audio_max: FirstAudio = 1.0,
    error_rate_max: ErrorRate = 0.001,
    smooth_min: Smooth = 0.999,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(help="Write latency against load.")] = None,
) -> None:
    """The greatest number of callers that are served well, within 10 %.

    Served well: p95 of the first audible sample, underruns and errors within their limits. The
    load doubles until it is not, then the interval is halved; a miss is tried again once. The
    number alone goes to standard output.
    """
    from loadtest import capacity, verdict
    from loadtest.measure import measure, mixed_voices, serving
    from loadtest.script import Load

    limits = verdict.standard_limits(first_audio_max, error_rate_max, smooth_min)
    about = machine()
    with serving(url, key, _settings(model, setting), None) as server:
        voices = mixed_voices(server)

        def try_load(count: int, attempt: int) -> verdict.Result:
            load = Load(count, seconds, ramp, voices=voices, seed=seed + 1000 * attempt)
            run = measure(load, server, progress, processes=processes, whole_every=0)
            result = verdict.judge(about, [run], limits)
            progress(f"{count} sessions: {capacity.summary(result)}")
            return result

        found = capacity.search(try_load, min(start, sessions_max), sessions_max)
    progress(f"bounded by the {found.bounded_by}")
    typer.echo(found.sessions)
    _write(json_file, lambda: capacity.to_json(found, about))
    _write(html, lambda: capacity.to_html(found, about).encode())
    _leave(held=found.sessions >= at_least, valid=True)


def targets_command(
    model: Annotated[
        list[Path] | None, typer.Option(help="Models to measure as well.", metavar="DIR")
    ] = None,
    sessions: Sessions = 100,
    seconds: Seconds = 30.0,
    turns: Annotated[int, typer.Option(help="Answers to the lone caller.", min=5, max=1000)] = 30,
    seed: Seed = 1,
    json_file: JsonFile = None,
) -> None:
    """The project's targets on this machine: which hold, and why those that don't, don't.

    Starts gateways of its own: the embedded voice, then each --model. Takes some three minutes
    for each.
    """
    from loadtest import targets

    scale = targets.Scale(sessions, seconds, turns, seed)
    found = []
    for target in targets.check_targets(model or [], scale, progress):
        found.append(target)
        progress(targets.row(target))
    typer.echo(targets.to_markdown(found))
    _write(json_file, lambda: targets.to_json(found, machine()))
    _leave(held=all(one.held for one in found), valid=True)


def soak_command(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.1, max=10_000)] = 60.0,
    url: Url = None,
    key: Key = None,
    pid: Pid = None,
    model: Model = None,
    setting: Setting = None,
    sessions: Sessions = 40,
    faults_per_s: Annotated[
        float, typer.Option(help="Misbehaving connections per second.", min=0.1, max=100)
    ] = 4.0,
    round_s: Annotated[float, typer.Option(help="Load of a round, s.", min=6, max=3600)] = 38.0,
    settle_s: Annotated[
        float, typer.Option(help="Quiet after each round, s.", min=0, max=600)
    ] = 12.0,
    seed: Seed = 1,
    json_file: JsonFile = None,
) -> None:
    """Callers that talk, and others that die, stall and send garbage; fails on growth.

    After each round, when all are gone, memory, descriptors, threads, processes, sessions, parked
    sessions and tasks are read. At least six rounds are made; the first half only warms up.
    For CI: --minutes 5. Our own gateway gets a small cache of speech; one at --url that still fills
    its own grows by that.
    """
    from loadtest import soak
    from loadtest.measure import serving

    plan = soak.Plan(minutes, sessions, faults_per_s, round_s, settle_s, seed)
    settings = (soak.SMALL_CACHE, *_settings(model, setting))
    with serving(url, key, settings, pid) as server:
        result = soak.soak(plan, server, progress)
    typer.echo(soak.to_text(result))
    _write(json_file, lambda: soak.to_json(result, machine()))
    _leave(held=result.held, valid=True)


def _settings(model: Path | None, settings: list[str] | None) -> tuple[str, ...]:
    from loadtest.targets import model_settings

    return (*(model_settings(model) if model is not None else ()), *(settings or ()))


def _weighted(text: str, option: str) -> tuple[tuple[str, float], ...]:
    """``a=2,b`` as (("a", 2.0), ("b", 1.0))."""
    pairs = []
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            pairs.append((name.strip(), float(weight or 1)))
        except ValueError:
            raise typer.BadParameter(f"{part!r} is not NAME=NUMBER", param_hint=option) from None
    if not all(name for name, _ in pairs) or min(weight for _, weight in pairs) <= 0:
        raise typer.BadParameter("each needs a name and a weight above 0", param_hint=option)
    return tuple(pairs)


def _write(path: Path | None, make: Callable[[], bytes]) -> None:
    if path is not None:
        path.write_bytes(make())
        progress(f"written: {path}")


def _leave(*, held: bool, valid: bool) -> None:
    if not held:
        raise typer.Exit(1)
    if not valid:
        raise typer.Exit(INVALID)
