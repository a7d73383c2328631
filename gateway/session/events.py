"""What goes into a session and what comes out of it.

    wire module ──ClientEvent──►┌─────────┐──ServerEvent──► wire module
                                │ session │
    dispatcher  ──encoded audio►└─────────┘──Synthesize, Withdraw, FinishTrack…──► shell

No protocol leaks in here: every wire module translates its own messages to and from these.
Offsets are code points of the client's text, times are media samples (48 kHz).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import GatewayError
from gateway.synthesis import SynthesisRequest

CodecName = Literal["opus", "pcm", "pcm_f32", "pcmu", "pcma", "mp3", "aac", "flac"]
"""All that is made here; which of them a client may ask for is for its protocol to say."""


# ── from the client ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Start:
    """Open a context; None means the default of the settings."""

    context: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    codec: CodecName | None = None
    sample_rate: int | None = None
    bitrate: int | None = None
    frame_duration_ms: int | None = None
    lead_s: float | None = None
    """How far ahead of an ideal listener audio is sent; infinity: as soon as it is made.

    None, for listeners that report: as their jitter buffer needs.
    """
    first_chunk_chars_min: int | None = None
    stall_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Append text to a context."""

    context: str
    text: str


@dataclass(frozen=True, slots=True)
class Flush:
    """Speak what is there now, and let the talkspurt end there."""

    context: str


@dataclass(frozen=True, slots=True)
class End:
    """No more text."""

    context: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Silence one context, or all (None).

    ``played_samples`` is what the client says was heard; ``fade_ms`` is how long its player fades
    the sound out, so that the cut does not click.
    """

    context: str | None
    played_samples: int | None = None
    fade_ms: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A receiver report (the idea of RTCP's, RFC 3550 section 6.4).

    ``played_samples`` were handed to the device, which holds ``output_latency_samples`` of them
    still; ``depth_samples`` wait before it.  ``context_number`` tells a context from an earlier one
    of the same name.
    """

    context: str
    played_samples: int
    generation: int | None = None
    depth_samples: int | None = None
    underruns: int | None = None
    sequence_number: int | None = None
    jitter_samples: int | None = None
    output_latency_samples: int | None = None
    context_number: int | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """End every context, finish their speech, then close."""


ClientEvent = Start | Text | Flush | End | Cancel | Report | Close


# ── to the client ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ResumeOffer:
    """How a client gets its session back: with ``secret``, within ``window_s`` of its loss."""

    secret: str = field(repr=False)
    window_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open; ``resume`` is None if it can't outlive its transport."""

    session: str
    default_voice: str
    resume: ResumeOffer | None = None


@dataclass(frozen=True, slots=True)
class ContextPosition:
    """Where a context stands: ``sequence_number`` is that of the next frame to be sent."""

    context: str
    context_number: int
    generation: int
    text_received: int
    sequence_number: int
    open: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on; ``received`` messages of the client were taken."""

    session: str
    received: int
    window_s: float
    contexts: tuple[ContextPosition, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """``received`` messages of the client were taken so far."""

    received: int


@dataclass(frozen=True, slots=True)
class CodecOptions:
    """A codec as a client chose it."""

    name: CodecName
    sample_rate: int
    bitrate: int
    frame_duration_ms: int


@dataclass(frozen=True, slots=True)
class Started:
    """A context is open."""

    context: str
    context_number: int
    generation: int
    voice: str
    language: str
    speed: float
    codec: CodecOptions
    preskip_samples: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the client's own text and when it sounds."""

    text: str
    start: int
    end: int
    timestamp_samples: int
    duration_samples: int


@dataclass(frozen=True, slots=True)
class ChunkStarted:
    """A chunk will begin to sound at ``timestamp_samples``."""

    context: str
    generation: int
    chunk: int
    text: str
    start: int
    end: int
    timestamp_samples: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class WordsTimed:
    """More word times of a chunk that has begun."""

    context: str
    generation: int
    chunk: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Audio:
    """Frames that leave now, contiguous and of one duration."""

    context: str
    context_number: int
    generation: int
    sequence_number: int
    timestamp_samples: int
    frame_duration_samples: int
    marker: bool
    last: bool
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio of the text before a ``Flush`` was sent; one for each, in order."""

    context: str
    generation: int


@dataclass(frozen=True, slots=True)
class Done:
    """All audio of an ended context was sent."""

    context: str
    generation: int
    duration_samples: int
    frames: int
    text_offset: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener had heard when a cancel silenced it.

    ``source`` says whether the client told it or our playout model estimated it.
    """

    text_offset: int
    word: str
    played_samples: int
    source: Literal["client", "model"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """No audio of a generation before ``generation`` follows; what is on its way is dropped."""

    context: str
    generation: int
    heard: Heard
    open: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """Something to know; nothing was lost."""

    code: str
    message: str
    context: str | None = None
    field: str | None = None
    limit: float | str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An error; the message that caused it had no effect."""

    error: GatewayError
    context: str | None = None
    fatal: bool = False


ServerEvent = (
    Ready
    | Resumed
    | Acknowledged
    | Started
    | ChunkStarted
    | WordsTimed
    | Audio
    | Flushed
    | Done
    | Cancelled
    | Warned
    | Failed
)


# ── to the shell ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class OpenTrack:
    """Make the encoder of a generation."""

    context: str
    generation: int
    codec: CodecOptions


@dataclass(frozen=True, slots=True)
class CloseTrack:
    """Drop the encoder of a generation."""

    context: str
    generation: int


@dataclass(frozen=True, slots=True)
class FinishTrack:
    """End the talkspurt in the encoder; answer with ``receive_finished``."""

    context: str
    generation: int


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Ask the engines; answer with ``receive_rendered`` or ``receive_failure``."""

    request: SynthesisRequest


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The deadline of the chunk in flight moved, to ``deadline`` for its first sample."""

    context: str
    generation: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Forget the requests of a generation, queued or running."""

    context: str
    generation: int


@dataclass(frozen=True, slots=True)
class EndSession:
    """Close the transport."""

    code: int
    reason: str


Output = (
    ServerEvent
    | OpenTrack
    | CloseTrack
    | FinishTrack
    | Synthesize
    | Reschedule
    | Withdraw
    | EndSession
)
