"""What the project set out to reach, measured on this machine: which targets hold, and why not.

Each voice is measured in a gateway of its own: the embedded one, and the first voice of each model.

    start    from spawning the process to the first audio; a model also cold (its caches deleted)
    alone    one caller, short and long answers that come whole, one after the other
    crowd    ``sessions`` callers at once, with everything of an ordinary run
    again    the same texts at one speed, so that the cache may serve them

The reasons are derived from what was measured beside, not written down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import orjson

from gateway.cli.bench_startup import LIMITS_S, Start, measure_startup
from gateway.engine.kokoro.store import open_model
from loadtest import websocket
from loadtest.answers import LONG, SHORT
from loadtest.load_figures import Figure, figures_of, generator_problems
from loadtest.measure import Run, Server, Tell, measure, mixed_voices, serving
from loadtest.outcome import Fate, Life
from loadtest.script import Load, Script, Token, Turn
from loadtest.statistics import percentile

SHORT_S, LONG_S = 0.050, 0.150
CROWD_P95_S = 1.0
ERROR_RATE = 0.001
_SPACING_S = 1.2
_HEARD_S = 0.9
"""An answer of the lone caller is interrupted after this: only its beginning is measured."""

_RESTARTS = 3
_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    sessions: int = 100
    seconds: float = 30.0
    turns: int = 30
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """A target and what was measured; ``limit`` None: only told.  ``why`` if it does not hold."""

    voice: str
    name: str
    unit: str
    value: float | None
    limit: float | None
    held: bool
    why: str = ""


def check_targets(models: Sequence[Path], scale: Scale, tell: Tell) -> Iterator[Target]:
    """Measure the embedded voice, then each model; raises ChildProcessError or SetupError."""
    tell("embedded voice: starts")
    yield from _embedded_starts(tell)
    yield from _speaking("embedded", (), scale, tell)
    for folder in models:
        name = folder.resolve().name
        tell(f"{name}: starts")
        cold, restart = measure_startup(folder, _RESTARTS)
        for title, start in (("cold start", cold), ("hot restart", restart)):
            limit_s = LIMITS_S[start.kind]
            yield _at_most(name, title, "s", start.first_audio_s, limit_s, _slowest(start))
        yield from _speaking(name, model_settings(folder), scale, tell)


def model_settings(folder: Path) -> tuple[str, ...]:
    """Settings of a gateway that speaks with a model by default."""
    default = open_model(folder).voices.default
    models = orjson.dumps([str(folder.resolve())]).decode()
    return (f"engine.models={models}", f"engine.default_voice={default}")


def _slowest(start: Start) -> str:
    step = max(start.steps, key=lambda one: one.took_s)
    return f"the longest step is {step.name!r}, {step.took_s:.2f} s"


def _embedded_starts(tell: Tell) -> Iterator[Target]:
    """The first start of this command stands for a cold one: there is no cache to delete."""
    took = []
    for number in range(1 + _RESTARTS):
        begin = time.monotonic()
        with serving(None, None, ()) as server:
            took.append(_first_answer(server) - begin)
        tell(f"embedded voice: start {number + 1} took {took[-1]:.2f} s")
    reason = "imports and the port's answer take it; see `voice-gateway bench startup`"
    yield _at_most("embedded", "cold start", "s", took[0], LIMITS_S["cold"], reason)
    restart = float(np.median(took[1:]))
    yield _at_most("embedded", "hot restart", "s", restart, LIMITS_S["restart"], reason)


def _first_answer(server: Server) -> float:
    """When the first audio of a sentence came (monotonic clock); raises ConnectionError."""
    connection, rest = websocket.connect(
        server.target.host, server.target.port, server.target.path, "voice.v1", 30.0
    )
    with connection:
        reader = websocket.FrameReader(rest)
        for message in ({"type": "start"}, {"type": "text", "text": SHORT[0]}, {"type": "end"}):
            connection.sendall(websocket.client_frame(websocket.TEXT, orjson.dumps(message)))
        while data := connection.recv(65_536):
            if any(opcode == websocket.BINARY for opcode, _ in reader.receive(data)):
                return time.monotonic()
    raise ConnectionError("the gateway closed before its first audio")


def _speaking(name: str, settings: tuple[str, ...], scale: Scale, tell: Tell) -> Iterator[Target]:
    with serving(None, None, settings) as server:
        for kind, texts, limit_s in (("short", SHORT, SHORT_S), ("long", LONG, LONG_S)):
            tell(f"{name}: {kind} answers, one caller")
            yield _alone(name, kind, texts, limit_s, server, scale, tell)
        tell(f"{name}: {scale.sessions} callers")
        yield from _crowd(name, server, scale, tell)
        tell(f"{name}: what the cache knows")
        yield _again(name, server, scale, tell)


def _alone(
    name: str, kind: str, texts: Sequence[str], limit_s: float, server: Server, scale: Scale,
    tell: Tell,
) -> Target:  # fmt: skip
    script = lone_script(texts, scale.turns, scale.seed)
    load = Load(sessions=1, seconds=script.leave_s, ramp_s=0.0, seed=scale.seed)
    run = measure(load, server, tell, scripts=(script,), whole_every=0)
    figures = figures_of([run])
    label = f"first audible sample, {kind} text, p95"
    heard = figures.get("first_audible_from_clause")
    if heard is None:
        return Target(name, label, "s", None, limit_s, False, "nothing was heard")
    value = percentile(heard.samples, 95)
    arrived = percentile(figures["first_audio_from_clause"].samples, 95)
    waited = figures.get("metrics_queue_wait_p99", Figure("s", "")).value
    reason = (
        f"the first frame comes after {arrived * 1000:.0f} ms at p95, queueing is "
        f"{waited * 1000:.0f} ms at p99, the rest is silence at the beginning of the speech"
        f"{_doubt(run)}"
    )
    return _at_most(name, label, "s", value, limit_s, reason)


def _doubt(run: Run) -> str:
    """What to say behind a reason if the generator was late; a target that held anyway, held."""
    return "".join(f"; NOT VALID, {problem}" for problem in generator_problems([run]))


def lone_script(texts: Sequence[str], turns: int, seed: int) -> Script:
    """One caller that asks every ``_SPACING_S`` and gets each answer's text whole."""
    random = Random(seed)
    asked = []
    for number in range(1, turns + 1):
        at_s = 0.5 + number * _SPACING_S
        text = texts[number % len(texts)]
        asked.append(
            Turn(
                number=number,
                request_s=at_s - 0.1,
                voice="",
                codec="opus",
                speed=0.97 + 0.06 * random.random(),
                tokens=(Token(at_s, text),),
                clause_s=at_s,
                barge_in_s=at_s + _HEARD_S,
                tells_position=True,
            )
        )
    return Script(0, 0.0, 0.5 + (turns + 2) * _SPACING_S, (), tuple(asked))


def _crowd(name: str, server: Server, scale: Scale, tell: Tell) -> Iterator[Target]:
    load = Load(
        sessions=scale.sessions, seconds=scale.seconds, voices=mixed_voices(server), seed=scale.seed
    )
    run = measure(load, server, tell)
    figures = figures_of([run])
    need = figures["server_cpu_per_audio_s"].value
    reason = (
        f"a second of audio took {need:.3f} s of CPU, so {scale.sessions} voices at once need "
        f"{need * scale.sessions:.1f} cores of {os.cpu_count()}; {_failures(figures)}"
        f"{_doubt(run)}"
    )
    heard = figures.get("first_audible_from_clause")
    p95_s = None if heard is None else percentile(heard.samples, 95)
    crowd = f"{scale.sessions} callers"
    yield _at_most(name, f"{crowd}: first audible, p95", "s", p95_s, CROWD_P95_S, reason)
    rate = _error_rate(run.lives)
    yield _at_most(name, f"{crowd}: error rate", "", rate, ERROR_RATE, reason)
    memory = figures["server_memory"].value
    yield Target(name, f"{crowd}: memory", "MiB", memory / 2**20, None, True)


def _error_rate(lives: Sequence[Life]) -> float:
    fates = [answer.fate for life in lives for answer in life.answers]
    return sum(fate is Fate.FAILED for fate in fates) / max(1, len(fates))


def _failures(figures: dict[str, Figure]) -> str:
    return f"{figures['error_rate'].value:.1%} of the answers that count failed"


def _again(name: str, server: Server, scale: Scale, tell: Tell) -> Target:
    """The share of chunks from the cache when a few callers say what others have said."""
    load = Load(sessions=10, seconds=_AGAIN_S, ramp_s=2.0, cached=True, seed=scale.seed)
    measure(load, server, tell, whole_every=0)
    figures = figures_of([measure(load, server, tell, whole_every=0)])
    hits = figures.get("metrics_cache_hit", Figure("", "")).value
    misses = figures.get("metrics_cache_miss", Figure("", "")).value
    share = hits / (hits + misses) if hits + misses else None
    return Target(name, "chunks from the cache when said again", "%",
                  None if share is None else 100 * share, None, True)  # fmt: skip


def _at_most(
    voice: str, name: str, unit: str, value: float | None, limit: float, reason: str
) -> Target:
    held = value is not None and value < limit
    return Target(voice, name, unit, value, limit, held, "" if held else reason)


def to_json(targets: Sequence[Target], machine: str) -> bytes:
    """One object for programs."""
    return orjson.dumps(
        {"kind": "targets", "machine": machine, "targets": [asdict(one) for one in targets]},
        option=orjson.OPT_INDENT_2,
    )


def to_markdown(targets: Sequence[Target]) -> str:
    """A table for people."""
    head = ["| voice | target | measured | limit | |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(row, targets)])


def row(one: Target) -> str:
    """A target's row of that table."""
    value = "–" if one.value is None else f"{one.value:.3g} {one.unit}".strip()
    limit = "–" if one.limit is None else f"< {one.limit:g} {one.unit}".strip()
    verdict = "" if one.limit is None else "holds" if one.held else f"**missed**: {one.why}"
    return f"| {one.voice} | {one.name} | {value} | {limit} | {verdict} |"
