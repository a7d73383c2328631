"""Fetching a file from a server that cuts, refuses, lies, or lacks Range."""

import errno
import hashlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.engine.kokoro import download as module
from gateway.engine.kokoro.download import Patience, download, part_of
from gateway.engine.kokoro.published import PublishedFile
from gateway.errors import SetupError
from tests.engine.kokoro.file_server import FileServer, serving

DATA = bytes(range(256)) * 4000  # 1,024,000 bytes
FILE = PublishedFile(file="model.onnx", bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
QUICK = Patience(tries_max=3, delay_s=0.001, timeout_s=5.0)


class Place(NamedTuple):
    server: FileServer
    target: Path

    def fetch(self, file: PublishedFile = FILE) -> list[int]:
        """Download; gives back what the progress was told."""
        told: list[int] = []
        download(f"{self.server.url}/model.onnx", file, self.target, told.append, QUICK)
        return told

    @property
    def part(self) -> Path:
        return part_of(self.target)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "model.onnx").write_bytes(DATA)
    with serving(tmp_path / "served") as server:
        yield Place(server, tmp_path / "models" / "model.onnx")


def test_a_file_arrives_whole(place):
    told = place.fetch()
    assert place.target.read_bytes() == DATA
    assert not place.part.exists()
    assert (told[0], told[-1]) == (0, len(DATA))
    assert told == sorted(told)
    assert place.server.ranges == [None]


def test_a_cut_connection_is_resumed_where_it_stopped(place):
    place.server.cut_after = [300_000, 400_000]
    place.fetch()
    assert place.target.read_bytes() == DATA
    assert place.server.ranges == [None, "bytes=300000-", "bytes=700000-"]


def test_a_server_without_range_begins_anew(place):
    place.server.ranges_supported = False
    place.server.cut_after = [300_000]
    place.fetch()
    assert place.target.read_bytes() == DATA
    assert place.server.ranges == [None, "bytes=300000-"]


def test_a_server_that_always_cuts_at_the_same_place_is_given_up(place):
    place.server.ranges_supported = False
    place.server.cut_after = [300_000] * 9
    with pytest.raises(SetupError, match=r"cannot fetch .*connection was cut \(3 attempts\)"):
        place.fetch()
    assert len(place.server.ranges) == 4  # one that brought something, three that did not
    assert place.part.stat().st_size == 300_000


def test_slow_progress_is_progress(place):
    place.server.cut_after = [100_000] * 10
    place.fetch()
    assert place.target.read_bytes() == DATA


def test_an_interrupted_download_goes_on_in_another_run(place):
    place.part.parent.mkdir(parents=True)
    place.part.write_bytes(DATA[:1000])
    told = place.fetch()
    assert place.target.read_bytes() == DATA
    assert place.server.ranges == ["bytes=1000-"]
    assert told[0] == 1000


def test_a_whole_part_needs_no_request(place):
    place.part.parent.mkdir(parents=True)
    place.part.write_bytes(DATA)
    place.fetch()
    assert place.target.read_bytes() == DATA
    assert place.server.ranges == []


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_part_of_something_else_is_thrown_away(place, left):
    place.part.parent.mkdir(parents=True)
    place.part.write_bytes(left)
    place.fetch()
    assert place.target.read_bytes() == DATA


def test_a_part_longer_than_the_servers_file_begins_anew(place):
    place.part.parent.mkdir(parents=True)
    place.part.write_bytes(DATA[:500_000])
    (place.server.folder / "model.onnx").write_bytes(DATA[:1000])
    with pytest.raises(SetupError, match=r"has 1000 bytes instead of 1024000"):
        place.fetch()
    assert place.server.ranges == ["bytes=500000-", None]


def test_a_wrong_checksum_is_told_with_both_and_leaves_nothing(place):
    changed = b"!" + DATA[1:]
    (place.server.folder / "model.onnx").write_bytes(changed)
    with pytest.raises(SetupError, match="is not the file that was expected") as caught:
        place.fetch()
    assert FILE.sha256 in caught.value.message
    assert hashlib.sha256(changed).hexdigest() in caught.value.message
    assert list(place.target.parent.iterdir()) == []


def test_another_file_is_refused_before_it_is_fetched(place):
    (place.server.folder / "model.onnx").write_bytes(b"<html>" * 50)
    with pytest.raises(SetupError, match="has 300 bytes instead of 1024000"):
        place.fetch()


def test_a_server_that_tells_no_length_is_fetched_from(place):
    place.server.says_length = False
    place.fetch()
    assert place.target.read_bytes() == DATA


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final(place, status):
    place.server.statuses = [status]
    with pytest.raises(SetupError, match=f"the server answered {status}"):
        place.fetch()
    assert len(place.server.ranges) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_tried_again(place, status):
    place.server.statuses = [status, status]
    place.fetch()
    assert place.target.read_bytes() == DATA


def test_a_refusal_that_does_not_pass_is_given_up(place):
    place.server.statuses = [503] * 9
    with pytest.raises(SetupError, match=r"answered 503 .*\(3 attempts\)"):
        place.fetch()


def test_no_network_says_what_to_do(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/model.onnx"
    with pytest.raises(SetupError, match=r"Connection refused .*--from DIR"):
        download(url, FILE, tmp_path / "model.onnx", lambda done: None, QUICK)


def test_a_host_without_an_address_says_what_to_do(tmp_path):
    url = "http://no-such-host.invalid/model.onnx"
    with pytest.raises(SetupError, match=r"cannot fetch http://no-such-host.*--from DIR"):
        download(url, FILE, tmp_path / "model.onnx", lambda done: None, QUICK)


def test_a_disk_without_room_is_told_before_anything_is_fetched(place, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(SetupError, match=r"the disk is full: .*models needs 1 MB more"):
        place.fetch()
    assert place.server.ranges == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_disk_that_fills_up_is_told(place):
    place.part.parent.mkdir(parents=True)
    place.part.symlink_to("/dev/full")  # takes no byte: ENOSPC
    with pytest.raises(SetupError, match="the disk is full"):
        place.fetch()


def test_a_place_that_can_not_be_written_is_told(place):
    place.part.mkdir(parents=True)
    size = place.part.stat().st_size
    assert size < FILE.bytes
    with pytest.raises(SetupError, match=r"cannot write .*model.onnx.part: Is a directory"):
        place.fetch()


def test_other_faults_of_a_disk_are_told_in_the_systems_words(tmp_path):
    error = module.writing(tmp_path / "x", 1, OSError(errno.EIO, "Input/output error"))
    assert error.message == f"cannot write {tmp_path}/x: Input/output error"


def test_patience_doubles_up_to_its_limit():
    patience = Patience(delay_s=0.5, delay_max_s=3.0)
    assert [patience.delay(failures) for failures in (1, 2, 3, 4, 9)] == [0.5, 1.0, 2.0, 3.0, 3.0]
