"""libopus is found, checked and bound; each way to find it runs in an interpreter of its own."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.codecs import libopus
from gateway.codecs.libopus import Candidate
from gateway.errors import SetupError


def run_python(code: str, tmp_path: Path) -> str:
    """Run ``code`` in a new interpreter that compiles everything anew and takes no warning."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def carried_libopus() -> Path:
    return Path(next(libopus.carried_by_av()).path)


def test_the_av_wheel_carries_a_libopus() -> None:
    [candidate] = libopus.carried_by_av()
    assert candidate.origin == "av"
    assert Path(candidate.path).is_file()


def test_the_wheel_of_macos_keeps_it_in_a_hidden_directory(tmp_path: Path) -> None:
    (tmp_path / "av" / ".dylibs").mkdir(parents=True)
    library = tmp_path / "av" / ".dylibs" / "libopus.0.dylib"
    library.touch()
    (tmp_path / "av" / ".dylibs" / "libopencore-amrnb.0.dylib").touch()
    assert list(libopus.carried_by_av(tmp_path / "av")) == [Candidate(str(library), "av")]


def test_without_av_nothing_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus.importlib.util, "find_spec", lambda name: None)
    assert list(libopus.carried_by_av()) == []


def test_the_system_library_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so.0")
    found = list(libopus.candidates())
    assert found[0] == Candidate("libopus.so.0", "system")
    assert found[-1].origin == "av"


def test_homebrew_is_searched_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert [c.path for c in libopus.candidates() if c.origin == "homebrew"] == [
        "/opt/homebrew/lib/libopus.dylib",
        "/usr/local/lib/libopus.dylib",
    ]


def test_what_does_not_load_or_is_another_library_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "libopus.so"
    broken.write_bytes(b"not a library")
    good = Candidate(str(carried_libopus()), "av")
    other = Candidate(str(ctypes.util.find_library("m")), "libm")
    assert libopus.first_loadable([Candidate(str(broken), "broken"), other, good]) == good


def test_no_library_is_a_setup_error_that_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "libopus.so"
    broken.write_bytes(b"not a library")
    other = str(ctypes.util.find_library("m"))
    with pytest.raises(SetupError) as caught:
        libopus.first_loadable([Candidate(str(broken), "x"), Candidate(other, "y")])
    message = caught.value.message
    assert "pip install --force-reinstall" in message
    assert "apt install libopus0" in message
    assert str(broken) in message
    assert f"{other}: has no opus_encoder_create" in message
    assert caught.value.field == "libopus"


def test_no_candidate_is_a_setup_error_too() -> None:
    with pytest.raises(SetupError, match="no candidate exists"):
        libopus.first_loadable([])


def test_the_library_is_loaded_once() -> None:
    assert libopus.load() is libopus.load()


def test_the_info_names_a_version() -> None:
    info = libopus.load().info
    assert int(info.version.split(".")[0]) >= 1
    assert info.origin in {"system", "homebrew", "av"}
    assert info.path


def test_control_functions_declare_their_fixed_parameters_and_no_more() -> None:
    """A third type would turn the variadic argument into a fixed one, wrong on Apple silicon."""
    api = libopus.load().opuslib.api
    assert api.encoder.libopus_ctl.argtypes == (api.encoder.EncoderPointer, ctypes.c_int)
    assert api.decoder.libopus_ctl.argtypes == (api.decoder.DecoderPointer, ctypes.c_int)


def test_opuslib_keeps_its_own_prototypes() -> None:
    api = libopus.load().opuslib.api
    assert api.encoder.libopus_encode_float.argtypes[1] is api.c_float_pointer


def test_importing_opuslib_leaves_find_library_as_it_was(tmp_path: Path) -> None:
    output = run_python(
        "import ctypes.util\n"
        "before = ctypes.util.find_library\n"
        "from gateway.codecs import libopus\n"
        "libopus.bind(libopus.first_loadable(libopus.carried_by_av()))\n"
        "print(ctypes.util.find_library is before)\n",
        tmp_path,
    )
    assert output == "True\n"


def test_the_carried_library_works_without_importing_av(tmp_path: Path) -> None:
    output = run_python(
        "import sys, numpy\n"
        "from gateway.codecs import libopus\n"
        "libopus.candidates = libopus.carried_by_av\n"
        "from gateway.codecs.opus import OpusDecoder, OpusEncoder\n"
        "packet = OpusEncoder().encode(numpy.zeros(480, numpy.float32))\n"
        "print(len(OpusDecoder(24_000).decode(packet)), libopus.load().info.origin)\n"
        "print('av' in sys.modules, libopus.load().info.path)\n",
        tmp_path,
    )
    assert output == f"480 av\nFalse {carried_libopus()}\n"


def test_a_library_that_opuslib_was_bound_to_before_is_kept_and_named(tmp_path: Path) -> None:
    output = run_python(
        "import ctypes.util, warnings\n"
        "from gateway.codecs import libopus\n"
        "[first] = libopus.carried_by_av()\n"
        "ctypes.util.find_library = lambda name: first.path\n"
        "warnings.simplefilter('ignore', SyntaxWarning)\n"
        "import opuslib\n"
        "info = libopus.bind(libopus.Candidate('libopus-elsewhere.so', 'system')).info\n"
        "print(info.path == first.path, info.origin)\n",
        tmp_path,
    )
    assert output == "True imported earlier by other code\n"
