import pytest

from loadtest.runfile import Figure, Runs, joined, machine_kind, parse_runs, to_json

ONE = b'{"machine": "2 x CPU, load average 1.0", "figures": {"a": {"value": 2, "unit": "s", "better": "lower"}}}'  # noqa: E501


def test_a_run_says_one_number_for_each_figure() -> None:
    data = b'{"figures": {"a": {"samples": [3, 1, 9], "unit": "s", "better": "lower"}}}'

    assert parse_runs(data, "f").runs == ({"a": Figure(3.0, "s", "lower")},)


def test_the_load_of_the_moment_is_no_part_of_the_machine() -> None:
    assert parse_runs(ONE, "f").machine == "2 x CPU"
    assert machine_kind({"kind": "k", "cores": 2}) == "k"
    assert machine_kind(None) == ""


def test_what_is_written_is_read_again() -> None:
    runs = Runs("k", ({"a": Figure(0.5, "ratio", "higher")}, {"a": Figure(0.6, "ratio", "higher")}))

    assert parse_runs(to_json(runs), "f") == runs
    assert runs.values("a") == [0.5, 0.6]


def test_only_figures_of_every_run_are_common() -> None:
    figure = Figure(1.0, "s", "lower")

    assert Runs("k", ({"a": figure, "b": figure}, {"b": figure})).names() == ["b"]


def test_runs_of_two_machines_are_not_joined() -> None:
    one = parse_runs(ONE, "f")

    assert len(joined([one, one]).runs) == 2
    with pytest.raises(ValueError, match="different machines"):
        joined([one, Runs("other", one.runs)])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "f is not JSON"),
        (b"[]", "neither 'figures' nor 'runs'"),
        (b'{"runs": []}', "1 to 1000 runs"),
        (b'{"figures": {}}', "1 to 1000 figures"),
        (b'{"figures": {"a": 1}}', "figure 'a' must be an object, not 1"),
        (b'{"figures": {"a": {"value": 1}}}', "'better' is None"),
        (b'{"figures": {"a": {"value": 1, "better": "lower", "unit": 3}}}', "'unit' is 3"),
        (b'{"figures": {"a": {"better": "lower"}}}', "needs 'value', or 'samples'"),
        (b'{"figures": {"a": {"samples": [], "better": "lower"}}}', "needs 'value'"),
        (b'{"figures": {"a": {"value": true, "better": "lower"}}}', "True is not a number"),
        (b'{"figures": {"a": {"samples": ["1"], "better": "lower"}}}', "'1' is not a number"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_runs(data, "f")
