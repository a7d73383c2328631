"""The program that speaks with espeak-ng: ``python -m gateway.engine.espeak_worker``.

    gateway ◄── socket pair, frames of espeak_frames ──► this process ── ctypes ──► espeak-ng

Only this program loads espeak-ng, which is GPL-3, keeps its whole state in globals (no two threads
may use it) and can crash.  The gateway runs several of these, replaces those that die, and never
loads the library itself.

Arguments: path of the library, directory that holds ``espeak-ng-data``, block length in ms.
Standard input is the socket.  It ends when the socket closes.  On Linux the kernel kills it with
the gateway too (PR_SET_PDEATHSIG), even if it hangs in the library.  It ignores SIGINT and SIGTERM,
which terminals and service managers send to the whole group: the gateway decides when speech ends.

Start-up time counts, since a crashed worker is missing until its successor is ready.  Hence the
plain classes and the short list of imports.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from gateway.engine.espeak_frames import (
    AUDIO,
    CANCEL,
    CANCELLED,
    END,
    ESPEAK_ERROR,
    FAILED,
    LIST,
    MARK,
    NO_VOICE,
    NUMBER,
    PAUSE_AT_END,
    PHONEME_TIE,
    PHONEMES,
    PHONEMIZE,
    PHONEMIZE_HEAD,
    READY,
    SPEAK,
    SPEAK_HEAD,
    SPOKEN,
    VOICES,
    Channel,
    Frame,
)

VOLUME = 70
"""Percent of espeak's own level: at 100 its Klatt voices clip (72 samples in 8 sentences), at 80
the British ones still do."""

PITCH_RANGE = 75
"""Percent, espeak's own is 50: the middle 80 % of the pitch spans 5 semitones instead of 4."""

# Constants of speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _VOLUME, _RANGE = 1, 2, 4
_FROM_CHARACTER = 1
_UTF8, _END_PAUSE = 1, 0x1000
_EVENT_TERMINATED, _EVENT_WORD = 0, 1
_TIED_IPA = 0x02 | 0x80 | ord(PHONEME_TIE) << 8

_PR_SET_PDEATHSIG = 1


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event)
)


class Worker:
    """espeak-ng on one side, a channel on the other.

    Raises OSError if the library or its data cannot be loaded.
    """

    def __init__(self, channel: Channel, library: str, data: str, block_ms: int) -> None:
        self._channel = channel
        self._serial = 0
        self._cancelled = False
        self._voice = b""
        self._lib = _load(library)
        self.sample_rate: int = self._lib.espeak_Initialize(
            _SYNCHRONOUS, block_ms, os.fsencode(data), _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise OSError(f"espeak-ng found no usable voice data in {data}")
        self._callback = _SynthCallback(self._receive_block)
        self._lib.espeak_SetSynthCallback(self._callback)

    def run(self) -> None:
        """Answer frames until the channel closes."""
        version: bytes = self._lib.espeak_Info(None)
        self._channel.send(READY, 0, NUMBER.pack(self.sample_rate) + version)
        while True:
            frame = self._channel.receive()
            if frame.kind == SPEAK:
                status = self._speak(frame)
                self._channel.send(END, frame.serial, NUMBER.pack(status))
            elif frame.kind == LIST:
                lines = [*self._voice_lines(None), *self._voice_lines(b"variant")]
                self._channel.send(VOICES, frame.serial, b"\n".join(lines))
            elif frame.kind == PHONEMIZE:
                self._phonemize(frame)
            else:
                assert frame.kind == CANCEL, frame.kind  # it came too late: that one is over

    def _speak(self, frame: Frame) -> int:
        rate, flags, voice_length = SPEAK_HEAD.unpack_from(frame.payload)
        text_start = SPEAK_HEAD.size + voice_length
        voice, text = frame.payload[SPEAK_HEAD.size : text_start], frame.payload[text_start:]
        if not self._select(voice):
            return NO_VOICE
        self._lib.espeak_SetParameter(_RATE, rate, 0)
        self._lib.espeak_SetParameter(_VOLUME, VOLUME, 0)
        self._lib.espeak_SetParameter(_RANGE, PITCH_RANGE, 0)
        self._serial, self._cancelled = frame.serial, False
        mode = _UTF8 | (_END_PAUSE if flags & PAUSE_AT_END else 0)  # neither SSML nor [[phonemes]]
        failed = self._lib.espeak_Synth(
            text, len(text) + 1, 0, _FROM_CHARACTER, 0, mode, None, None
        )
        if self._cancelled:
            return CANCELLED
        return ESPEAK_ERROR if failed else SPOKEN

    def _phonemize(self, frame: Frame) -> None:
        (voice_length,) = PHONEMIZE_HEAD.unpack_from(frame.payload)
        texts_start = PHONEMIZE_HEAD.size + voice_length
        if not self._select(frame.payload[PHONEMIZE_HEAD.size : texts_start]):
            self._channel.send(END, frame.serial, NUMBER.pack(NO_VOICE))
            return
        texts = frame.payload[texts_start:].split(b"\n")
        self._channel.send(PHONEMES, frame.serial, b"\n".join(map(self._phonemes_of, texts)))

    def _phonemes_of(self, text: bytes) -> bytes:
        """One line; the library takes a clause at a time and moves the pointer on."""
        clauses = []
        rest = ctypes.c_char_p(text)
        while rest.value:
            clauses.append(
                self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _TIED_IPA).strip()
            )
        return b" ".join(filter(None, clauses))

    def _select(self, voice: bytes) -> bool:
        """Speak with ``voice`` from now on; False if there is none of that name."""
        if voice != self._voice:
            self._voice = b""
            if self._lib.espeak_SetVoiceByName(voice) != 0:
                return False
            self._voice = voice
        return True

    def _receive_block(self, samples: int | None, count: int, events: ctypes.Array[_Event]) -> int:
        """The library's callback; returns 1 to stop.  No exception may pass through C."""
        try:
            marks = _word_marks(events)
            pcm = ctypes.string_at(samples, 2 * count) if samples else b""
            if marks or pcm:
                head = NUMBER.pack(len(marks) // MARK.size)
                self._channel.send(AUDIO, self._serial, head + marks + pcm)
            frame = self._channel.receive_nowait()
            if frame is not None:
                assert frame.kind == CANCEL, frame.kind
                self._cancelled = frame.serial == self._serial
        except BaseException as error:
            _exit(error)
        return int(self._cancelled)

    def _voice_lines(self, language: bytes | None) -> list[bytes]:
        """All voices, or the variants, which espeak lists only if asked for by that language."""
        wanted = None
        if language is not None:
            tag = ctypes.create_string_buffer(language)
            wanted = ctypes.byref(_Voice(languages=ctypes.addressof(tag)))
        found = self._lib.espeak_ListVoices(wanted)
        lines: list[bytes] = []
        while entry := found[len(lines)]:
            voice = entry.contents
            fields = (voice.name, voice.identifier, b"%d" % voice.gender)
            lines.append(b"\t".join((*fields, *_languages(voice.languages))))
        return lines


def _load(path: str) -> ctypes.CDLL:
    lib = ctypes.CDLL(path)
    c_int, c_uint, c_char_p, c_void_p = (
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_char_p,
        ctypes.c_void_p,
    )
    lib.espeak_Initialize.argtypes = (c_int, c_int, c_char_p, c_int)
    lib.espeak_SetSynthCallback.argtypes = (_SynthCallback,)
    lib.espeak_SetSynthCallback.restype = None
    lib.espeak_SetVoiceByName.argtypes = (c_char_p,)
    lib.espeak_SetParameter.argtypes = (c_int, c_int, c_int)
    lib.espeak_Synth.argtypes = (
        c_char_p,
        ctypes.c_size_t,
        c_uint,
        c_int,
        c_uint,
        c_uint,
        ctypes.POINTER(c_uint),
        c_void_p,
    )
    lib.espeak_TextToPhonemes.argtypes = (ctypes.POINTER(c_char_p), c_int, c_int)
    lib.espeak_TextToPhonemes.restype = c_char_p
    lib.espeak_Info.argtypes = (ctypes.POINTER(c_char_p),)
    lib.espeak_Info.restype = c_char_p
    lib.espeak_ListVoices.argtypes = (ctypes.POINTER(_Voice),)
    lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    return lib


def _word_marks(events: ctypes.Array[_Event]) -> bytes:
    """The WORD events of a block as MARKs; espeak counts text positions from 1."""
    marks = b""
    index = 0
    while (event := events[index]).type != _EVENT_TERMINATED:
        if event.type == _EVENT_WORD:
            marks += MARK.pack(max(0, event.text_position - 1), event.sample)
        index += 1
    return marks


def _languages(address: int) -> list[bytes]:
    """Entries of (priority byte, name, zero byte), up to a zero priority."""
    entries = []
    while priority := ctypes.c_ubyte.from_address(address).value:
        language = ctypes.string_at(address + 1)
        entries.append(b"%d=%s" % (priority, language.lower()))
        address += len(language) + 2
    return entries


def _die_with_the_gateway() -> None:
    """Linux only; elsewhere the closed socket ends a worker that is not stuck in the library."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _exit(error: BaseException) -> None:
    """End at once from inside the library; a closed channel is the usual and silent reason."""
    if isinstance(error, EOFError):
        os._exit(0)
    sys.excepthook(type(error), error, error.__traceback__)
    os._exit(1)


def main(library: str, data: str, block_ms: str) -> int:
    """Run until the gateway closes the socket; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_the_gateway()
    channel = Channel(0)
    try:
        try:
            worker = Worker(channel, library, data, int(block_ms))
        except (OSError, AttributeError) as error:
            channel.send(FAILED, 0, str(error).encode(errors="replace"))
            return 1
        worker.run()
    except EOFError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
