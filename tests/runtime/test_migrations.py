"""Migrations: a gallery of an older format answers as before, and nothing of it is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.database import connect
from boost_edge.runtime.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryFormatError,
    GalleryLockedError,
)
from boost_edge.runtime.exchange_export import export_gallery
from boost_edge.runtime.gallery_facts import gallery_stats
from boost_edge.runtime.merge import merge_galleries
from boost_edge.runtime.migrations import MIGRATIONS, migrate
from boost_edge.runtime.schema import FORMAT_VERSION
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME, Store
from boost_edge.runtime.verify import verify_gallery
from boost_edge.runtime.writer_lock import writer_lock

AsFormat1 = Callable[[Path], Path]


def query(path: Path, sql: str) -> list[Any]:
    """Return what a plain SQLite says."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def version_of(path: Path) -> int:
    """Return the format that a database says it is of."""
    [[version]] = query(path, "SELECT value FROM meta WHERE key = 'format_version'")
    return int(version)


@pytest.fixture
def old(encoder: Encoder, pictures: Path, tmp_path: Path, as_format_1: AsFormat1) -> Path:
    """Return a gallery of format 1 with copies, labels, deleted images, a removed id, a cache."""
    for number in range(3):
        shutil.copy(pictures / "red" / "0.png", pictures / "green" / f"copy{number}.png")
    folder = tmp_path / "old"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        labels = {str(path): {"nr": path.stem} for path in pictures.rglob("*.png")}
        gallery.index([pictures], labels=labels)
        (pictures / "blue" / "2.png").unlink()
        gallery.index([pictures], prune=True)
        compact_gallery(folder, exact_limit=4)
        (pictures / "blue" / "1.png").unlink()
        (pictures / "green" / "copy1.png").unlink()
        gallery.index([pictures], prune=True)
    as_format_1(folder)
    return folder


def naive(path: Path, vector: NDArray[np.float32]) -> list[tuple[str, dict[str, str]]]:
    """Rank the live rows of a format 1 gallery by reading them all."""
    sql = "SELECT id, path, labels, vector FROM images WHERE state = 'live'"
    rows = [
        (-float(np.frombuffer(data, "<f4") @ vector), identity, os.fsdecode(name), labels)
        for identity, name, labels, data in query(path, sql)
    ]
    # Rounded, for a matrix product may round equal vectors apart; ids decide among equals.
    rows.sort(key=lambda row: (round(row[0], 5), row[1]))
    return [(name, json.loads(labels)) for _, _, name, labels in rows]


KEPT = (
    "SELECT {}, path, digest, size, mtime_ns, width, height, predicted, labels, state, "
    "generation, vector_key, vector FROM images {} ORDER BY 1"
)


@pytest.mark.parametrize("exact_limit", [4, 100])
def test_answers_are_as_before(
    encoder: Encoder, pictures: Path, old: Path, tmp_path: Path, exact_limit: int
) -> None:
    """Opened, it ranks as a naive search of the old rows did, and each row is as it was."""
    before = tmp_path / "before.sqlite"
    shutil.copy(old / STORE_NAME, before)
    cache = (old / GRAPH_NAME).read_bytes()
    with Gallery.open(old, encoder, exact_limit=exact_limit) as gallery:
        for path in sorted(pictures.rglob("*.png")):
            [vector] = encoder.encode([path])
            found = [(hit.path, hit.labels) for hit in gallery.search(vector, k=99)]
            assert found == naive(before, vector)
        assert gallery.stats().format_version == version_of(old / STORE_NAME) == FORMAT_VERSION
        report = gallery.index([pictures])
        assert (report.unchanged, report.added, report.changed) == (len(gallery), 0, 0)
    rows = query(before, KEPT.format("id", ""))
    joined = "JOIN embeddings ON embeddings.id = embedding"
    assert query(old / STORE_NAME, KEPT.format("images.id", joined)) == rows
    assert len(rows) == 11
    assert {row[9] for row in rows} == {"live", "deleted"}
    [[count]] = query(old / STORE_NAME, "SELECT count(*) FROM embeddings")
    assert count == len({row[2] for row in rows}) == 8
    # The cache holds what it should, and is not built again.
    assert (old / GRAPH_NAME).read_bytes() == cache
    assert verify_gallery(old, exact_limit=4).findings == ()


def test_a_migrated_gallery_is_like_a_new_one(
    encoder: Encoder, pictures: Path, old: Path, tmp_path: Path
) -> None:
    """Tables, indexes and triggers are the same to the letter; ids are not given again."""
    [[last]] = query(old / STORE_NAME, "SELECT seq FROM sqlite_sequence WHERE name = 'images'")
    Gallery.open(old, encoder).close()
    Store.create(tmp_path, model_sha256="", model_path="", dimensions=1)
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    assert query(old / STORE_NAME, sql) == query(tmp_path / STORE_NAME, sql)
    keys = "SELECT key FROM meta ORDER BY key"
    assert query(old / STORE_NAME, keys) == query(tmp_path / STORE_NAME, keys)
    assert query(old / STORE_NAME, "SELECT name, seq FROM sqlite_sequence") == [("images", last)]
    shutil.copy(pictures / "red" / "1.png", pictures / "new.png")
    with Gallery.open(old, encoder) as gallery:
        gallery.index([pictures / "new.png"])
    [[newest]] = query(old / STORE_NAME, "SELECT max(id) FROM images")
    assert newest == last + 1


def test_equal_bytes_with_two_embeddings_become_one(
    encoder: Encoder, pictures: Path, old: Path
) -> None:
    """Where another program gave copies two embeddings, the oldest is kept, and the cache holds."""
    path = old / STORE_NAME
    [[copy]] = query(path, "SELECT max(id) FROM images WHERE path LIKE '%copy2.png'")
    other = np.roll(encoder.encode([pictures / "red" / "0.png"])[0], 1).tobytes()
    with closing(sqlite3.connect(path)) as database:
        sql = "UPDATE images SET vector = ?, vector_key = 5 WHERE id = ?"
        database.execute(sql, (other, copy))
        database.commit()
    with Gallery.open(old, encoder, exact_limit=4) as gallery:
        hits = gallery.query(pictures / "red" / "0.png", k=3).hits
        assert str(pictures / "green" / "copy2.png") in {hit.path for hit in hits}
        assert len({hit.score for hit in hits}) == 1
    assert verify_gallery(old, exact_limit=4).findings == ()


def test_an_empty_gallery_is_migrated(
    encoder: Encoder, pictures: Path, tmp_path: Path, as_format_1: AsFormat1
) -> None:
    """A gallery of format 1 without images is one of format 2 without images."""
    Gallery.open(tmp_path / "empty", encoder).close()
    as_format_1(tmp_path / "empty")
    with Gallery.open(tmp_path / "empty", encoder) as gallery:
        assert gallery.index([pictures]).added == 9


@pytest.mark.parametrize("verb", [gallery_stats, compact_gallery])
def test_verbs_without_a_model_migrate_too(old: Path, verb: Callable[[Path], object]) -> None:
    """Inspecting and compacting bring a gallery up to date."""
    verb(old)
    assert version_of(old / STORE_NAME) == FORMAT_VERSION
    assert verify_gallery(old, exact_limit=99).sound


def test_exporting_migrates_too(old: Path, tmp_path: Path) -> None:
    """What a query can open can be exported: as many rows as there are images."""
    images = export_gallery(old, tmp_path / "old.jsonl").images
    assert version_of(old / STORE_NAME) == FORMAT_VERSION
    assert images == gallery_stats(old).images > 0


def test_what_may_not_write_says_what_to_do(encoder: Encoder, old: Path) -> None:
    """Verifying, or opening read-only, leaves an old gallery as it is, and says so in one line."""
    before = (old / STORE_NAME).read_bytes()
    for call in (
        lambda: Gallery.open(old, encoder, read_only=True),
        lambda: Store.open(old),
        # A source is read and not changed.
        lambda: merge_galleries([old], old.with_name("merged"), encoder=encoder),
    ):
        with pytest.raises(GalleryFormatError, match=f"compact {old}") as caught:
            call()
        assert "format 1" in str(caught.value)
        assert "\n" not in str(caught.value)
    report = verify_gallery(old)
    [finding] = report.findings
    assert (report.sound, finding.code, finding.damage) == (False, "format_older", False)
    assert f"compact {old}" in finding.repair
    assert "format 1" in finding.examples[0]
    assert (old / STORE_NAME).read_bytes() == before


def test_migrating_takes_the_writer_lock(encoder: Encoder, old: Path) -> None:
    """While another process writes to an old gallery, it is not migrated under its feet."""
    with writer_lock(old):
        with pytest.raises(GalleryLockedError, match=f"process {os.getpid()} "):
            Gallery.open(old, encoder)
        assert version_of(old / STORE_NAME) == 1
    Gallery.open(old, encoder).close()
    assert version_of(old / STORE_NAME) == FORMAT_VERSION


def test_a_damaged_old_gallery_stays_as_it_is(encoder: Encoder, old: Path) -> None:
    """What cannot be read cannot be migrated; not a row of it is changed."""
    path = old / STORE_NAME
    data = bytearray(path.read_bytes())
    # Everything but SQLite's schema and the table meta.
    data[3 * 16384 :] = b"\xff" * (len(data) - 3 * 16384)
    path.write_bytes(data)
    with pytest.raises(GalleryCorruptError, match="is damaged"):
        Gallery.open(old, encoder)
    assert path.read_bytes() == data


@pytest.mark.parametrize("version", [0, -1, FORMAT_VERSION + 1, 99])
def test_unknown_formats_are_refused(encoder: Encoder, old: Path, version: int) -> None:
    """A format that no migration begins at is named, and nothing is changed."""
    path = old / STORE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'format_version'", (version,))
        database.commit()
    for call in (lambda: Gallery.open(old, encoder), lambda: compact_gallery(old)):
        with pytest.raises(GalleryCorruptError, match=f"format {version} is not known"):
            call()
    report = verify_gallery(old)
    found = {each.code: each.repair for each in report.findings}
    assert not report.sound
    if version > FORMAT_VERSION:
        assert found == {"format_newer": "update boost-edge"}
        assert not any(each.damage for each in report.findings)
    else:
        assert list(found) == ["database_damaged"]
    assert version_of(path) == version


def test_every_older_format_leads_here() -> None:
    """There is one step from each format to the next, and none can be changed."""
    assert list(MIGRATIONS) == list(range(1, FORMAT_VERSION))
    with pytest.raises(TypeError):
        MIGRATIONS[1] = ()  # type: ignore[index] # that is the point


def test_a_migration_that_fails_anywhere_changes_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever within whichever statement it fails, the gallery is of format 1, with all rows."""
    path = old / STORE_NAME
    sql = ("SELECT * FROM images", "SELECT name, sql FROM sqlite_schema ORDER BY name")
    before = [query(path, each) for each in sql]
    steps, deadline = 0, -1

    def count() -> bool:
        """Count SQLite's steps, and have it give up at one of them."""
        nonlocal steps
        steps += 1
        return steps == deadline

    def connect_counting(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        database = connect(*arguments, **keywords)
        database.set_progress_handler(count, 10)
        return database

    monkeypatch.setattr("boost_edge.runtime.migrations.connect", connect_counting)
    shutil.copytree(old, old.with_name("whole"))
    migrate(old.with_name("whole") / STORE_NAME)
    last, steps = steps, 0
    assert last > 100
    for moment in range(1, last, last // 25):
        steps, deadline = 0, moment
        with pytest.raises(GalleryError, match="interrupted"):
            migrate(path)
        assert [query(path, each) for each in sql] == before
        assert version_of(path) == 1
    deadline = -1
    migrate(path)
    assert version_of(path) == FORMAT_VERSION
