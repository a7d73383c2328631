"""The rules of the house that a machine can check; docs/architecture.md says why each exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

SOURCES = sorted(
    path
    for folder in ("gateway", "tests", "loadtest")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
PACKAGE = [path for path in SOURCES if path.is_relative_to(ROOT / "gateway")]

SHELLS = (
    "gateway/app.py",
    "gateway/server.py",
    "gateway/doctor.py",
    "gateway/loading.py",
    "gateway/codecs/libopus.py",  # for a lock: the library is loaded once
    "gateway/cli/",
    "gateway/client/",
    "gateway/engine/dispatcher.py",
    "gateway/engine/espeak",
    "gateway/engine/kokoro/download.py",  # between attempts
    "gateway/engine/kokoro/stages.py",  # for a lock: a captured graph serves one call at a time
    "gateway/engine/kokoro/trial_process.py",
    "gateway/engine/kokoro/trial_work.py",
    "gateway/engine/kokoro/placing.py",
    "gateway/session/connection.py",
    "gateway/session/conversation.py",
    "gateway/session/endpoint.py",
    "gateway/session/exchange.py",
    "gateway/session/http.py",
    "gateway/session/runner.py",
    "gateway/session/socket.py",
    "gateway/session/stream.py",
    "gateway/session/ticker.py",
)
"""The only files that wait, read clocks or start threads."""

PURE_IN_SHELL_FOLDERS = ("gateway/client/jitter_buffer.py", "gateway/client/wire.py")

WAITING = {"asyncio", "threading", "concurrent", "multiprocessing", "selectors", "time", "anyio"}

NEVER_TOGETHER = ("gateway.session", "gateway.engine", "gateway.codecs")
"""They meet in synthesis.py and media.py only; app.py hands them to each other."""

ONLY_HERE = {
    "opuslib": ("gateway/codecs/libopus.py",),
    "espeakng_loader": ("gateway/engine/espeak", "gateway/doctor.py"),
    "onnxruntime": (
        "gateway/engine/kokoro/runtime.py",
        "gateway/engine/kokoro/export/quantize.py",  # its tools, which the runtime never needs
        "gateway/doctor.py",
    ),
    "uvicorn": ("gateway/server.py", "gateway/doctor.py"),
    "prometheus_client": ("gateway/ops/metrics.py",),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


def is_shell(name: str) -> bool:
    return name.startswith(SHELLS) and name not in PURE_IN_SHELL_FOLDERS


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_fit(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "web").rglob("*.js")), ids=name_of)
def test_scripts_fit(path: Path) -> None:
    if "vendor" not in path.parts:
        assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_only_shells_wait_or_read_clocks(path: Path) -> None:
    if not is_shell(name_of(path)):
        assert not {module.split(".")[0] for module in imports_of(path)} & WAITING


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_sessions_engines_and_codecs_do_not_know_one_another(path: Path) -> None:
    module = name_of(path).removesuffix(".py").replace("/", ".")
    for package in NEVER_TOGETHER:
        if within(module, package):
            others = [other for other in NEVER_TOGETHER if other != package]
            for imported in imports_of(path):
                assert not any(within(imported, other) for other in others), imported


LEAVES = ("media", "synthesis", "settings", "settings_sources", "errors", "trace", "access")


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_only_leaves(leaf: str) -> None:
    for imported in imports_of(ROOT / "gateway" / f"{leaf}.py"):
        if within(imported, "gateway"):
            assert imported.removeprefix("gateway.") in LEAVES


@pytest.mark.parametrize("library", ONLY_HERE)
def test_a_library_is_wrapped_in_one_place(library: str) -> None:
    users = {name_of(p) for p in PACKAGE if any(within(m, library) for m in imports_of(p))}
    allowed = ONLY_HERE[library]
    assert all(user.startswith(allowed) for user in users), users


def test_only_the_exporter_needs_torch() -> None:
    exporter = "gateway/engine/kokoro/export/"
    users = [name_of(p) for p in PACKAGE if any(within(m, "torch") for m in imports_of(p))]
    assert users
    assert all(user.startswith(exporter) for user in users), users


def test_nothing_but_its_command_needs_the_exporter() -> None:
    package = "gateway.engine.kokoro.export"
    users = [name_of(p) for p in PACKAGE if any(within(m, package) for m in imports_of(p))]
    outside = [user for user in users if not user.startswith("gateway/engine/kokoro/export/")]
    assert outside == ["gateway/cli/models_build.py"]


def test_nothing_is_left_unfinished() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "raise " + "NotImplemented")
    left = [(name_of(path), mark) for path in SOURCES for mark in marks if mark in path.read_text()]
    assert left == []
