"""A virtual environment for each peer, made once from pinned requirements.

They lie in the user's cache, named for what is pinned and for the interpreter, so a changed pin
makes a new one.  ``uv`` makes them if it is there, else ``venv`` and ``pip``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT_S = 600.0
_LOG_CHARS = 2000
_REQUIREMENTS = Path(__file__).parent / "requirements"


def requirements_of(peer: str) -> Path:
    """The pinned packages of ``peer``."""
    return _REQUIREMENTS / f"{peer}.txt"


def cache_folder() -> Path:
    """Where environments are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "voice-gateway-loadtest"


def environment_folder(peer: str, requirements: bytes, cache: Path) -> Path:
    """The folder of the environment that has ``requirements`` and this interpreter."""
    text = requirements + sys.version.encode()
    return cache / f"{peer}-{hashlib.sha256(text).hexdigest()[:12]}"


def python_of(peer: str, cache: Path | None = None) -> Path:
    """The interpreter of the peer's environment, which is made if it is not there.

    Raises ChildProcessError if it can't be made: no network, no wheel for this machine.
    """
    requirements = requirements_of(peer)
    folder = environment_folder(peer, requirements.read_bytes(), cache or cache_folder())
    python, complete = folder / "bin" / "python", folder / ".complete"
    if complete.is_file():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "--only-binary", ":all:", "-r", str(requirements)])
    complete.touch()
    return python


def _run(command: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, env=kept, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ChildProcessError(
            f"{' '.join(command)} did not end in {INSTALL_TIMEOUT_S:g} s"
        ) from None
    if done.returncode:
        raise ChildProcessError(f"{' '.join(command)} failed:\n{done.stderr[-_LOG_CHARS:]}")
