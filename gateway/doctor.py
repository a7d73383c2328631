"""Is everything here that a gateway needs?  Each check says what it found and what to do.

``fail``: the gateway can't run, or not as it is configured.  ``warn``: it runs, with less.
The checks touch nothing: they look, load libraries, and bind the port for an instant.
"""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.codecs import libopus
from gateway.engine.espeak import espeak_available, espeak_facts
from gateway.engine.hardware import usable_cores
from gateway.errors import SetupError
from gateway.settings import Settings, layers_of, load

Status = Literal["ok", "warn", "fail"]

PYTHON_MIN = (3, 11)
FILES_BESIDE_SESSIONS = 100
"""Open files that a gateway needs besides its sessions: libraries, workers, listening sockets."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; ``advice`` is empty if nothing need be done."""

    name: str
    status: Status
    detail: str
    advice: str = ""


def run_checks(
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
    models: tuple[Path, ...] = (),
) -> Iterator[Check]:
    """All checks, one after the other, as they are made; ``models`` are directories to look at."""
    yield check_python(sys.version_info[:3])
    yield Check("platform", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield check_cores(usable_cores())
    yield check_opus()
    yield check_espeak()
    yield check_onnxruntime()
    yield check_uvloop()
    settings, check = check_settings(config, overrides)
    yield check
    if settings is not None:
        yield check_port(settings.server.host, settings.server.port)
        yield check_open_files(open_files_limit(), settings.limits.sessions_max)
        for folder in models:
            yield check_placement(folder, settings)


def check_python(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    text = f"{platform.python_implementation()} {'.'.join(map(str, version))} at {sys.executable}"
    if version < PYTHON_MIN:
        needed = ".".join(map(str, PYTHON_MIN))
        return Check("python", "fail", text, f"install Python {needed} or newer")
    return Check("python", "ok", text)


def check_cores(cores: int) -> Check:
    """Whether synthesis and sending can run at the same time."""
    if cores < 2:
        return Check(
            "cores",
            "warn",
            f"{cores} usable core",
            "give the gateway two cores: synthesis and sending share this one",
        )
    return Check("cores", "ok", f"{cores} usable cores")


def check_opus() -> Check:
    """Whether there is a libopus, and which."""
    try:
        info = libopus.load().info
    except SetupError as error:
        return Check("libopus", "fail", "not found", error.message)
    return Check("libopus", "ok", f"{info.version} ({info.origin}) at {info.path}")


def check_espeak() -> Check:
    """Whether the embedded voice can speak; it is started for a moment."""
    if not espeak_available():
        return Check(
            "espeak-ng",
            "warn",
            "not installed",
            "for the embedded voices: pip install 'voice-gateway[espeak]'",
        )
    try:
        facts = espeak_facts()
    except SetupError as error:
        return Check("espeak-ng", "fail", "does not start", error.message)
    return Check(
        "espeak-ng",
        "ok",
        f"{facts['version']}, {facts['voices']} voices ({facts['wheel']}) at {facts['library']}",
    )


def check_onnxruntime() -> Check:
    """Whether neural voices could run, and on what."""
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        return Check(
            "onnxruntime", "warn", f"does not load: {error}", "pip install --upgrade onnxruntime"
        )
    providers = ", ".join(onnxruntime.get_available_providers())
    return Check("onnxruntime", "ok", f"{onnxruntime.__version__} with {providers}")


def check_placement(folder: Path, settings: Settings) -> Check:
    """Whether the model in ``folder`` was measured on this machine, and how it will be run."""
    from gateway.engine.kokoro.placing import placer_of

    name = f"placement of {folder.name}"
    try:
        placer = placer_of(folder, settings.engine)
    except SetupError as error:
        return Check(name, "fail", error.message)
    found = placer.remembered()
    if found is None:
        advice = f"measure it with: voice-gateway models place {folder}"
        return Check(name, "warn", placer.start.source, advice)
    return Check(name, "warn" if "busy machine" in found.source else "ok", found.source)


def check_uvloop() -> Check:
    """Whether the fast event loop is there."""
    try:
        importlib.import_module("uvloop")
    except ImportError:
        return Check(
            "uvloop",
            "warn",
            "not installed",
            "pip install uvloop: the same sessions take some 13 % less CPU",
        )
    return Check("uvloop", "ok", importlib.metadata.version("uvloop"))


def check_settings(
    config: Path | None, overrides: tuple[str, ...] = ()
) -> tuple[Settings | None, Check]:
    """Whether the settings can be read; gives them back if so."""
    try:
        settings = load(config, overrides)
        layers = layers_of(config, overrides)
    except SetupError as error:
        return None, Check(
            "settings", "fail", error.message, "correct it; serve --print-config shows all settings"
        )
    names = len(layers.file_names) + len(layers.environment) + len(layers.flags)
    file = str(layers.file.resolve()) if layers.file else "no file"
    return settings, Check("settings", "ok", f"{file}; {names} settings differ from the defaults")


def check_port(host: str, port: int) -> Check:
    """Whether the gateway could listen on its port."""
    name = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as servers do: a port in TIME_WAIT is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Check(
                "port",
                "warn",
                f"{name} is in use",
                "fine if a gateway runs there already; else choose another with --port",
            )
        reason = error.strerror or str(error)
        return Check("port", "fail", f"{name}: {reason}", "choose another --host or --port")
    return Check("port", "ok", f"{name} is free")


def open_files_limit() -> int | None:
    """How many files this process may open; None if there is no limit, or none that we know."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def check_open_files(limit: int | None, sessions_max: int) -> Check:
    """Whether every session could have its socket."""
    if limit is None:
        return Check("open files", "ok", "no limit")
    needed = sessions_max + FILES_BESIDE_SESSIONS
    if limit < needed:
        return Check(
            "open files",
            "warn",
            f"the limit is {limit}; {sessions_max} sessions need about {needed}",
            f"raise it (ulimit -n {needed}), or lower limits.sessions_max",
        )
    return Check("open files", "ok", f"limit {limit}, enough for {sessions_max} sessions")
