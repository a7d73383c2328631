"""Each check of the doctor, on this machine and on worse ones."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from gateway import doctor
from gateway.doctor import Check, check_cores, check_open_files, check_port, check_python


def test_this_machine_passes() -> None:
    checks = list(doctor.run_checks(None, ("server.port=0",)))
    assert [check.name for check in checks] == [
        "python",
        "platform",
        "cores",
        "libopus",
        "espeak-ng",
        "onnxruntime",
        "uvloop",
        "settings",
        "port",
        "open files",
    ]
    assert not [check for check in checks if check.status == "fail"]
    assert all(check.detail for check in checks)


def test_the_opus_check_names_version_and_place() -> None:
    check = doctor.check_opus()
    assert check.status == "ok"
    assert "libopus" in check.detail
    assert check.detail[0].isdigit()


def test_an_old_python_fails() -> None:
    check = check_python((3, 10, 4))
    assert (check.status, check.advice) == ("fail", "install Python 3.11 or newer")
    assert check_python((3, 13, 0)).status == "ok"


def test_a_single_core_is_a_warning() -> None:
    assert check_cores(1).status == "warn"
    assert check_cores(4) == Check("cores", "ok", "4 usable cores")


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("uvloop", "uvloop", "pip install uvloop"),
        ("onnxruntime", "onnxruntime", "pip install --upgrade onnxruntime"),
        ("espeakng_loader", "espeak-ng", "pip install 'voice-gateway[espeak]'"),
    ],
)
def test_a_library_that_is_missing_is_a_warning_with_the_command_to_run(
    module: str, name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (check,) = [each for each in doctor.run_checks() if each.name == name]
    assert check.status == "warn"
    assert advice in check.advice


def test_too_few_open_files_are_a_warning_with_the_command_to_run() -> None:
    check = check_open_files(256, 1000)
    assert check.status == "warn"
    assert check.detail == "the limit is 256; 1000 sessions need about 1100"
    assert "ulimit -n 1100" in check.advice
    assert check_open_files(1100, 1000).status == "ok"
    assert check_open_files(None, 1000).status == "ok"


def test_a_port_in_use_is_a_warning() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert check_port("127.0.0.1", port).status == "warn"
    assert check_port("127.0.0.1", port).status == "ok"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_fails(host: str) -> None:
    check = check_port(host, 8000)
    assert check.status == "fail"
    assert check.advice == "choose another --host or --port"


def test_wrong_settings_fail_and_end_the_checks(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[limits]\nsessions_max = 0\n")
    checks = list(doctor.run_checks(file))
    assert checks[-1].name == "settings"
    assert checks[-1].status == "fail"
    assert "limits.sessions_max = 0" in checks[-1].detail


def test_settings_that_differ_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text("[limits]\nsessions_max = 5\ncontext_id_chars_max = 16\n")
    _, check = doctor.check_settings(file, ("server.port=1",))
    assert check.status == "ok"
    assert check.detail.endswith("3 settings differ from the defaults")


def test_the_limit_of_open_files_is_that_of_the_process() -> None:
    resource = pytest.importorskip("resource")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert doctor.open_files_limit() in (soft, None)
