"""Galleries that cannot be written: searched, inspected, verified, and never changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import GalleryError, GalleryFormatError, UsageError
from boost_edge.runtime.gallery_facts import gallery_stats
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import verify_gallery
from boost_edge.runtime.writer_lock import LOCK_NAME

Answers = list[list[tuple[str, float]]]


def answers(folder: Path, encoder: Encoder, pictures: Path, **keywords: Any) -> Answers:
    """Return paths and scores of everything, for every picture."""
    with Gallery.open(folder, encoder, **keywords) as gallery:
        return [
            [(hit.path, hit.score) for hit in gallery.query(path, k=99).hits]
            for path in sorted(pictures.rglob("*.png"))
        ]


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the contents and times of a gallery's files."""
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


@pytest.fixture
def made(encoder: Encoder, pictures: Path, disk: Any) -> Path:
    """Return a gallery with a cache on a disk of its own, closed."""
    folder: Path = disk.path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures])
    return folder


def check_read_only(folder: Path, encoder: Encoder, pictures: Path, expected: Answers) -> None:
    """See that everything that reads works, and everything that writes says why it does not."""
    before = files(folder)
    assert answers(folder, encoder, pictures, exact_limit=4) == expected
    assert answers(folder, encoder, pictures, exact_limit=4, read_only=True) == expected
    assert answers(folder, encoder, pictures) == expected
    assert gallery_stats(folder).images == 9
    assert verify_gallery(folder, exact_limit=4).findings == ()
    with Gallery.open(folder, encoder) as gallery:
        assert gallery.read_only
        assert gallery.query(pictures / "red" / "0.png", where="colour = red").hits
        assert gallery.index([pictures], dry_run=True).unchanged == 9
        for call in (lambda: gallery.index([pictures]), lambda: compact_gallery(folder)):
            with pytest.raises(GalleryError, match=f"{folder}: cannot be written to") as caught:
                call()
            assert "\n" not in str(caught.value)
    assert files(folder) == before


def test_a_gallery_on_a_read_only_disk(
    encoder: Encoder, pictures: Path, made: Path, disk: Any
) -> None:
    """On a disk that is mounted read-only everything that reads works, and nothing is made."""
    expected = answers(made, encoder, pictures, exact_limit=4)
    with disk.read_only():
        check_read_only(made, encoder, pictures, expected)
    assert {each.name for each in made.iterdir()} == {STORE_NAME, GRAPH_NAME, LOCK_NAME}


def test_a_gallery_without_a_cache_on_a_read_only_disk(
    encoder: Encoder, pictures: Path, made: Path, disk: Any
) -> None:
    """Without a cache, or with a spoilt one, it is searched all the same, and none is written."""
    expected = answers(made, encoder, pictures, exact_limit=4)
    cache = made / GRAPH_NAME
    for content in (b"spoilt", None):
        cache.unlink()
        if content is not None:
            cache.write_bytes(content)
        with disk.read_only():
            assert answers(made, encoder, pictures, exact_limit=4) == expected
            assert cache.exists() == (content is not None)


def copied_alive(made: Path, encoder: Encoder, pictures: Path, name: str) -> Path:
    """Copy a gallery with commits that are only in its log, as a backup of a live one is."""
    with closing(sqlite3.connect(made / STORE_NAME)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        with Gallery.open(made, encoder, exact_limit=4) as gallery:
            shutil.copy(pictures / "red" / "0.png", pictures / "late.png")
            gallery.index([pictures])
            copy = made.with_name(name)
            shutil.copytree(made, copy)
    return copy


def test_a_log_on_a_read_only_disk_is_read_or_refused(
    encoder: Encoder, pictures: Path, made: Path, disk: Any
) -> None:
    """Commits in a log are seen; where SQLite cannot read them, one line says what to do."""
    copy = copied_alive(made, encoder, pictures, "copy")
    assert (copy / f"{STORE_NAME}-wal").stat().st_size > 0
    expected = answers(made, encoder, pictures, exact_limit=4)
    with disk.read_only():
        assert answers(copy, encoder, pictures, exact_limit=4) == expected
        assert gallery_stats(copy).images == 10
        assert verify_gallery(copy, exact_limit=4).sound
    (copy / f"{STORE_NAME}-shm").unlink()
    with disk.read_only():
        for call in (
            lambda: Gallery.open(copy, encoder),
            lambda: gallery_stats(copy),
            lambda: verify_gallery(copy),
        ):
            with pytest.raises(GalleryError, match=f"compact {copy}") as caught:
                call()
            assert "\n" not in str(caught.value)
    compact_gallery(copy, exact_limit=4)
    with disk.read_only():
        assert answers(copy, encoder, pictures, exact_limit=4) == expected


def test_an_empty_log_is_no_obstacle(
    encoder: Encoder, pictures: Path, made: Path, disk: Any
) -> None:
    """A log without commits, which a reader may leave, is passed over."""
    expected = answers(made, encoder, pictures, exact_limit=4)
    (made / f"{STORE_NAME}-wal").touch()
    with disk.read_only():
        assert answers(made, encoder, pictures, exact_limit=4) == expected


def test_an_old_gallery_on_a_read_only_disk(
    encoder: Encoder,
    pictures: Path,
    made: Path,
    disk: Any,
    as_format_1: Callable[[Path], Path],
) -> None:
    """One that would have to be brought up to date first says so in one line."""
    as_format_1(made)
    before = files(made)
    with disk.read_only():
        for call in (
            lambda: Gallery.open(made, encoder),
            lambda: gallery_stats(made),
        ):
            with pytest.raises(GalleryFormatError, match=f"compact {made}"):
                call()
        [finding] = verify_gallery(made).findings
        assert (finding.code, finding.repair) == ("format_older", f"boost-edge compact {made}")
        with pytest.raises(GalleryError, match="cannot be written to"):
            compact_gallery(made)
    assert files(made) == before
    compact_gallery(made, exact_limit=4)
    with disk.read_only():
        assert len(answers(made, encoder, pictures)) == 9


def test_no_gallery_is_made_read_only(encoder: Encoder, tmp_path: Path, disk: Any) -> None:
    """Where there is none, none is made; where none can be made, one line says so."""
    with pytest.raises(UsageError, match="no gallery"):
        Gallery.open(tmp_path / "new", encoder, read_only=True)
    assert not (tmp_path / "new").exists()
    with disk.read_only(), pytest.raises(GalleryError, match="cannot be"):
        Gallery.open(disk.path / "new", encoder)


@pytest.mark.skipif(os.geteuid() == 0, reason="file modes do not stop root")
@pytest.mark.parametrize("closed", ["folder", "database"])
def test_a_gallery_that_may_not_be_written(
    encoder: Encoder, pictures: Path, tmp_path: Path, closed: str
) -> None:
    """File modes that forbid writing do as a read-only disk does."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures])
    expected = answers(folder, encoder, pictures, exact_limit=4)
    path = folder if closed == "folder" else folder / STORE_NAME
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    try:
        check_read_only(folder, encoder, pictures, expected)
    finally:
        path.chmod(mode)


def test_read_only_writes_nothing_where_it_could(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """Opened read-only, a gallery stays as it is and builds no cache, while another writes."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=99) as gallery:
        gallery.index([pictures / "red"])
    before = files(folder)
    with Gallery.open(folder, encoder, exact_limit=2, read_only=True) as reader:
        assert reader.read_only
        assert len(reader.query(pictures / "red" / "0.png").hits) == 3
        with pytest.raises(GalleryError, match="cannot be written to"):
            reader.index([pictures])
        assert not (folder / GRAPH_NAME).exists()
        with Gallery.open(folder, encoder, exact_limit=99) as writer:
            assert not writer.read_only
            before_more = len(reader)
            writer.index([pictures])
        assert (before_more, len(reader)) == (3, 9)
        assert len(reader.query(pictures / "red" / "0.png").hits) == 9
    with Gallery.open(folder, encoder, read_only=True) as reader:
        assert len(reader) == 9
    assert set(files(folder)) == set(before)


def test_what_is_written_meanwhile_is_noticed(
    encoder: Encoder, pictures: Path, made: Path, disk: Any
) -> None:
    """A gallery that changes although it could not be written is not searched as if it had not."""
    with disk.read_only():
        reader = Gallery.open(made, encoder)
        assert len(reader.query(pictures / "red" / "0.png").hits) == 9
    with reader:
        shutil.copy(pictures / "red" / "0.png", pictures / "late.png")
        with Gallery.open(made, encoder) as writer:
            writer.index([pictures])
        with pytest.raises(GalleryError, match="open it again"):
            reader.query(pictures / "red" / "0.png")
    assert len(answers(made, encoder, pictures)[0]) == 10
