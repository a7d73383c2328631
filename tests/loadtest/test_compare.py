"""Real processes in turn, baselines, verdicts and exit statuses."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtest import compare, interleave
from loadtest.__main__ import app
from loadtest.compare import baseline_path, store_baseline
from loadtest.interleave import order, run_once, side
from loadtest.judge import Terms
from loadtest.runfile import Figure, Runs, to_json

MACHINE = "2 x CPU"
SCRIPT = """
import json, sys
value = {value} * (1 + (hash(sys.argv[1]) % 100) / 10_000)
figures = {{"t": {{"value": value, "unit": "s", "better": "lower"}},
            "r": {{"value": value, "unit": "ratio", "better": "lower"}}}}
json.dump({{"machine": "2 x CPU", "figures": figures}}, open(sys.argv[1], "w"))
sys.exit(1)
"""


def script(folder: Path, name: str, value: float) -> str:
    path = folder / name
    path.write_text(SCRIPT.format(value=value))
    return f"{sys.executable} {path} {{json}}"


def file_of(path: Path, *values: float, machine: str = MACHINE) -> str:
    runs = tuple(
        {"t": Figure(value, "s", "lower"), "r": Figure(value / 2, "ratio", "lower")}
        for value in values
    )
    path.write_bytes(to_json(Runs(machine, runs)))
    return str(path)


def compared(a: str, b: str, baselines: Path, machine: str = MACHINE) -> compare.Comparison:
    return compare.compare(
        a, b, pairs=10, seed=1, tree_command="", terms=Terms(), machine=machine,
        progress=lambda _: None, baselines=baselines,
    )  # fmt: skip


def test_half_of_the_pairs_begin_with_each_side() -> None:
    assert sorted(order(10, 1)) == [False] * 5 + [True] * 5
    assert order(10, 1) != order(10, 2)


def test_commands_run_in_turn_and_the_slower_one_is_worse(tmp_path: Path) -> None:
    result = compared(script(tmp_path, "a.py", 1), script(tmp_path, "b.py", 1.2), tmp_path)

    assert (result.verdict, result.status, result.paired) == ("worse", 1, True)
    assert len(result.a_runs.runs) == len(result.b_runs.runs) == 10
    assert result.changes[0].change == pytest.approx(0.2, abs=0.02)
    assert "verdict: worse" in compare.as_text(result, Terms())
    assert json.loads(compare.as_json(result, Terms()))["verdict"] == "worse"


def test_files_of_one_machine_are_compared_in_seconds(tmp_path: Path) -> None:
    a = file_of(tmp_path / "a.json", *[1.0, 1.01] * 6)
    b = file_of(tmp_path / "b.json", *[1.0, 1.01] * 5)

    result = compared(a, b, tmp_path)

    assert [change.name for change in result.changes] == ["t", "r"]
    assert (result.verdict, result.status, result.paired) == ("same", 0, False)


def test_files_of_two_machines_only_by_their_ratios(tmp_path: Path) -> None:
    a = file_of(tmp_path / "a.json", *[1.0, 1.01] * 6)
    b = file_of(tmp_path / "b.json", *[0.5, 0.501] * 6, machine="other")

    result = compared(a, b, tmp_path)

    assert [change.name for change in result.changes] == ["r"]
    assert (result.verdict, result.status) == ("better", 0)


def test_a_baseline_keeps_ratios_and_gates_by_them(tmp_path: Path) -> None:
    runs = file_of(tmp_path / "runs.json", *[1.0, 1.01] * 6)

    path = store_baseline(runs, 10, "", MACHINE, lambda _: None, tmp_path)

    assert path == baseline_path(MACHINE, tmp_path) == tmp_path / "2-x-cpu.json"
    assert list(json.loads(path.read_bytes())["runs"][0]["figures"]) == ["r"]
    slower = script(tmp_path, "b.py", 0.7)
    assert compared("baseline", slower, tmp_path).status == 1
    assert compared("baseline", runs, tmp_path).status == 0
    with pytest.raises(ValueError, match="no baseline is stored for 'another'"):
        compared("baseline", runs, tmp_path, machine="another")


def test_a_baseline_needs_runs_of_this_machine(tmp_path: Path) -> None:
    few = file_of(tmp_path / "few.json", 1.0, 1.0)

    with pytest.raises(ValueError, match="at least 10 runs; these are 2"):
        store_baseline(few, 10, "", MACHINE, lambda _: None, tmp_path)
    with pytest.raises(ValueError, match="this machine is 'another'"):
        store_baseline(few, 10, "", "another", lambda _: None, tmp_path)


def test_a_tree_is_run_with_its_own_packages(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(SCRIPT.format(value=3))

    runs = run_once(side(str(tmp_path), "python -m probe {json}"))

    assert runs.values("r")[0] == pytest.approx(3, rel=0.02)


def test_a_command_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="'true' is neither a run file, a folder, nor"):
        side("true", interleave.TREE_COMMAND)


def test_a_command_that_writes_nothing_is_told_with_its_output() -> None:
    with pytest.raises(ChildProcessError, match="status 3 and wrote no run file:\nalas"):
        run_once(side("sh -c 'echo alas; exit 3; {json}'", ""))


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(ChildProcessError, match=r"did not end in 0\.2 s"):
        run_once(side("sh -c 'exec sleep 20; {json}'", ""), timeout_s=0.2)


def test_the_command_line_ends_with_the_verdict(tmp_path: Path) -> None:
    a = file_of(tmp_path / "a.json", *[1.0, 1.01] * 6)
    b = file_of(tmp_path / "b.json", *[1.3, 1.31] * 6)
    noisy = file_of(tmp_path / "noisy.json", *[0.5, 2.0] * 6)
    run = CliRunner().invoke
    kept = ["--json", str(tmp_path / "v.json"), "--keep", str(tmp_path / "kept")]

    assert run(app, ["compare", a, a]).exit_code == 0
    assert run(app, ["compare", a, b, *kept]).exit_code == 1
    assert run(app, ["compare", a, noisy]).exit_code == 3
    assert run(app, ["compare", a, "nothing"]).exit_code == 2
    assert json.loads((tmp_path / "v.json").read_text())["changes"][0]["verdict"] == "worse"
    assert (tmp_path / "kept" / "b.json").is_file()
