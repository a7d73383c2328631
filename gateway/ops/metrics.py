"""What the gateway measures of itself, for Prometheus.

Every label child is looked up once, because a look-up costs four times an increment.  Each gateway
has its own registry, so that tests and embedded gateways do not meet in a global one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gateway.trace import Event, Record

_CLOSE_CODES = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013}
_CLOSE_CODES |= {4401, 4403, 4404, 4408, 4409}
"""A client may close with any of 2,000 codes; these are told apart."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


class _AudioSent(Collector):
    """What is counted for each message: plain integers, of which the loop is the one writer.

    A counter of the library takes a lock for each increment.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.frames = 0
        self.size_bytes = 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters as they are now."""
        for name, text, value in (
            ("messages", "Audio messages sent", self.messages),
            ("frames", "Audio frames sent", self.frames),
            ("bytes", "Bytes of audio messages sent", self.size_bytes),
        ):
            yield CounterMetricFamily(f"voice_gateway_audio_{name}", text, value=value)


class Metrics:
    """All metrics of one gateway; the methods say what happened."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sessions = self._counter("sessions", "Sessions that were opened")
        self._refused = self._counter("refused", "Connections that were refused", "code")
        self._closed = self._counter("closed", "Sessions that ended, by close code", "code")
        self._resumes = self._counter(
            "resumes", "Sessions that were asked for again, by outcome", "outcome"
        )
        self._client_errors = self._counter("client_errors", "Messages refused, by code", "code")
        self._limits = self._counter("limits", "Limits that a client ran into", "limit")
        engine_errors = self._counter("engine_errors", "Engine failures", "code", "retried")
        self._engine_errors = engine_errors
        cache = self._counter("cache_lookups", "Chunks looked up in the cache", "result")
        self._cache_hit, self._cache_miss = cache.labels("hit"), cache.labels("miss")
        self._sent = _AudioSent()
        self.registry.register(self._sent)
        self._characters = self._counter("text_characters", "Characters of text taken")
        self._underruns = self._counter("underruns", "Times a listener ran dry, by our model")
        self._cancels = self._counter("cancels", "Contexts that were cancelled")
        self._first_audio = self._histogram(
            "first_audio_seconds",
            "From the request of a talkspurt to its first frame",
        )
        self._lateness = self._histogram(
            "pacing_lateness_seconds", "How much after its due time a timer was served"
        )
        self._queue_wait = self._histogram("queue_wait_seconds", "Wait of work for an engine lane")
        self._chunk = self._histogram("chunk_seconds", "From request of a chunk to its last audio")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"voice_gateway_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"voice_gateway_{name}", text, registry=self.registry, buckets=_SECONDS)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show ``read()`` whenever the metrics are collected."""
        gauge = Gauge(f"voice_gateway_{name}", text, registry=self.registry)
        gauge.set_function(read)

    def session_opened(self) -> None:
        """A session was accepted."""
        self._sessions.inc()

    def refused(self, code: str) -> None:
        """A connection was refused."""
        self._refused.labels(code).inc()

    def resumed(self, outcome: str) -> None:
        """A session was asked for again: ``resumed``, ``taken_over`` or ``refused``."""
        self._resumes.labels(outcome).inc()

    def session_closed(self, close_code: int) -> None:
        """A session ended."""
        code = str(close_code) if close_code in _CLOSE_CODES else "other"
        self._closed.labels(code).inc()

    def client_error(self, code: str, limit: str | None) -> None:
        """A message was answered with an error; ``limit`` names what it ran into."""
        self._client_errors.labels(code).inc()
        if limit is not None:
            self._limits.labels(limit).inc()

    def limit_reached(self, limit: str) -> None:
        """A client was slowed down or closed by a limit."""
        self._limits.labels(limit).inc()

    def engine_error(self, code: str, *, retried: bool) -> None:
        """An engine failed on a chunk."""
        self._engine_errors.labels(code, str(retried).lower()).inc()

    def cache(self, *, hit: bool) -> None:
        """A chunk was looked up."""
        (self._cache_hit if hit else self._cache_miss).inc()

    def audio_sent(self, frames: int, size_bytes: int) -> None:
        """A message of audio left."""
        sent = self._sent
        sent.messages += 1
        sent.frames += frames
        sent.size_bytes += size_bytes

    def text_taken(self, characters: int) -> None:
        """Text was accepted."""
        self._characters.inc(characters)

    def observe(self, record: Record) -> None:
        """Count what a session's trace records."""
        if record.event is Event.UNDERRUN:
            self._underruns.inc()
        elif record.event is Event.CANCELLED:
            self._cancels.inc()
        elif record.event is Event.FIRST_AUDIO:
            self._first_audio.observe(cast(float, record.fields["latency_s"]))

    def lateness(self, duration_s: float) -> None:
        """A pacing timer was served this much after it was due."""
        self._lateness.observe(duration_s)

    def queue_wait(self, duration_s: float) -> None:
        """Work waited this long for a lane."""
        self._queue_wait.observe(duration_s)

    def chunk_spoken(self, duration_s: float) -> None:
        """A chunk was synthesised completely."""
        self._chunk.observe(duration_s)

    def exposition(self) -> bytes:
        """The text that Prometheus reads; takes milliseconds, so call it in a thread."""
        return generate_latest(self.registry)
