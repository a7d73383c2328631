import os
import subprocess
import sys

import pytest

from loadtest.cpu import (
    ProcessCpu,
    cpu_model,
    parse_machine,
    parse_stat,
    read_machine,
    read_process,
)

_NUMBERS = "S 41 42 42 0 -1 4194304 9 0 0 0 250 75 0 0 20 0 6 0 1234"


def test_user_and_system_time_are_added() -> None:
    stat = parse_stat(f"77 (python) {_NUMBERS}")

    assert (stat.parent, stat.cpu_ticks) == (41, 325)


def test_a_programs_name_may_look_like_the_end_of_the_name() -> None:
    stat = parse_stat(f"77 (a) S 1 (b) {_NUMBERS}")

    assert (stat.parent, stat.cpu_ticks) == (41, 325)


def test_the_machine_is_busy_while_it_neither_idles_nor_waits() -> None:
    text = "cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 50 10 15 2000 250 3 3 4 0 0\n"

    assert parse_machine(text) == 100 + 20 + 30 + 6 + 7 + 8


def test_parts_of_a_process_add_up() -> None:
    used = ProcessCpu(1.0, 2.0, 4.0)

    assert used.process_s == 3.0
    assert used.total_s == 7.0


def test_a_window_is_the_difference_of_two_readings() -> None:
    assert ProcessCpu(5.0, 7.0, 9.0).since(ProcessCpu(1.0, 2.0, 3.0)) == ProcessCpu(4.0, 5.0, 6.0)


def test_our_own_time_is_read() -> None:
    used = read_process(os.getpid())

    assert used.process_s > 0
    assert read_machine() >= used.process_s


def test_children_are_counted_and_so_are_theirs() -> None:
    burn = "import time; end = time.process_time() + 0.06\nwhile time.process_time() < end: pass\n"
    wait = "print('done', flush=True); input()"
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {burn + wait!r}])\n"
        "child.wait()"
    )
    before = read_process(os.getpid()).children_s
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"

        assert read_process(os.getpid()).children_s >= before + 0.05
        assert read_process(child.pid).children_s >= 0.05
        child.communicate(b"\n")


def test_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()

    with pytest.raises(OSError, match=str(child.pid)):
        read_process(child.pid)


def test_the_cpu_has_a_name() -> None:
    assert cpu_model()
