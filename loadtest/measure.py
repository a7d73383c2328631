"""One run: callers in several processes against one server, and what was seen of the server.

    here ──spawn──► callers process 1 … n ──WebSockets──► server (ours, or at a URL)
      │                                                     ▲  ▲
      └── /proc of the server, if its process is known ─────┘  │
      └── /metrics before and after ───────────────────────────┘

All processes share the machine's monotonic clock, so they share the run's zero.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import orjson

from gateway.client.address import parse_address
from loadtest import callers
from loadtest.cpu import ForeignCpu
from loadtest.exposition import Exposition, parse_exposition
from loadtest.outcome import Life
from loadtest.processes import HOST, Helper, gateway, helper
from loadtest.resources import Resources, Watch
from loadtest.script import Load, Script, write_scripts
from loadtest.statistics import Values

TAIL_S = 3.0
"""The run goes on this long after the measured time, so that its last answers can begin."""

SESSIONS_PER_PROCESS = 150
_START_S = 1.5
_TIMEOUT_S = 60.0
_HTTP_TIMEOUT_S = 10.0
_VOICES = 4

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """Who is measured; ``pid`` is None if its process is not on this machine or not known."""

    target: callers.Target
    pid: int | None

    @property
    def url(self) -> str:
        """Its HTTP address."""
        scheme = "https" if self.target.secure else "http"
        return f"{scheme}://{self.target.host}:{self.target.port}"

    def get(self, path: str) -> bytes | None:
        """The body of an HTTP answer; None if there is none."""
        headers = dict(line.split(": ", 1) for line in self.target.headers)
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S) as answer:
                body: bytes = answer.read()
                return body
        except (OSError, ValueError):
            return None

    def metrics(self) -> Exposition | None:
        """What /metrics says; None if it says nothing."""
        body = self.get("/metrics")
        return parse_exposition(body.decode()) if body is not None else None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought; ``resources`` and metrics as far as they could be read."""

    load: Load
    lives: tuple[Life, ...]
    lateness_s: Values
    reading_s: Values
    generator_cpu_share: float
    foreign_cpu_share: float
    zero_s: float
    resources: tuple[Resources, ...]
    before: Exposition | None
    after: Exposition | None


@contextmanager
def serving(
    url: str | None, key: str | None, settings: Sequence[str], pid: int | None = None
) -> Iterator[Server]:
    """The server at ``url`` (with the process ``pid``), or a gateway of our own.

    Raises ChildProcessError if that does not start, InvalidValue if the URL is none.
    """
    if url is None:
        with gateway(settings) as running:
            yield Server(callers.Target(HOST, running.port), running.pid)
        return
    address = parse_address(url)
    host, _, port = address.authority.rpartition(":")
    if not host or not port.isdecimal():
        port = "443" if address.secure else "80"
    headers = (f"Authorization: Bearer {key}",) if key else ()
    target = callers.Target(address.host, int(port), address.secure, "/v1/speak", headers)
    yield Server(target, pid)


def mixed_voices(server: Server) -> tuple[tuple[str, float], ...]:
    """The server's default voice, and three others of its language and engine if it tells any."""
    body = server.get("/v1/voices")
    if body is None:
        return (("", 1.0),)
    listing = orjson.loads(body)
    voices = {voice["id"]: voice for voice in listing["voices"]}
    chosen = voices.get(listing["default"])
    if chosen is None:
        return (("", 1.0),)
    language = chosen["language"].partition("-")[0]
    alike = [
        name
        for name, voice in voices.items()
        if voice["engine"] == chosen["engine"]
        and voice["language"].partition("-")[0] == language
        and name != listing["default"]
    ]
    return tuple((name, 1.0) for name in (listing["default"], *alike[: _VOICES - 1]))


def measure(
    load: Load,
    server: Server,
    tell: Tell,
    *,
    scripts: tuple[Script, ...] | None = None,
    processes: int | None = None,
    whole_every: int = 8,
) -> Run:
    """Do one run of ``load``, or of ``scripts`` in its time.

    Every ``whole_every``-th session keeps its audio.  Raises ChildProcessError if a callers process
    dies.
    """
    if scripts is None:
        scripts = write_scripts(load)
    count = processes or max(1, -(-load.sessions // SESSIONS_PER_PROCESS))
    end_s = load.end_s + TAIL_S
    with ExitStack() as stack:
        before = server.metrics()
        zero_s = time.monotonic() + _START_S
        tasks = [
            callers.Task(server.target, scripts[at::count], zero_s, end_s, whole_every)
            for at in range(count)
        ]
        helpers = [stack.enter_context(helper(callers.run, task)) for task in tasks]
        watch = stack.enter_context(Watch(server.pid))
        foreign = ForeignCpu()
        reports = _collect(helpers, zero_s + end_s, tell)
        foreign_share = foreign.share()
        after = server.metrics()
    return Run(
        load=load,
        lives=tuple(
            sorted((life for report in reports for life in report.lives), key=lambda x: x.session)
        ),
        lateness_s=np.concatenate([report.lateness_s for report in reports]),
        reading_s=np.concatenate([report.reading_s for report in reports]),
        generator_cpu_share=sum(report.cpu_s for report in reports) / end_s,
        foreign_cpu_share=foreign_share,
        zero_s=zero_s,
        resources=tuple(watch.readings),
        before=before,
        after=after,
    )


def _collect(helpers: list[Helper], over_s: float, tell: Tell) -> list[callers.Report]:
    """Wait for every process's report, and tell of progress every five seconds."""
    waiting = dict(enumerate(helpers))
    seen: dict[int, callers.Progress] = {}
    reports: dict[int, callers.Report] = {}
    next_s = 0.0
    while waiting:
        for number, one in list(waiting.items()):
            said = one.receive(max(_TIMEOUT_S, over_s - time.monotonic() + _TIMEOUT_S))
            if isinstance(said, callers.Report):
                reports[number] = said
                del waiting[number]
            else:
                seen[number] = said
        at_s = min((progress.at_s for progress in seen.values()), default=0.0)
        if at_s >= next_s:
            next_s = at_s + 5
            connected = sum(progress.connected for progress in seen.values())
            here = sum(progress.callers for progress in seen.values())
            tell(f"{at_s:5.0f} s: {connected} connections, {here} callers to come or here")
    return [reports[number] for number in sorted(reports)]
