"""How the gateway and an espeak-ng worker talk: frames over a stream socket, both ways.

The worker is a program of its own, because espeak-ng is GPL-3 and not thread-safe.  It gets one end
of a socket pair as its standard input and uses it in both directions.  A frame is a 12-byte
little-endian header and a payload:

    offset  size  field
    0       1     kind
    1       3     zero
    4       4     serial: names the utterance that a frame belongs to
    8       4     length of the payload in bytes

    gateway → worker   payload
    SPEAK              words per minute (2), flags (2), length of the voice's name (2), zero (2),
                       the voice's name, the text (both UTF-8)
    CANCEL             none; stop that utterance.  Ignored if it is over
    LIST               none
    PHONEMIZE          length of the voice's name (2), zero (2), the voice's name, the texts, one a
                       line (all UTF-8)

    worker → gateway   payload
    READY              sample rate (4), espeak-ng's version (UTF-8); once, when it can speak
    FAILED             why it cannot start (UTF-8); the worker then exits
    AUDIO              count of marks (4); for each mark the text position where a word begins, in
                       code points from 0 (4), and the sample where it begins, from the start of the
                       utterance (4); then PCM, signed 16-bit, as many samples as are left
    END                status (4): SPOKEN, CANCELLED, NO_VOICE or ESPEAK_ERROR.  Exactly one for
                       each SPEAK, and nothing of that serial follows; also the answer to a
                       PHONEMIZE that fails (NO_VOICE)
    VOICES             one voice a line: name, file, gender, and priority=language for each of its
                       languages, separated by tabs (UTF-8)
    PHONEMES           IPA of each text of a PHONEMIZE, one a line (UTF-8): words separated by
                       spaces, the letters of one phoneme by PHONEME_TIE

One utterance is in progress at a time: a SPEAK is sent only after the END of the one before.  A
closed socket means that the other side is gone; the worker then exits.

The worker imports this file, so it must stay as light as that program: no enum, no dataclasses.
"""

from __future__ import annotations

import os
import select
import struct

SPEAK, CANCEL, LIST, PHONEMIZE = 1, 2, 3, 4
READY, FAILED, AUDIO, END, VOICES, PHONEMES = 16, 17, 18, 19, 20, 21

SPOKEN, CANCELLED, NO_VOICE, ESPEAK_ERROR = 0, 1, 2, 3

PAUSE_AT_END = 1
"""Flag of SPEAK: end with the pause that the last punctuation mark asks for."""

PHONEME_TIE = "^"
"""A sign that IPA does not use."""

FRAME_BYTES_MAX = 16 * 2**20
"""More than any frame needs; a greater length means that the two sides lost step."""

HEADER = struct.Struct("<B3xII")
SPEAK_HEAD = struct.Struct("<HHHxx")
PHONEMIZE_HEAD = struct.Struct("<Hxx")
NUMBER = struct.Struct("<I")
MARK = struct.Struct("<II")

_READ_BYTES = 65_536


class Frame:
    """One frame as it arrived."""

    __slots__ = ("kind", "payload", "serial")

    def __init__(self, kind: int, serial: int, payload: bytes) -> None:
        self.kind = kind
        self.serial = serial
        self.payload = payload


class Channel:
    """Frames over the connected stream socket ``fd``, which it makes non-blocking but never closes.

    Not thread-safe: one thread at a time.  A vanished peer raises EOFError, in either direction; a
    peer that neither sends nor takes a byte for ``timeout_s`` raises TimeoutError.
    """

    __slots__ = ("_buffer", "_fd", "_readable", "_writable")

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._buffer = bytearray()
        self._readable = select.poll()
        self._readable.register(fd, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(fd, select.POLLOUT)

    def send(
        self, kind: int, serial: int, payload: bytes = b"", timeout_s: float | None = None
    ) -> None:
        """Send one frame, waiting for room in the socket where there is none."""
        unsent = memoryview(HEADER.pack(kind, serial, len(payload)) + payload)
        while unsent:
            try:
                unsent = unsent[os.write(self._fd, unsent) :]
            except BlockingIOError:
                _wait(self._writable, timeout_s)
            except ConnectionError as error:
                raise EOFError from error

    def receive(self, timeout_s: float | None = None) -> Frame:
        """The next frame, waiting for it."""
        while (frame := self._take()) is None:
            if not self._read():
                _wait(self._readable, timeout_s)
        return frame

    def receive_nowait(self) -> Frame | None:
        """The next frame if it is complete by now."""
        frame = self._take()
        while frame is None and self._read():
            frame = self._take()
        return frame

    def _read(self) -> bool:
        """Read what is there; False if nothing is."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._buffer += data
        return True

    def _take(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        kind, serial, length = HEADER.unpack_from(buffer)
        assert length <= FRAME_BYTES_MAX, f"frame of {length} bytes: the two sides lost step"
        end = HEADER.size + length
        if len(buffer) < end:
            return None
        payload = bytes(memoryview(buffer)[HEADER.size : end])
        del buffer[:end]
        return Frame(kind, serial, payload)


def _wait(poll: select.poll, timeout_s: float | None) -> None:
    if not poll.poll(None if timeout_s is None else timeout_s * 1000):
        raise TimeoutError
