"""Verify, compact and prune: what is wrong is said, what is deleted goes, what returns is back."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import GalleryError, GalleryLockedError, UsageError
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME, Store
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


def test_a_file_overwritten_with_junk_is_repaired_as_verify_says(
    gallery: Gallery, pictures: Path
) -> None:
    """Skipped, its image stays, pruning or not; mended it is taken in, deleted it goes."""
    gallery.index([pictures])
    mended, deleted = pictures / "red" / "0.png", pictures / "red" / "1.png"
    picture = mended.read_bytes()
    for path in (mended, deleted):
        path.write_text("junk")
    for prune in (False, True):
        assert len(gallery.index([pictures], prune=prune).skipped) == 2
        [finding] = verify_gallery(gallery.path).findings
        assert (finding.code, finding.count) == ("file_changed", 2)
    index = f"boost-edge index FOLDER --gallery {gallery.path}"
    said = f"{index}; mend or delete a file that this skips, then {index} --prune"
    assert finding.repair == said
    mended.write_bytes(picture)
    deleted.unlink()
    assert gallery.index([pictures], prune=True).pruned == (str(deleted),)
    assert verify_gallery(gallery.path).findings == ()
    assert len(gallery) == 8


def test_a_model_that_is_another_is_damage_and_one_that_moved_is_not(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """Another file in its place is damage; a model that is gone is a note, or is looked for."""
    model = build_model(tmp_path / "model.onnx")
    folder = tmp_path / "gallery"
    with Encoder.open(model, threads=1) as encoder, Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    build_model(model, seed=1)
    assert [each.code for each in verify_gallery(folder).findings] == ["model_changed"]
    assert not verify_gallery(folder).sound
    other = model.rename(tmp_path / "other.onnx")
    moved = build_model(tmp_path / "moved.onnx")
    [finding] = verify_gallery(folder).findings
    assert (finding.code, finding.damage) == ("model_missing", False)
    assert "--model FILE" in finding.repair
    assert verify_gallery(folder).sound
    assert verify_gallery(folder, model=moved).findings == ()
    [finding] = verify_gallery(folder, model=other).findings
    assert (finding.code, finding.damage, finding.examples) == (
        "model_changed",
        True,
        (str(other),),
    )
    with pytest.raises(UsageError, match=f"{model}: cannot be read"):
        verify_gallery(folder, model=model)


def test_a_repair_can_be_pasted_into_a_shell(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """A gallery whose path has spaces stands in quotes where a command names it."""
    folder = tmp_path / "my gallery's"
    with Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    (pictures / "red" / "0.png").unlink()
    [finding] = verify_gallery(folder).findings
    command = ["boost-edge", "index", "FOLDER", "--gallery", str(folder), "--prune"]
    assert shlex.split(finding.repair) == command


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


def test_a_cache_that_cannot_be_written_is_no_success(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """Compacting fails in one line and leaves the gallery as it says it is; searching goes on."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    # A file cannot take the place of a folder.
    (folder / GRAPH_NAME).mkdir()
    with pytest.raises(GalleryError, match="the search cache cannot be written") as caught:
        compact_gallery(folder, vectors="f32", exact_limit=4)
    assert "\n" not in str(caught.value)
    assert [each.name for each in folder.iterdir() if each.name.endswith(".tmp")] == []
    with closing(Store.open(folder)) as store:
        assert store.binding.graph_dtype == "i8"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        assert len(gallery.query(pictures / "red" / "0.png")) == 9
    (folder / GRAPH_NAME).rmdir()
    assert compact_gallery(folder, vectors="f32", exact_limit=4).cached == 9
    assert verify_gallery(folder, exact_limit=4).findings == ()


def test_a_kill_between_cache_and_database_costs_no_cache(
    encoder: Encoder, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new cache serves though the database does not know its dtype yet, which is a note."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "set_graph_dtype", die)
        with pytest.raises(KeyboardInterrupt):
            compact_gallery(folder, vectors="f32", exact_limit=4)
    cache = (folder / GRAPH_NAME).read_bytes()
    [finding] = verify_gallery(folder, exact_limit=4).findings
    assert (finding.code, finding.damage) == ("cache_dtype", False)
    assert finding.examples == (f"{GRAPH_NAME}: f32, not i8",)
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        assert len(gallery.query(pictures / "red" / "0.png")) == 9
        gallery.index([pictures])
    assert (folder / GRAPH_NAME).read_bytes() == cache
    compact_gallery(folder, exact_limit=4)
    assert verify_gallery(folder, exact_limit=4).findings == ()
    assert (folder / GRAPH_NAME).read_bytes() != cache


def test_a_dtype_that_is_none_is_refused_at_once(gallery: Gallery, pictures: Path) -> None:
    """Nothing is done where it is not known how the vectors are to be held."""
    gallery.index([pictures])
    before = state_of(gallery.path)
    with pytest.raises(UsageError, match="'f64' is not one of f32, f16, i8"):
        compact_gallery(gallery.path, vectors=cast("GraphDtype", "f64"))
    assert state_of(gallery.path) == before


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
