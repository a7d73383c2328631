"""Finds libopus without a manual step, and repairs its Python binding.

opuslib asks ``ctypes.util.find_library("opus")`` once, while it is imported, and gives up if there
is no system library.  The wheel of PyAV (``av``), which we depend on anyway, carries one.  So we
look first, and answer opuslib's question ourselves:

    system library  ──►  Homebrew (macOS)  ──►  the one inside the av wheel  ──►  SetupError

The first that loads and has the functions we use wins.  A file that is there but does not load, for
example an arm64 library under an x86-64 Python, is passed over.  av itself is never imported.

Variadic functions.  ``opus_encoder_ctl(state, request, ...)`` is variadic.  On most platforms its
arguments travel like those of any function, but Apple's arm64 ABI passes named arguments in
registers and variadic ones on the stack.  ctypes learns which are which from ``argtypes``: those
beyond its length are variadic (libffi's ``ffi_prep_cif_var``), and without ``argtypes`` the call is
made as if none were.  opuslib sets none, so on Apple silicon libopus reads its value from a stack
slot that nobody wrote: garbage for a set, a crash for a get.  The cure is to declare the two fixed
parameters and *only* them; declaring the third as well would bring the fault back.  Variadic values
must then be ``int`` (a C int, which is opus_int32) or ``byref``: just what opuslib's macros pass.

The functions of the hot path get function objects of our own, whose buffers are plain addresses.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import SetupError

HOMEBREW_DIRECTORIES = ("/opt/homebrew/lib", "/usr/local/lib")
"""Where Homebrew links libraries on Apple silicon and on Intel."""

REQUIRED_FUNCTIONS = (
    "opus_encoder_create",
    "opus_encoder_ctl",
    "opus_encode_float",
    "opus_decoder_create",
    "opus_decoder_ctl",
    "opus_decode_float",
    "opus_get_version_string",
)

_import_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A library that may be libopus: a path or a name for the dynamic loader, and its origin."""

    path: str
    origin: str


@dataclass(frozen=True, slots=True)
class LibopusInfo:
    """The libopus in use, as ``voice-gateway doctor`` shows it."""

    path: str
    version: str
    origin: str


@dataclass(frozen=True, slots=True)
class Libopus:
    """The library, ready to use.

    ``opuslib`` is the binding, with its control functions repaired.  ``encode_float(state, pcm,
    frame_samples, packet, packet_bytes_max)`` and ``decode_float(state, packet, packet_bytes, pcm,
    samples_max, fec)`` are the C functions; ``pcm`` and ``encode_float``'s packet are addresses.
    Both release the GIL.  A negative result is an error code for ``error_text``.
    """

    info: LibopusInfo
    opuslib: Any
    encode_float: Callable[..., int]
    decode_float: Callable[..., int]

    def encoder_set(self, encoder: Any, macro: str, value: int) -> None:
        """Set an encoder option by the name of its macro, such as ``set_bitrate``.

        opuslib's properties are not used: ``inband_fec`` raises, and ``dtx`` does nothing.
        """
        ctl = getattr(self.opuslib.api.ctl, macro)
        self.opuslib.api.encoder.encoder_ctl(encoder.encoder_state, ctl, int(value))

    def encoder_get(self, encoder: Any, macro: str) -> int:
        """Read an encoder option by the name of its macro, such as ``get_lookahead``."""
        ctl = getattr(self.opuslib.api.ctl, macro)
        return int(self.opuslib.api.encoder.encoder_ctl(encoder.encoder_state, ctl))

    def error_text(self, code: int) -> str:
        """Explain an error code in libopus's words."""
        text: bytes = self.opuslib.api.info.strerror(code)
        return text.decode()


def candidates() -> Iterator[Candidate]:
    """Every place to look, best first; lazy, because asking the system costs some 10 ms."""
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield Candidate(system, "system")
    if sys.platform == "darwin":
        for directory in HOMEBREW_DIRECTORIES:
            yield Candidate(f"{directory}/libopus.dylib", "homebrew")
    yield from carried_by_av()


def carried_by_av(package: Path | None = None) -> Iterator[Candidate]:
    """What the av wheel brings: ``av.libs`` beside the package (Linux), ``.dylibs`` in it (macOS).

    ``package`` is the directory of av; it is located, not imported, if left out.
    """
    if package is None:
        spec = importlib.util.find_spec("av")
        if spec is None or spec.origin is None:
            return
        package = Path(spec.origin).parent
    for directory in (package.with_name("av.libs"), package / ".dylibs"):
        for path in sorted(directory.glob("libopus*")):
            yield Candidate(str(path), "av")


def first_loadable(search: Iterable[Candidate]) -> Candidate:
    """Return the first candidate that loads and is libopus.  Raises SetupError if none is."""
    failures = []
    for candidate in search:
        try:
            library = ctypes.CDLL(candidate.path)
        except OSError as error:
            failures.append(f"{candidate.path}: {error}")
            continue
        missing = [name for name in REQUIRED_FUNCTIONS if not hasattr(library, name)]
        if not missing:
            return candidate
        failures.append(f"{candidate.path}: has no {missing[0]}")
    raise SetupError(
        "libopus was not found, so Opus audio cannot be made. Reinstall PyAV from a wheel "
        "(pip install --force-reinstall --only-binary av av), or install the system library "
        "(apt install libopus0, dnf install opus, brew install opus). "
        f"Tried: {'; '.join(failures) or 'no candidate exists'}.",
        field="libopus",
    )


def bind(candidate: Candidate) -> Libopus:
    """Import opuslib against ``candidate`` and declare the types of the functions we call.

    opuslib binds once in a process: if something imported it before, that library is kept, and the
    info says so.
    """
    opuslib = _import_opuslib(candidate.path)
    encoder, decoder, library = opuslib.api.encoder, opuslib.api.decoder, opuslib.api.libopus

    # Only the fixed parameters: see the module's docstring.
    encoder.libopus_ctl.argtypes = (encoder.EncoderPointer, ctypes.c_int)
    decoder.libopus_ctl.argtypes = (decoder.DecoderPointer, ctypes.c_int)

    # Indexing a CDLL makes a new function object, so opuslib's own prototypes stay as they are.
    encode_float = library["opus_encode_float"]
    encode_float.argtypes = (
        encoder.EncoderPointer,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_int32,
    )
    encode_float.restype = ctypes.c_int32
    decode_float = library["opus_decode_float"]
    decode_float.argtypes = (
        decoder.DecoderPointer,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
    )
    decode_float.restype = ctypes.c_int

    path: str = library._name
    origin = candidate.origin if path == candidate.path else "imported earlier by other code"
    version: bytes = opuslib.api.info.get_version_string()
    info = LibopusInfo(path, version.decode().removeprefix("libopus "), origin)
    return Libopus(info, opuslib, encode_float, decode_float)


@functools.cache
def load() -> Libopus:
    """Return the library of this process, found at the first call.  Raises SetupError."""
    return bind(first_loadable(candidates()))


def _import_opuslib(path: str) -> Any:
    """Import opuslib while ``find_library("opus")`` answers ``path``."""
    with _import_lock, warnings.catch_warnings():
        # opuslib compares integers with "is", which the compiler remarks on.
        warnings.simplefilter("ignore", SyntaxWarning)
        original = ctypes.util.find_library
        ctypes.util.find_library = lambda name: path if name == "opus" else original(name)
        try:
            opuslib = importlib.import_module("opuslib")
            for module in ("ctl", "decoder", "encoder", "info"):
                importlib.import_module(f"opuslib.api.{module}")
        finally:
            ctypes.util.find_library = original
    return opuslib
