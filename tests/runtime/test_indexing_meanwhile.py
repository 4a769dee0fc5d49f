"""Files that move while they are indexed: the gallery agrees with what there is in the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime import indexing, pending
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.manifest import ImageSpec
from boost_edge.runtime.reading import Job, Read, read_job
from boost_edge.runtime.store import Store

WritePicture = Callable[..., Path]
OnRead = Callable[[Path], None]

_LONG = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for pictures."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that says what happens before and after a file is first read."""
    seen: set[str] = set()

    def nothing(path: Path) -> None:
        """Let the files be."""

    def watch(before: OnRead = nothing, after: OnRead = nothing, *, batch: int = 1) -> None:
        def watched(job: Job, spec: ImageSpec) -> Read | ImageError:
            if job.path in seen:
                return read_job(job, spec)
            seen.add(job.path)
            before(Path(job.path))
            read = read_job(job, spec)
            after(Path(job.path))
            return read

        def at_once(*_: int) -> int:
            return batch

        monkeypatch.setattr(indexing, "read_job", watched)
        monkeypatch.setattr(indexing, "images_at_once", at_once)

    return watch


def removes(path: Path, *, after: Path) -> OnRead:
    """Return what removes a file once another one, or itself, was read."""

    def act(read: Path) -> None:
        if read == after:
            path.unlink()

    return act


def live_rows(store: Store) -> list[ImageRow]:
    """Return the rows of all live images."""
    return [row for row in map(store.find, store.paths()) if row is not None]


def held(folder: Path) -> dict[str, tuple[str, list[float]]]:
    """Return digests and embeddings of a gallery's live images, by path."""
    with closing(Store.open(folder)) as store:
        rows = live_rows(store)
        matrix = store.vectors_of([row.id for row in rows if row.id is not None])
    rounded = np.round(matrix, 5).tolist()
    return {row.path: (row.digest, each) for row, each in zip(rows, rounded, strict=True)}


def labels(gallery: Gallery) -> dict[str, dict[str, str]]:
    """Return the labels of all images by file name."""
    with closing(Store.open(gallery.path)) as store:
        return {Path(row.path).name: row.labels for row in live_rows(store)}


def check(gallery: Gallery, folder: Path, encoder: Encoder) -> None:
    """Compare a gallery with a new one of the files that there are."""
    other = gallery.path.with_name("fresh")
    with Gallery.open(other, encoder) as fresh:
        fresh.index([folder])
    assert held(gallery.path) == held(other)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("commit_images", [1, 256])
def test_a_file_that_was_read_with_other_bytes_and_is_gone(
    gallery: Gallery,
    folder: Path,
    encoder: Encoder,
    write_picture: WritePicture,
    reading: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    commit_images: int,
) -> None:
    """Its row has the new bytes by then, so that a file with the old ones is another image."""
    monkeypatch.setattr(pending, "COMMIT_IMAGES", commit_images)
    old, new = folder / "a.png", folder / "b.png"
    write_picture(old, "red")
    gallery.index([folder], labels={str(old): {"was": "red"}})
    old.rename(new)
    write_picture(old, "blue", seed=1)
    reading(after=removes(old, after=old), batch=batch)
    report = gallery.index([folder], prune=True)
    assert (report.changed, report.added, report.renamed, report.pruned) == (1, 1, 0, (str(old),))
    check(gallery, folder, encoder)
    assert labels(gallery) == {"b.png": {}}


@pytest.mark.parametrize("commit_images", [1, 256])
def test_a_file_that_is_there_again_after_its_row_has_moved(
    gallery: Gallery,
    folder: Path,
    encoder: Encoder,
    write_picture: WritePicture,
    reading: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    commit_images: int,
) -> None:
    """Its row went with the bytes, labels and all: what is there now is another image."""
    monkeypatch.setattr(pending, "COMMIT_IMAGES", commit_images)
    old, new = folder / "b.png", folder / "a.png"
    write_picture(old, "red")
    gallery.index([folder], labels={str(old): {"was": "red"}})
    shutil.copy(old, new)
    # Read before the first one is settled.
    write_picture(folder / "ab.png", "green", seed=2)
    # So it must be read.
    os.utime(old, ns=(7, 7))
    written = Event()

    def write_again(done: int, _: int) -> None:
        if done == 1:
            write_picture(old, "blue", seed=1)
            written.set()

    def wait(path: Path) -> None:
        assert path != old or written.wait(_LONG)

    reading(before=wait, after=removes(old, after=new))
    report = gallery.index([folder], progress=write_again)
    assert (report.renamed, report.added, report.changed) == (1, 2, 0)
    check(gallery, folder, encoder)
    assert labels(gallery) == {"a.png": {"was": "red"}, "ab.png": {}, "b.png": {}}


def test_a_file_that_comes_back_as_it_was(
    gallery: Gallery,
    folder: Path,
    encoder: Encoder,
    write_picture: WritePicture,
    reading: Callable[..., None],
    tmp_path: Path,
) -> None:
    """By size and time it is known, but its row is elsewhere by then: it gets one of its own."""
    old, new, aside = folder / "z.png", folder / "a.png", tmp_path / "aside"
    write_picture(old, "red")
    gallery.index([folder])
    shutil.copy(old, new)
    for seed in range(2, 12):
        write_picture(folder / f"b{seed}.png", "green", seed=seed)

    def put_back(done: int, _: int) -> None:
        if done == 1:
            aside.rename(old)

    def put_aside(path: Path) -> None:
        if path == new:
            old.rename(aside)

    reading(after=put_aside)
    report = gallery.index([folder], progress=put_back)
    assert (report.renamed, report.added, report.duplicates, report.unchanged) == (1, 11, 1, 0)
    check(gallery, folder, encoder)


def test_labels_go_with_a_file_that_moves_after_it_was_met(
    gallery: Gallery, folder: Path, encoder: Encoder, write_picture: WritePicture
) -> None:
    """Labels that were given for its first path are with it at its second."""
    old, new = write_picture(folder / "a.png", "red"), folder / "b.png"
    gallery.index([folder])
    write_picture(new, "blue", seed=1)

    def move(*_: int) -> None:
        if old.exists():
            old.replace(new)
            os.utime(new, ns=(7, 7))

    report = gallery.index([folder], labels={str(old): {"is": "red"}}, progress=move)
    assert (report.unchanged, report.renamed, report.added) == (1, 1, 0)
    check(gallery, folder, encoder)
    assert labels(gallery) == {"b.png": {"is": "red"}}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_row_s_file_is_looked_at_again(
    gallery: Gallery,
    folder: Path,
    encoder: Encoder,
    write_picture: WritePicture,
    reading: Callable[..., None],
    dry_run: bool,
) -> None:
    """Of two images with the same bytes, one that has others by now is not moved for them."""
    first, second = folder / "a.png", folder / "c.png"
    write_picture(first, "red")
    shutil.copy(first, second)
    gallery.index([folder])
    first.rename(folder / "b.png")
    shutil.copy(folder / "b.png", folder / "d.png")
    write_picture(second, "blue", seed=1)
    reading(after=removes(second, after=second))
    report = gallery.index([folder], dry_run=dry_run)
    assert (report.renamed, report.changed, report.added, report.gone) == (1, 1, 1, 1)
    if not dry_run:
        gallery.index([folder], prune=True)
        check(gallery, folder, encoder)
