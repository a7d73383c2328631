"""Installing a release, from a server and from a directory; and the table of releases itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.engine.kokoro.download import Patience
from gateway.engine.kokoro.install import Order, install
from gateway.engine.kokoro.manifest import MANIFEST_FILE
from gateway.engine.kokoro.published import PRECISIONS, PublishedFile, find_release, releases
from gateway.engine.kokoro.store import open_model
from gateway.errors import InvalidValue, SetupError
from tests.engine.kokoro.file_server import FileServer, serving
from tests.engine.kokoro.model_files import published, write_release
from tests.engine.kokoro.onnx_bytes import graph


class Shop(NamedTuple):
    server: FileServer
    order: Order

    def install(self, **changes: object) -> tuple[bool, list[str]]:
        """Whether anything was new, and the files that came."""
        came: list[str] = []

        def report(file: PublishedFile):
            came.append(file.file)
            return lambda done: None

        return install(replace(self.order, **changes), report), came


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as server:
        release = write_release(folder, base=f"{server.url}/")
        yield Shop(
            server,
            Order(release, "fp32", tmp_path / "model", patience=Patience(2, 0.001)),
        )


def test_a_release_is_fetched_verified_and_described(shop):
    assert shop.install() == (True, ["tiny.onnx", "voices.bin"])
    model = open_model(shop.order.folder)
    manifest = model.manifest
    assert (manifest.name, manifest.licence) == ("model", "Apache-2.0")
    assert manifest.graphs[0].details == {"durations": True}
    assert sorted(file.name for file in shop.order.folder.iterdir()) == [
        ".verified.json",
        "manifest.json",
        "tiny.onnx",
        "voices.bin",
    ]


def test_what_is_installed_is_not_fetched_again(shop):
    shop.install()
    asked = len(shop.server.ranges)
    assert shop.install() == (False, [])
    assert len(shop.server.ranges) == asked


def test_a_damaged_file_is_fetched_again_and_the_other_is_not(shop):
    shop.install()
    (shop.order.folder / "tiny.onnx").write_bytes(b"damaged")
    assert shop.install() == (True, ["tiny.onnx"])
    assert open_model(shop.order.folder).manifest.name == "model"


def test_a_download_that_breaks_off_leaves_no_model_and_goes_on_later(shop):
    shop.server.cut_after = [10**9, 500_000, 0, 0, 0]
    with pytest.raises(SetupError, match="cannot fetch"):
        shop.install()
    assert not (shop.order.folder / MANIFEST_FILE).exists()
    shop.server.cut_after = []
    assert shop.install() == (True, ["voices.bin"])
    assert shop.server.ranges[-1] == "bytes=500000-"


def test_a_mirror_serves_as_well(shop, tmp_path):
    with serving(shop.server.folder) as mirror:
        assert shop.install(base=mirror.url) == (True, ["tiny.onnx", "voices.bin"])
        assert len(mirror.ranges) == 2
    assert shop.server.ranges == []


def test_a_directory_serves_without_any_network(shop):
    source = shop.server.folder
    assert shop.install(source=source) == (True, ["tiny.onnx", "voices.bin"])
    assert shop.server.ranges == []
    assert (source / "tiny.onnx").exists()


def test_the_files_may_lie_one_directory_deeper(shop):
    source = shop.server.folder
    (source / "onnx").mkdir()
    (source / "tiny.onnx").rename(source / "onnx" / "tiny.onnx")
    assert shop.install(source=source)[0]


def test_a_directory_without_the_files_is_told(shop, tmp_path):
    (shop.server.folder / "voices.bin").unlink()
    with pytest.raises(SetupError, match=r"--from: there is no voices.bin in .*--dry-run"):
        shop.install(source=shop.server.folder)
    with pytest.raises(SetupError, match="--from: there is no directory"):
        shop.install(source=tmp_path / "none")


def test_files_of_a_directory_are_held_to_the_same_checksums(shop):
    file = shop.server.folder / "voices.bin"
    file.write_bytes(b"!" + file.read_bytes()[1:])
    with pytest.raises(SetupError, match=r"served/voices.bin is not the file that was expected"):
        shop.install(source=shop.server.folder)
    assert not (shop.order.folder / MANIFEST_FILE).exists()
    assert file.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_told_as_files_are_copied(shop):
    shop.order.folder.mkdir()
    (shop.order.folder / "tiny.onnx.part").symlink_to("/dev/full")
    with pytest.raises(SetupError, match="the disk is full"):
        shop.install(source=shop.server.folder)


def test_a_graph_of_another_contract_is_not_installed(shop):
    folder = shop.server.folder
    (folder / "tiny.onnx").write_bytes(graph(tokens="text"))
    release = shop.order.release.model_copy(
        update={"graphs": {"fp32": published(folder, "tiny.onnx")}}
    )
    with pytest.raises(SetupError, match=r"tiny.onnx is not a whole Kokoro graph"):
        shop.install(release=release)
    assert not (shop.order.folder / MANIFEST_FILE).exists()


# ── the table ──────────────────────────────────────────────────────────────────────────────────


def test_every_release_has_every_precision_with_sizes_that_fit_together():
    assert [release.name for release in releases()] == ["v1.1", "v1.0", "onnx-community"]
    for release in releases():
        sizes = [release.graphs[precision].bytes for precision in PRECISIONS]
        assert sizes == sorted(sizes, reverse=True)
        assert 320e6 < sizes[0] < 330e6  # 81.81 M parameters of 4 bytes
        assert release.licence == "Apache-2.0"
        for precision in PRECISIONS:
            for file in release.files(precision):
                assert release.url(file).startswith("https://")
                assert release.url(file).endswith(f"/{file.file}")


def test_no_checksum_stands_for_two_files():
    pins = {
        (file.sha256, file.bytes) for r in releases() for p in PRECISIONS for file in r.files(p)
    }
    assert len(pins) == len({sha256 for sha256, _ in pins}) == 10


def test_the_voices_hold_54_tables():
    voices = find_release().voices
    table = 128 + 510 * 256 * 4  # an .npy header and its floats
    assert 0 < voices.bytes - 54 * table < 54 * 300  # what an archive adds


def test_voices_that_lie_elsewhere_have_their_own_place():
    release = find_release("onnx-community")
    assert "huggingface" in release.url(release.graphs["fp32"])
    assert "kokoro-onnx/releases" in release.url(release.voices)
    assert release.url(release.voices, "https://mirror/x/") == "https://mirror/x/voices-v1.0.bin"


def test_an_unknown_release_is_refused():
    with pytest.raises(InvalidValue, match=r"there is no 'v2'; there are v1.1, v1.0, onnx"):
        find_release("v2")
