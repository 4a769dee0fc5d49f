"""Verify, compact and prune: what is wrong is said, what is deleted goes, what returns is back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import GalleryLockedError, UsageError
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import FLAWS, verify_gallery
from boost_edge.runtime.writer_lock import writer_lock

BuildModel = Callable[..., Path]
WritePicture = Callable[..., Path]


def state_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of a gallery's files, but for what SQLite keeps beside the database."""
    names = (STORE_NAME, GRAPH_NAME)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def test_a_sound_gallery_is_sound(gallery: Gallery, pictures: Path) -> None:
    """Nothing is found in a gallery that is as it was made, empty or not, and nothing changes."""
    assert verify_gallery(gallery.path).sound
    gallery.index([pictures])
    before = state_of(gallery.path)
    steps: list[str] = []
    report = verify_gallery(gallery.path, step=steps.append)
    assert (report.sound, report.findings) == (True, ())
    assert (report.images, report.deleted, report.generation) == (9, 0, 1)
    assert len(steps) == 5
    assert state_of(gallery.path) == before


def test_files_that_are_gone_or_changed_are_no_damage(gallery: Gallery, pictures: Path) -> None:
    """What is not as it was on the disk is reported with its path, and the gallery is sound."""
    gallery.index([pictures])
    (pictures / "red" / "0.png").unlink()
    os.utime(pictures / "red" / "1.png", ns=(1, 1))
    report = verify_gallery(gallery.path)
    assert report.sound
    assert {each.code: each.examples for each in report.findings} == {
        "file_missing": (str(pictures / "red" / "0.png"),),
        "file_changed": (str(pictures / "red" / "1.png"),),
    }
    assert all("boost-edge index" in each.repair for each in report.findings)
    gallery.index([pictures], prune=True)
    assert verify_gallery(gallery.path).findings == ()


def test_a_model_that_is_gone_or_another_is_damage(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """The model's file is there and is the one that the gallery was made with."""
    model = build_model(tmp_path / "model.onnx")
    folder = tmp_path / "gallery"
    with Encoder.open(model, threads=1) as encoder, Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    build_model(model, seed=1)
    assert [each.code for each in verify_gallery(folder).findings] == ["model_changed"]
    model.unlink()
    assert [each.code for each in verify_gallery(folder).findings] == ["model_missing"]
    assert not verify_gallery(folder).sound


def test_every_code_is_documented() -> None:
    """Each code stands in docs/gallery-format.md."""
    page = Path(__file__).resolve().parents[2] / "docs" / "gallery-format.md"
    assert [code for code in FLAWS if f"`{code}`" not in page.read_text(encoding="utf-8")] == []


def test_no_gallery_is_a_usage_error(tmp_path: Path) -> None:
    """Where there is none, neither verb makes one."""
    for call in (verify_gallery, compact_gallery):
        with pytest.raises(UsageError, match="no gallery"):
            call(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exact_limit", [4, 100])
def test_pruned_images_are_found_no_more(
    encoder: Encoder, pictures: Path, tmp_path: Path, exact_limit: int
) -> None:
    """What is pruned vanishes at once, for a reader too, exactly or through the graph."""
    folder = tmp_path / "gallery"
    query = pictures / "red" / "0.png"
    kept = str(pictures / "red" / "0.png")
    with (
        Gallery.open(folder, encoder, exact_limit=exact_limit) as gallery,
        Gallery.open(folder, encoder, exact_limit=exact_limit) as reader,
    ):
        gallery.index([pictures])
        assert len(reader.query(query)) == 9
        gone = [pictures / "red" / "1.png", pictures / "blue" / "2.png"]
        content = [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in gone]
        for path in gone:
            path.unlink()
        assert gallery.index([pictures]).pruned == ()
        assert len(reader.query(query)) == 9
        assert set(gallery.index([pictures], prune=True).pruned) == set(map(str, gone))
        for each in (gallery, reader):
            found = {hit.path for hit in each.query(query)}
            assert len(each) == len(found) == 7
            assert not found & set(map(str, gone))
            assert kept in found
        for path, data, mtime_ns in content:
            path.write_bytes(data)
            os.utime(path, ns=(mtime_ns, mtime_ns))
        report = gallery.index([pictures], prune=True)
        assert (report.restored, report.unchanged, report.added, report.pruned) == (2, 7, 0, ())
        for each in (gallery, reader):
            assert len({hit.path for hit in each.query(query)}) == len(each) == 9
    assert verify_gallery(folder, exact_limit=exact_limit).findings == ()


def test_a_pruned_image_may_return_elsewhere_or_as_another(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """Known bytes at a new path bring id and labels back; other bytes at the old path do not."""
    moved, replaced = pictures / "red" / "0.png", pictures / "red" / "1.png"
    data = moved.read_bytes()
    gallery.index([pictures], labels={str(path): {"a": "b"} for path in (moved, replaced)})
    moved.unlink()
    replaced.unlink()
    assert len(gallery.index([pictures], prune=True).pruned) == 2
    (pictures / "back.png").write_bytes(data)
    write_picture(replaced, "blue", seed=77)
    report = gallery.index([pictures], prune=True)
    assert (report.restored, report.added, report.renamed, report.changed) == (1, 1, 0, 0)
    labels = {hit.path: hit.labels for hit in gallery.query(replaced, k=9)}
    assert labels[str(pictures / "back.png")] == {"a": "b"}
    assert labels[str(replaced)] == {}


def test_only_what_is_gone_below_the_paths_is_pruned(gallery: Gallery, pictures: Path) -> None:
    """Other folders, folders whose names begin alike, renames and dead links stay."""
    shutil.copytree(pictures / "red", pictures / "reddish")
    for number, path in enumerate(sorted((pictures / "reddish").iterdir())):
        path.write_bytes(path.read_bytes() + bytes(number + 1))
    gallery.index([pictures])
    for folder in ("red", "reddish", "blue"):
        (pictures / folder / "0.png").unlink()
    (pictures / "red" / "1.png").rename(pictures / "red" / "other.png")
    (pictures / "red" / "2.png").unlink()
    (pictures / "red" / "2.png").symlink_to("nowhere")
    report = gallery.index([pictures / "red"], prune=True)
    assert (report.pruned, report.renamed) == ((str(pictures / "red" / "0.png"),), 1)
    assert [each.path for each in report.skipped] == [str(pictures / "red" / "2.png")]
    assert len(gallery) == 11


@pytest.mark.parametrize("prune", [False, True])
def test_a_dry_run_foretells_and_writes_nothing(
    gallery: Gallery, pictures: Path, write_picture: WritePicture, *, prune: bool
) -> None:
    """A dry run reports what the same run then does, and the gallery's files stay as they are."""
    gallery.index([pictures])
    for name in ("red/0.png", "blue/1.png"):
        (pictures / name).unlink()
    write_picture(pictures / "green" / "0.png", "blue", seed=55)
    (pictures / "green" / "1.png").rename(pictures / "moved.png")
    write_picture(pictures / "new.png", seed=56)
    shutil.copy(pictures / "new.png", pictures / "copy.png")
    (pictures / "text.png").write_text("no picture")
    before, size = state_of(gallery.path), len(gallery)
    calls: list[tuple[int, int]] = []

    def count(done: int, total: int) -> None:
        calls.append((done, total))

    told = gallery.index([pictures], prune=prune, dry_run=True, progress=count)
    assert told.dry_run
    assert (state_of(gallery.path), len(gallery)) == (before, size)
    assert len(calls) == calls[-1][0] == calls[-1][1]
    done = gallery.index([pictures], prune=prune)
    for name in ("added", "changed", "renamed", "restored", "unchanged", "duplicates", "skipped"):
        assert getattr(told, name) == getattr(done, name)
    assert told.pruned == done.pruned
    assert len(done.pruned) == (2 if prune else 0)


def test_compacting_gives_space_back(
    encoder: Encoder, pictures: Path, write_picture: WritePicture, tmp_path: Path
) -> None:
    """Deleted rows and left-over files go, the cache is of what is left, and answers stay."""
    folder = tmp_path / "gallery"
    for number in range(300):
        write_picture(pictures / "many" / f"{number}.png", seed=number, edge=8)
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures])
        shutil.rmtree(pictures / "many")
        gallery.index([pictures], prune=True)
        expected = gallery.query(pictures / "red" / "0.png").hits
        (folder / f".{GRAPH_NAME}.99-0a.tmp").touch()
        (folder / f".{STORE_NAME}.99.tmp-wal").touch()
        report = compact_gallery(folder, exact_limit=4)
        assert (report.images, report.removed, report.left_overs, report.cached) == (9, 300, 2, 9)
        assert report.bytes_after < report.bytes_before / 2
        assert report.bytes_after == sum(each.stat().st_size for each in folder.iterdir())
        assert gallery.query(pictures / "red" / "0.png").hits == expected
        assert compact_gallery(folder).cached is None
        assert not (folder / GRAPH_NAME).exists()
    assert verify_gallery(folder).findings == ()


def test_left_over_files_are_reported_and_then_removed(gallery: Gallery, pictures: Path) -> None:
    """What a killed process left is a note, and the next index removes it; other files stay."""
    gallery.index([pictures])
    left = gallery.path / f".{GRAPH_NAME}.1-abcdef01.tmp"
    left.touch()
    other = gallery.path / ".notes.tmp"
    other.touch()
    report = verify_gallery(gallery.path)
    assert report.sound
    assert [(each.code, each.examples) for each in report.findings] == [("left_over", (left.name,))]
    gallery.index([pictures], dry_run=True)
    assert left.exists()
    gallery.index([pictures])
    assert not left.exists()
    assert other.exists()


def test_compacting_takes_the_writer_lock(gallery: Gallery, pictures: Path) -> None:
    """Nothing is compacted while another process writes; verifying goes on."""
    gallery.index([pictures])
    with writer_lock(gallery.path):
        with pytest.raises(GalleryLockedError, match=str(os.getpid())):
            compact_gallery(gallery.path)
        assert verify_gallery(gallery.path).sound
