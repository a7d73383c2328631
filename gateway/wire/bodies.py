"""Audio as others' protocols carry it: payloads joined, in a container, or as base64.

A *container* turns the session's audio into the bytes of one file that is read while it is made:

    raw    payloads as they are: PCM without a header, MP3, AAC, FLAC
    wav    a header whose lengths are the greatest possible, as nobody knows them yet, then PCM
    ogg    Ogg Opus (RFC 7845): a page for each message, less its last packet, which must wait
           because the end of the stream may cut it
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.codecs.ogg import OggOpusStream
from gateway.session.events import Audio, Done, ServerEvent, Started

_LENGTH_UNKNOWN = 0xFFFFFFFF
_WAV_FORMATS = {"pcm": (1, 2), "pcm_f32": (3, 4), "pcmu": (7, 1), "pcma": (6, 1)}
"""Format tag of WAVE and bytes a sample."""


class Container(Protocol):
    """The bytes of one file, as its audio comes."""

    def begin(self, started: Started) -> None:
        """How it will be encoded."""
        ...

    def write(self, audio: Audio) -> bytes:
        """Bytes for these frames."""
        ...

    def finish(self, done: Done) -> bytes:
        """What ends the file."""
        ...


class Raw:
    """Payloads, behind ``header`` if there is one."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def begin(self, started: Started) -> None:
        """Nothing to learn."""

    def write(self, audio: Audio) -> bytes:
        """Payloads, joined."""
        header, self._header = self._header, b""
        return header + b"".join(audio.payloads)

    def finish(self, _: Done) -> bytes:
        """Nothing but the header of a file without audio."""
        header, self._header = self._header, b""
        return header


def wav(codec: str, sample_rate: int) -> Raw:
    """A WAV stream of mono audio in ``codec``, one of ``pcm``, ``pcm_f32``, ``pcmu``, ``pcma``."""
    tag, size = _WAV_FORMATS[codec]
    form = struct.pack("<HHIIHH", tag, 1, sample_rate, sample_rate * size, size, size * 8)
    return Raw(
        b"RIFF" + struct.pack("<I", _LENGTH_UNKNOWN) + b"WAVE"
        b"fmt " + struct.pack("<I", len(form)) + form + b"data"
        + struct.pack("<I", _LENGTH_UNKNOWN)
    )  # fmt: skip


class OggOpus:
    """An Ogg Opus stream; ``begin`` comes first."""

    _stream: OggOpusStream

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._held: tuple[bytes, int] | None = None

    def begin(self, started: Started) -> None:
        """The stream's headers."""
        self._stream = OggOpusStream(
            self._file,
            sample_rate=started.codec.sample_rate,
            preskip_samples=started.preskip_samples,
        )

    def write(self, audio: Audio) -> bytes:
        """A page."""
        for payload in audio.payloads:
            if self._held is not None:
                self._stream.write(*self._held)
            self._held = (payload, audio.frame_duration_samples)
        self._stream.flush()
        return self._taken()

    def finish(self, done: Done) -> bytes:
        """The last page, which ends where the speech does."""
        if self._held is not None:
            self._stream.write(*self._held)
            self._held = None
            self._stream.finish(done.duration_samples)
        else:
            self._stream.finish()
        return self._taken()

    def _taken(self) -> bytes:
        data = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        return data


class FileBody:
    """An HTTP answer that is one file."""

    def __init__(self, media_type: str, container: Container) -> None:
        self.media_type = media_type
        self._container = container

    def send(self, event: ServerEvent) -> Iterable[bytes]:
        """Its next bytes."""
        match event:
            case Started():
                self._container.begin(event)
            case Audio():
                yield self._container.write(event)
            case Done():
                yield self._container.finish(event)


class MessagesBody:
    """An HTTP answer of many messages: ``audio(data)`` says each piece, ``done()`` the end."""

    def __init__(
        self,
        media_type: str,
        container: Container,
        audio: Callable[[str], bytes],
        done: Callable[[Done], bytes],
    ) -> None:
        self.media_type = media_type
        self._container = container
        self._audio = audio
        self._done = done

    def send(self, event: ServerEvent) -> Iterable[bytes]:
        """The messages that tell of ``event``."""
        match event:
            case Started():
                self._container.begin(event)
            case Audio():
                yield self._said(self._container.write(event))
            case Done():
                yield self._said(self._container.finish(event)) + self._done(event)

    def _said(self, data: bytes) -> bytes:
        return self._audio(base64.b64encode(data).decode()) if data else b""
