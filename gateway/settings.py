"""Every limit and choice, with its reason and its default.

Sources, strongest first: flags (``--set limits.sessions_max=50``), environment
(``VOICE_GATEWAY_LIMITS__SESSIONS_MAX=50``), a TOML file (``voice-gateway.toml`` or ``--config``),
these defaults.  A section is handed to the part that needs it; nobody reads settings globally.

Names end in their unit.  All times are seconds unless the name says milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.settings_sources import Layers

CONFIG_FILE = "voice-gateway.toml"


def _checked_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a key is printable ASCII without spaces, as it travels in headers")
    return key


ApiKey = Annotated[SecretStr, AfterValidator(_checked_key)]
Origin = Annotated[str, AfterValidator(lambda origin: origin.rstrip("/"))]
"""Browsers send an origin without a path, so a slash at its end would match nothing."""


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Section):
    """The listening socket and who may use it."""

    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you choose.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 lets the system choose.")
    api_keys: tuple[ApiKey, ...] = Field(
        (), description="Keys that clients must show; none means that everybody may connect."
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        description="Browser origins besides the gateway's own; '*' allows every page.",
    )
    drain_timeout_s: float = Field(
        20.0, ge=0, le=3600, description="How long running speech may finish after SIGTERM."
    )
    ping_interval_s: float = Field(
        20.0, gt=0, le=600, description="WebSocket pings; finds peers that vanished."
    )
    ping_timeout_s: float = Field(
        20.0, gt=0, le=600, description="A peer silent for this long after a ping is gone."
    )
    tick_s: float = Field(
        0.003, ge=0.001, le=0.02, description="Granularity of the shared pacing tick."
    )
    demo: bool = Field(True, description="Serve the demo page at /.")


class LimitSettings(Section):
    """What one client, and all together, may ask for."""

    sessions_max: int = Field(1000, ge=1, description="Sessions at once in this process.")
    contexts_max: int = Field(32, ge=1, le=1024, description="Open contexts of one session.")
    context_id_chars_max: int = Field(64, ge=8, le=256, description="Length of a context id.")
    message_bytes_max: int = Field(
        65_536, ge=1024, description="One message; four times as much closes with 1009."
    )
    request_bytes_max: int = Field(
        1_048_576, ge=1024, description="Body of one HTTP request; more is answered with 413."
    )
    fragments_max: int = Field(
        1024, ge=1, description="Frames of one message; empty ones pass every limit of bytes."
    )
    pings_per_s_max: float = Field(
        10.0, gt=0, description="Pings that are answered; ten times as many may come at once."
    )
    handshake_timeout_s: float = Field(
        10.0, gt=0, description="A connection that sends no whole HTTP request is cut off."
    )
    messages_per_s_max: float = Field(
        500.0, gt=0, description="Sustained message rate; above it the socket is read slower."
    )
    messages_burst_max: int = Field(
        2000, ge=1, description="Messages that may arrive at once before the rate counts."
    )
    pending_text_chars_max: int = Field(
        100_000, ge=1000, description="Text of a context that is accepted but not yet spoken."
    )
    queued_audio_s_max: float = Field(
        10.0, ge=1, description="Audio of a context made ahead; synthesis waits above it."
    )
    send_buffer_bytes_max: int = Field(
        262_144, ge=16_384, description="Unsent bytes of a client that reads too slowly."
    )
    send_timeout_s: float = Field(
        10.0, gt=0, description="A client that takes no byte for this long is closed."
    )
    idle_timeout_s: float = Field(
        300.0, gt=0, description="A session with no message and no audio is closed after this."
    )
    linger_s: float = Field(
        10.0, ge=0, description="A finished context waits this long for a listener that lags."
    )
    start_timeout_s: float = Field(
        30.0, gt=0, description="A session that opened no context is closed after this."
    )
    park_s: float = Field(
        30.0, ge=0, le=3600, description="A session waits this long for a lost client; 0 = not."
    )
    parked_sessions_max: int = Field(
        1000, ge=0, description="Sessions that wait so at once; they count for sessions_max too."
    )
    resend_bytes_max: int = Field(
        262_144, ge=16_384, description="Messages kept for a session that may have to be resumed."
    )
    resume_refusals_per_s_max: float = Field(
        10.0, gt=0, description="Wrong attempts to resume that are answered in this process."
    )
    trace_records_max: int = Field(512, ge=16, description="Trace records kept for a session.")


class AudioSettings(Section):
    """Defaults of the codec, and the ranges that a client may choose from."""

    codec: Literal["opus", "pcm", "pcmu", "pcma"] = Field("opus", description="Default codec.")
    sample_rate: Literal[8000, 12000, 16000, 24000, 48000] = Field(
        24_000, description="Default rate at which audio is encoded, in Hz."
    )
    frame_duration_ms: Literal[20, 40, 60] = Field(20, description="Default frame duration.")
    bitrate: int = Field(32_000, ge=6_000, le=256_000, description="Opus bit/s.")
    complexity: int = Field(
        5, ge=0, le=10, description="Opus effort; 5 costs 34 µs a frame, 10 costs 148."
    )
    application: Literal["audio", "voip"] = Field(
        "audio", description="Opus mode; 'audio' is cheaper and is not band-limited for speech."
    )
    vbr: bool = Field(True, description="Opus variable bitrate.")
    dtx: bool = Field(False, description="Opus discontinuous transmission in silence.")


class PacingSettings(Section):
    """How far ahead of the listener audio is sent."""

    lead_min_s: float = Field(
        0.12, ge=0.02, le=10, description="Audio that a client's buffer should hold at least."
    )
    lead_start_s: float = Field(
        0.35, ge=0.02, le=10, description="…before its network was seen to be quiet."
    )
    lead_max_s: float = Field(
        2.0, ge=0.02, le=10, description="…on the worst network; a cancel throws it away."
    )
    lead_memory_s: float = Field(
        300.0, gt=0, le=3600, description="How long a stall is remembered, of time with reports."
    )
    lead_quiet_after_s: float = Field(
        60.0, gt=0, le=3600, description="Without any lateness for so long, a network is quiet."
    )
    prebuffer_s: float = Field(
        0.04, ge=0, le=2, description="Audio a client is told to gather before it starts."
    )
    first_audio_budget_s: float = Field(
        0.15, gt=0, le=5, description="Deadline of the first audio of a talkspurt."
    )
    request_ahead_s: float = Field(
        3.0, gt=0, le=60, description="The next chunk is synthesised when less than this is left."
    )
    message_duration_max_ms: Literal[20, 40, 60, 100] = Field(
        60, description="Frames are joined into messages up to this length once the lead allows."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lead_min_s > self.lead_max_s:
            raise ValueError(
                f"lead_min_s is {self.lead_min_s:g}, more than lead_max_s, {self.lead_max_s:g}; "
                "lower the one or raise the other"
            )
        return self


class TextSettings(Section):
    """How text is cut into chunks, in characters unless the unit says otherwise."""

    first_chunk_chars_min: int = Field(
        10, ge=1, description="A first clause shorter than this waits for the next boundary."
    )
    chunk_chars_max: int = Field(
        300, ge=40, le=2000, description="A chunk without any boundary is cut at a word here."
    )
    stall_timeout_s: float = Field(
        0.5, gt=0, description="Tokens that stall this long: a first chunk is cut without a clause."
    )
    lead_for_sentences_s: float = Field(
        0.5, ge=0, description="From this lead on, only whole sentences are cut."
    )
    lead_for_paragraphs_s: float = Field(
        2.0, ge=0, description="From this lead on, short sentences are joined."
    )
    joined_chars_min: int = Field(
        80, ge=1, description="Length that joined short sentences should reach."
    )
    code_blocks: Literal["skip", "speak"] = Field(
        "skip", description="Whether fenced code is read aloud."
    )


class VoiceSettings(Section):
    """Names of voices that clients of other services send."""

    aliases: dict[str, str] = Field(
        {}, description="Foreign name = voice of ours; goes before everything else."
    )
    unknown: Literal["error", "default"] = Field(
        "error", description="What a voice that nobody knows becomes."
    )


class WireSettings(Section):
    """How others' protocols are spoken."""

    lead_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="How far ahead of playback clients that don't report are sent audio; "
        "0 = as soon as it is made.",
    )
    wyoming_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="TCP port for Wyoming (Home Assistant: 10200), which knows no keys; "
        "unset = not spoken, 0 = the system chooses.",
    )
    wyoming_host: str = Field("127.0.0.1", description="Address to listen on for Wyoming.")
    elevenlabs_alignment: Literal["auto", "chunk", "context"] = Field(
        "auto",
        description="Zero of character times: the alignment before, or the context's start; "
        "'auto' = the context's if the client asks for sync_alignment.",
    )


class EspeakSettings(Section):
    """The embedded voice."""

    enabled: bool = Field(True, description="Offer the espeak-ng voices if they are installed.")
    workers: int = Field(
        default_factory=lambda: max(1, min(4, os.cpu_count() or 1)),
        ge=1,
        le=64,
        description="Processes; espeak-ng is not thread-safe, so each speaks one chunk at a time.",
    )
    timeout_s: float = Field(
        2.0, gt=0, description="A worker that gives no audio for this long is replaced."
    )
    block_ms: int = Field(
        100, ge=10, le=1000, description="Length of the PCM blocks that workers hand over."
    )
    retries_max: int = Field(
        1, ge=0, le=5, description="How often a chunk is tried again after a crash or a hang."
    )


class PlacementSettings(Section):
    """Which provider, precision and threads run each stage of a model; docs/placement.md."""

    mode: Literal["auto", "profile", "measure"] = Field(
        "auto",
        description="What a start does where nothing was measured: 'measure' does it first; "
        "'auto' only if there is an accelerator; 'profile' ignores measurements altogether.",
    )
    time_limit_s: float = Field(
        60.0, gt=0, le=3600, description="Measuring stops after this; what is left does not win."
    )
    trial_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="A way to run a stage that takes longer to try is out."
    )
    memory_bytes_max: int = Field(
        4 * 2**30, ge=2**26, description="Main memory that trying a way may take."
    )
    margin: float = Field(
        0.1, ge=0, le=1, description="How much faster a less simple way must be: 0.1 is 10 %."
    )
    providers: tuple[str, ...] = Field(
        (), description="onnxruntime's providers that may be used; empty = all that it has."
    )


class KokoroSettings(Section):
    """Kokoro's voices."""

    lexicons: tuple[str, ...] = Field(
        (),
        description="Pronunciations that override espeak-ng's: language=file (.tsv, .toml, .json).",
    )
    unreadable: Literal["drop", "error"] = Field(
        "drop", description="What becomes of sounds that Kokoro has no symbol for."
    )
    phonemizer_workers: int = Field(
        1, ge=1, le=16, description="espeak-ng processes for phonemes; a sentence takes 0.2 ms."
    )
    lanes: int = Field(
        0, ge=0, le=256, description="Windows that are rendered at once; 0 = as placement found."
    )
    plan_threads: int = Field(
        0,
        ge=0,
        le=64,
        description="Threads of one plan, for which the first audio waits; 0 = as placement found.",
    )
    distance_max_db: float = Field(
        0.5,
        gt=0,
        le=20,
        description="How far from fp32 speech may be that is computed in another precision.",
    )
    alone_threads: int = Field(
        default_factory=lambda: min(8, os.cpu_count() or 1),
        ge=1,
        le=64,
        description="Threads of a window while nothing else is computed; 1 saves 100 MB of memory.",
    )
    statistics: Literal["blended", "carried", "prior", "local", "exact"] = Field(
        "blended",
        description="What a window's norms average over; 'exact' renders whole clauses at once.",
    )
    prior_frames: float = Field(
        160.0, gt=0, le=10_000, description="Weight of the voice's average, in frames of 25 ms."
    )
    first_window_frames: int = Field(
        12, ge=4, le=400, description="Frames of a clause's first window: 12 are 0.3 s."
    )
    window_frames: int = Field(
        40,
        ge=4,
        le=400,
        description="Frames of later windows, which double up to this; more cost less.",
    )
    context_frames: int = Field(
        4, ge=0, le=40, description="Frames rendered on both sides of a window and thrown away."
    )


class EngineSettings(Section):
    """Which engines are loaded and what speaks by default."""

    default_voice: str = Field("", description="Voice when the client names none; '' = engine's.")
    cache_bytes_max: int = Field(
        64 * 2**20, ge=0, description="PCM of recently spoken chunks that is kept; 0 = no cache."
    )
    queue_max: int = Field(
        4096, ge=1, description="Chunks that may wait for an engine in the whole process."
    )
    utilisation_max: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of an engine's time that sessions may need at their peak; no session "
        "is let in above it.",
    )
    models: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="Models to load: directories (with a path separator) or names in models_dir. "
        "The first one's voices go by their own names, others' as MODEL~VOICE.",
    )
    models_dir: Path | None = Field(
        None, description="Where models are kept; the system's place for data if unset."
    )
    espeak: EspeakSettings = EspeakSettings()
    kokoro: KokoroSettings = KokoroSettings()
    placement: PlacementSettings = PlacementSettings()


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    json_lines: bool = Field(False, description="One JSON object a line, for log collectors.")
    trace_dir: Path | None = Field(
        None, description="Where the trace of a failed session is written; nowhere if unset."
    )


class Settings(BaseSettings):
    """All sections; build one with ``load``."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    audio: AudioSettings = AudioSettings()
    pacing: PacingSettings = PacingSettings()
    text: TextSettings = TextSettings()
    voices: VoiceSettings = VoiceSettings()
    wires: WireSettings = WireSettings()
    engine: EngineSettings = EngineSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Built directly, settings are what they are given; ``load`` adds the other sources."""
        return (init_settings,)


def load(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """All settings, from every source; the first that names a setting decides:

    1. ``overrides``: ``section.name=value``, as ``--set`` takes them (of two, the last);
    2. the environment: ``VOICE_GATEWAY_SECTION__NAME``;
    3. the TOML file ``config``, else ``voice-gateway.toml`` in the working directory, if it exists;
    4. the defaults above.

    Raises SetupError that names the setting, the value, the limit and the source for an invalid
    value, and the nearest names for one that does not exist.
    """
    layers = layers_of(config, overrides)

    class _Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return layers.sources(settings_cls)

    try:
        loaded = _Loaded()
    except ValidationError as error:
        raise layers.explain(error) from None
    return Settings.model_construct(
        **{name: getattr(loaded, name) for name in Settings.model_fields}
    )


def layers_of(config: Path | None, overrides: Sequence[str]) -> Layers:
    """The sources that ``load`` reads with the same arguments; raises SetupError."""
    default = Path(CONFIG_FILE)
    file = config or (default if default.is_file() else None)
    return Layers.read(Settings, file, overrides, os.environ)
