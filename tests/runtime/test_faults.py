"""Faults: a process is killed at any moment, and the gallery goes on without a manual step.

``BOOST_EDGE_KILLS`` is the number of kills, ``BOOST_EDGE_READERS`` that of reading processes,
``BOOST_EDGE_FLIPS`` that of flipped bits in each file; ``make faults`` runs them in full.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import BoostEdgeError, GalleryCorruptError, GalleryError
from boost_edge.runtime.recovery import left_overs
from boost_edge.runtime.schema import CREATE
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import verify_gallery

KILLS = int(os.environ.get("BOOST_EDGE_KILLS", "8"))
READERS = int(os.environ.get("BOOST_EDGE_READERS", "2"))
FLIPS = int(os.environ.get("BOOST_EDGE_FLIPS", "40"))
SEED = int(os.environ.get("BOOST_EDGE_FAULT_SEED", "0"))
VICTIM = Path(__file__).with_name("index_and_die.py")
READER = Path(__file__).with_name("search_all_along.py")
EXACT_LIMIT = 4

WritePicture = Callable[..., Path]
TRIGGER = re.search(r"CREATE TRIGGER image_changed.*?END", CREATE, re.DOTALL)
MOMENTS = ("none", "all", "cache", "compact")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory, write_picture: WritePicture) -> Path:
    """Return 48 pictures in three folders, twelve of them called ``gone...``. Read only."""
    folder = tmp_path_factory.mktemp("originals") / "pictures"
    for number in range(48):
        name = f"{'gone' if number % 4 == 0 else 'stays'}{number}.png"
        colour = ("red", "green", "blue")[number % 3]
        write_picture(folder / colour / name, colour, seed=number, edge=9)
    return folder


class Victim:
    """A process that indexes and is killed."""

    def __init__(self, encoder: Encoder, originals: Path, folder: Path) -> None:
        self.pictures = folder / "pictures"
        self.gallery = folder / "gallery"
        self.log = folder / "log"
        shutil.copytree(originals, self.pictures)
        self._model = encoder.path

    def start(self, where: str = "none", deadline: int = -1) -> subprocess.Popen[str]:
        """Start it; it is ready to index when this returns."""
        arguments = [self._model, self.gallery, self.pictures, self.log, where, deadline]
        process = subprocess.Popen(
            [sys.executable, VICTIM, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def committed(self) -> set[str]:
        """Return the paths that it said were committed; a line cut short was not said."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        return {path for line in lines if line.endswith("\n") for path in json.loads(line)}

    def present(self) -> list[str]:
        """Return the pictures that are there, sorted."""
        return sorted(str(path) for path in self.pictures.rglob("*.png"))


def check_answers(gallery: Gallery, encoder: Encoder, present: list[str]) -> None:
    """See that the gallery holds the pictures, each once, and ranks them as a naive search does."""
    assert sorted(gallery.paths()) == present
    embeddings = encoder.encode(present)
    for query in embeddings[::7]:
        scores = np.vecdot(embeddings, query)
        found = gallery.search(query, k=len(present))
        assert sorted(hit.path for hit in found) == present
        expected = sorted(scores.tolist(), reverse=True)
        np.testing.assert_allclose([hit.score for hit in found], expected, atol=1e-6)


def check_recovery(victim: Victim, encoder: Encoder) -> int:
    """Open, verify, resume: nothing committed is lost. Return the number of files left over."""
    committed, present = victim.committed(), victim.present()
    interrupted = 0
    if (victim.gallery / STORE_NAME).exists():
        verified = verify_gallery(victim.gallery, exact_limit=EXACT_LIMIT)
        assert verified.sound, verified.findings
        interrupted = len(left_overs(victim.gallery))
    with Gallery.open(victim.gallery, encoder, exact_limit=EXACT_LIMIT) as gallery:
        held = gallery.paths()
        assert len(set(held)) == len(held)
        assert committed & set(present) <= set(held)
        report = gallery.index([victim.pictures], prune=True)
        kept = len(set(held) & set(present))
        assert (report.unchanged, report.added) == (kept, len(present) - kept)
        assert report.skipped == ()
        check_answers(gallery, encoder, present)
        assert left_overs(victim.gallery) == []
        compact_gallery(victim.gallery, exact_limit=EXACT_LIMIT)
        check_answers(gallery, encoder, present)
    assert verify_gallery(victim.gallery, exact_limit=EXACT_LIMIT).findings == ()
    return interrupted


def measure(victim: Victim, where: str) -> tuple[int, float]:
    """Let a process finish; return the number of lines it ran and the time it took."""
    process = victim.start(where)
    began = time.perf_counter()
    output, _ = process.communicate()
    assert process.returncode == 0
    return int(output), time.perf_counter() - began


@pytest.fixture(scope="module")
def measured(
    encoder: Encoder, originals: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, float]]:
    """Return how many lines and seconds a whole run takes, by what is counted."""
    return {
        where: measure(Victim(encoder, originals, tmp_path_factory.mktemp(where)), where)
        for where in MOMENTS
    }


def test_no_kill_loses_anything(
    encoder: Encoder,
    originals: Path,
    measured: dict[str, tuple[int, float]],
    tmp_path: Path,
) -> None:
    """SIGKILL at random moments, also while the cache is written: open, verify, resume.

    A quarter of the moments are times, and a quarter each are lines of what writes anything, of
    what writes the cache, and of compacting, SQLite's own steps included.
    """
    dice = random.Random(SEED)  # noqa: S311 - moments, not secrets
    outcomes: Counter[str] = Counter()
    for number in range(2 * KILLS):
        if outcomes["killed"] == KILLS:
            break
        outcomes["runs"] += 1
        victim = Victim(encoder, originals, tmp_path / str(number))
        where = MOMENTS[number % len(MOMENTS)]
        lines, seconds = measured[where]
        process = victim.start(where, dice.randint(1, lines) if lines else -1)
        if where == "none":
            try:
                process.wait(dice.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        outcomes[f"by {'time' if where == 'none' else where}"] += process.returncode != 0
        outcomes["left a file over"] += check_recovery(victim, encoder) > 0
        outcomes["killed"] += process.returncode != 0
        shutil.rmtree(tmp_path / str(number))
    # A process that ends before its moment comes is not killed: another one is.
    assert outcomes["killed"] == KILLS
    print(dict(outcomes))  # noqa: T201 - the counts are for the record


@pytest.fixture(scope="module")
def outdated(
    encoder: Encoder,
    originals: Path,
    tmp_path_factory: pytest.TempPathFactory,
    as_format_1: Callable[[Path], Path],
) -> Path:
    """Return a gallery of all pictures in format 1, some of them deleted. Read only."""
    folder = tmp_path_factory.mktemp("outdated") / "gallery"
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([originals])
    as_format_1(folder)
    return folder


def rows_of(path: Path) -> tuple[int, list[object]]:
    """Return the format of a gallery's database, and all of its rows."""
    columns = "path, digest, size, mtime_ns, width, height, predicted, labels, state, vector"
    with closing(sqlite3.connect(path)) as database:
        [[version]] = database.execute("SELECT value FROM meta WHERE key = 'format_version'")
        apart = "" if version == 1 else "JOIN embeddings ON embeddings.id = images.embedding"
        sql = f"SELECT images.id, {columns} FROM images {apart} ORDER BY images.id"  # noqa: S608
        return version, database.execute(sql).fetchall()


def test_no_kill_within_a_migration_loses_anything(
    encoder: Encoder, originals: Path, outdated: Path, tmp_path: Path
) -> None:
    """SIGKILL while a gallery is brought up to date: it is of one format or the other, whole."""
    dice = random.Random(SEED)  # noqa: S311 - moments, not secrets
    _, expected = rows_of(outdated / STORE_NAME)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    measuring = Victim(encoder, nothing, tmp_path)
    shutil.copytree(outdated, measuring.gallery)
    lines, _ = measure(measuring, "migrations")
    outcomes: Counter[str] = Counter()
    for number in range(max(4, KILLS // 2)):
        victim = Victim(encoder, nothing, tmp_path / str(number))
        shutil.copytree(outdated, victim.gallery)
        # The last moments are the ones in which it turns from one format into the other.
        deadline = dice.randint(1, lines) if number % 2 else lines - dice.randint(0, 40)
        process = victim.start("migrations", deadline)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        shutil.copytree(victim.gallery, tmp_path / "seen")
        version, rows = rows_of(tmp_path / "seen" / STORE_NAME)
        assert rows == expected
        outcomes[f"was of format {version}"] += 1
        with Gallery.open(victim.gallery, encoder, exact_limit=EXACT_LIMIT) as gallery:
            check_answers(gallery, encoder, sorted(map(str, originals.rglob("*.png"))))
        assert rows_of(victim.gallery / STORE_NAME) == (2, expected)
        assert verify_gallery(victim.gallery, exact_limit=EXACT_LIMIT).findings == ()
        for folder in (tmp_path / str(number), tmp_path / "seen"):
            shutil.rmtree(folder)
    assert outcomes["was of format 1"] > 0
    print(f"{outcomes.total()} kills within a migration: {dict(outcomes)}")  # noqa: T201 - counts


def test_readers_see_whole_commits(encoder: Encoder, originals: Path, tmp_path: Path) -> None:
    """While one process writes, others search: each answer is of one commit, whole, and right."""
    folder = tmp_path / "gallery"
    pictures = tmp_path / "pictures"
    shutil.copytree(originals, pictures)
    gone = list(pictures.rglob("gone*"))
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([pictures])
        command = [sys.executable, READER, encoder.path, folder, str(len(gone))]
        readers = [
            subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
            )
            for _ in range(READERS)
        ]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        for _ in range(10):
            for picture in gone:
                picture.unlink()
            assert len(gallery.index([pictures], prune=True).pruned) == len(gone)
            for picture in gone:
                shutil.copy2(originals / picture.relative_to(pictures), picture)
            assert gallery.index([pictures]).restored == len(gone)
            compact_gallery(folder, exact_limit=EXACT_LIMIT)
        answers = [reader.communicate("stop\n")[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * READERS
    assert all(int(answer) > 0 for answer in answers)
    print(f"{READERS} readers: {[int(answer) for answer in answers]} answers")  # noqa: T201 - counts


@pytest.fixture
def indexed(encoder: Encoder, originals: Path, tmp_path: Path) -> Path:
    """Return a gallery of all pictures with a cache."""
    with Gallery.open(tmp_path / "gallery", encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([originals])
    return tmp_path / "gallery"


@pytest.fixture
def many(write_picture: WritePicture, tmp_path: Path) -> Path:
    """Return a folder of 600 small pictures."""
    for number in range(600):
        write_picture(tmp_path / "many" / f"{number}.png", seed=number, edge=8)
    return tmp_path / "many"


def test_a_full_disk_loses_nothing(encoder: Encoder, many: Path, disk: Any) -> None:
    """A disk that fills up is one error; what was committed is there, and indexing goes on."""
    folder = disk.path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([many / "1.png"])
        with disk.full(spare=200_000):
            with pytest.raises(GalleryError, match="disk"):
                gallery.index([many])
            held = gallery.paths()
            assert 0 < len(held) < 600
            check_answers(gallery, encoder, sorted(held))
        again = gallery.index([many])
        assert (again.added, again.unchanged) == (600 - len(held), len(held))
        check_answers(gallery, encoder, sorted(map(str, many.iterdir())))
    assert verify_gallery(folder, exact_limit=EXACT_LIMIT).findings == ()


@pytest.mark.parametrize("spare", [0, 20_000, 100_000])
def test_a_disk_too_full_for_the_cache_is_searched(
    encoder: Encoder, many: Path, disk: Any, spare: int
) -> None:
    """Where the cache finds no room there is none, nor half of one, and answers are right."""
    folder = disk.path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=10_000) as gallery:
        gallery.index([many])
        with disk.full(spare=spare):
            with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as reader:
                check_answers(reader, encoder, sorted(map(str, many.iterdir())))
            assert not (folder / GRAPH_NAME).exists()
            assert left_overs(folder) == []
    answers(folder, encoder, [str(many / "1.png")])
    assert (folder / GRAPH_NAME).exists()
    assert verify_gallery(folder, exact_limit=EXACT_LIMIT).findings == ()


@pytest.mark.parametrize("spare", [0, 20_000, 100_000])
def test_a_disk_too_full_for_a_migration_keeps_the_old_format(
    encoder: Encoder, many: Path, disk: Any, as_format_1: Callable[[Path], Path], spare: int
) -> None:
    """A gallery that cannot be brought up to date for want of room is as it was; later it can."""
    folder = disk.path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([many])
    as_format_1(folder)
    expected = rows_of(folder / STORE_NAME)
    with disk.full(spare=spare):
        with pytest.raises(GalleryError, match="disk") as caught:
            Gallery.open(folder, encoder)
        assert "\n" not in str(caught.value)
    assert rows_of(folder / STORE_NAME) == expected
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        check_answers(gallery, encoder, sorted(map(str, many.iterdir())))
    assert rows_of(folder / STORE_NAME) == (2, expected[1])
    assert verify_gallery(folder, exact_limit=EXACT_LIMIT).findings == ()


@pytest.mark.parametrize("spare", [0, 20_000, 300_000])
def test_a_disk_too_full_to_compact_loses_nothing(
    encoder: Encoder, many: Path, disk: Any, spare: int
) -> None:
    """A gallery that finds no room to be compacted answers as before, and is sound."""
    folder = disk.path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([many])
        for number in range(50):
            (many / f"{number}.png").unlink()
        gallery.index([many], prune=True)
        present = sorted(map(str, many.iterdir()))
        with disk.full(spare=spare):
            with pytest.raises(GalleryError, match="disk") as caught:
                compact_gallery(folder, exact_limit=EXACT_LIMIT)
            assert "\n" not in str(caught.value)
            check_answers(gallery, encoder, present)
        compact_gallery(folder, exact_limit=EXACT_LIMIT)
        check_answers(gallery, encoder, present)
    assert verify_gallery(folder, exact_limit=EXACT_LIMIT).findings == ()


def codes(folder: Path) -> set[str]:
    """Return the codes of what is damaged in a gallery."""
    report = verify_gallery(folder, exact_limit=EXACT_LIMIT)
    assert report.sound == (not [each for each in report.findings if each.damage])
    return {each.code for each in report.findings if each.damage}


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def answers(folder: Path, encoder: Encoder, queries: list[str]) -> list[list[tuple[str, float]]]:
    """Return paths and scores of everything, for some queries."""
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        return [[(hit.path, hit.score) for hit in gallery.query(each, k=99)] for each in queries]


def test_a_spoilt_cache_changes_nothing(encoder: Encoder, originals: Path, indexed: Path) -> None:
    """A cache that is cut, gone, emptied or has a bit flipped is found out and built again."""
    cache = indexed / GRAPH_NAME
    queries = sorted(map(str, originals.rglob("*.png")))[::11]
    expected = answers(indexed, encoder, queries)
    whole = cache.read_bytes()
    dice = random.Random(SEED)  # noqa: S311 - places, not secrets
    spoilt = [b"", whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"\0"]
    for content in spoilt:
        cache.write_bytes(content)
        assert codes(indexed) == {"cache_damaged"}
        assert answers(indexed, encoder, queries) == expected
        assert codes(indexed) == set()
    rows, row_bytes = struct.unpack_from("<II", whole)
    in_vectors = range(8 * 8, 8 * (8 + rows * row_bytes))
    for _ in range(FLIPS):
        bit = dice.randrange(8 * len(whole))
        flip(cache, bit)
        assert codes(indexed) == {"cache_vectors" if bit in in_vectors else "cache_damaged"}
        assert answers(indexed, encoder, queries) == expected
        assert cache.read_bytes() == whole
    cache.unlink()
    assert [each.code for each in verify_gallery(indexed, exact_limit=4).findings] == [
        "cache_missing"
    ]
    assert answers(indexed, encoder, queries) == expected


def test_a_flipped_bit_in_the_database_is_no_wrong_answer(
    encoder: Encoder, originals: Path, indexed: Path, tmp_path: Path
) -> None:
    """A bit flipped in the database is found out by verify, or the answers are as before."""
    queries = sorted(map(str, originals.rglob("*.png")))[::11]
    expected = answers(indexed, encoder, queries)
    dice = random.Random(SEED)  # noqa: S311 - places, not secrets
    size = (indexed / STORE_NAME).stat().st_size
    found: Counter[str] = Counter()
    for _ in range(FLIPS):
        spoilt = tmp_path / "spoilt"
        shutil.copytree(indexed, spoilt)
        flip(spoilt / STORE_NAME, dice.randrange(8 * size))
        try:
            damaged = bool(codes(spoilt))
        except GalleryError:
            damaged = True
        found["found out"] += damaged
        try:
            same = answers(spoilt, encoder, queries) == expected
        except BoostEdgeError:
            assert damaged
        else:
            assert same or damaged
            found["harmless"] += same and not damaged
        shutil.rmtree(spoilt)
    print(f"{FLIPS} flipped bits: {dict(found)}")  # noqa: T201 - the counts are for the record


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_database_is_found_out(
    indexed: Path, encoder: Encoder, originals: Path, share: float
) -> None:
    """A database that lost its end is damaged, says verify; search fails in no untyped way."""
    store = indexed / STORE_NAME
    os.truncate(store, int(store.stat().st_size * share))
    assert "database_damaged" in codes(indexed)
    # SQLite takes what is cut off within a page for zeros.
    with suppress(GalleryCorruptError):
        answers(indexed, encoder, sorted(map(str, originals.rglob("*.png")))[::11])


@pytest.mark.parametrize("beside", [GRAPH_NAME, f"{STORE_NAME}-wal"])
def test_a_lost_database_is_said_to_be(indexed: Path, encoder: Encoder, beside: str) -> None:
    """A gallery whose database is gone is never taken for a new one."""
    (indexed / STORE_NAME).unlink()
    for file in indexed.iterdir():
        file.unlink()
    (indexed / beside).touch()
    report = verify_gallery(indexed)
    assert [(each.code, each.damage) for each in report.findings] == [("database_gone", True)]
    assert not report.sound
    with pytest.raises(GalleryCorruptError, match="gone"):
        compact_gallery(indexed)
    with pytest.raises(GalleryCorruptError, match="gone"):
        Gallery.open(indexed, encoder)


def test_a_database_from_a_backup_gets_its_own_cache(
    encoder: Encoder, originals: Path, indexed: Path, tmp_path: Path, write_picture: WritePicture
) -> None:
    """A cache that is newer than the database is dropped before it can pass for current."""
    backup = tmp_path / "backup"
    store = indexed / STORE_NAME
    shutil.copy2(store, backup)
    pictures = [write_picture(tmp_path / "new" / f"{n}.png", seed=900 + n) for n in range(12)]
    with Gallery.open(indexed, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index(pictures[:6])
    shutil.copy2(backup, store)
    assert codes(indexed) == {"cache_future"}
    with Gallery.open(indexed, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index(pictures[6:7])
        for picture in pictures[6:]:
            gallery.index([picture])
        check_answers(
            gallery, encoder, sorted([*map(str, originals.rglob("*.png")), *map(str, pictures[6:])])
        )
    assert codes(indexed) == set()


def test_a_clock_set_back_hides_no_change(
    encoder: Encoder, write_picture: WritePicture, tmp_path: Path
) -> None:
    """A file whose new time is before its old one has changed all the same."""
    picture = write_picture(tmp_path / "pictures" / "0.png", "red")
    with Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([picture])
        write_picture(picture, "blue")
        os.utime(picture, ns=(1, 1))
        assert gallery.index([picture]).changed == 1
        assert gallery.query(picture).hits[0].attributes["colour"] == "blue"


def test_every_kind_of_damage_has_a_name(indexed: Path, encoder: Encoder) -> None:
    """Each flaw in a row is found by its code, with the image that has it."""
    zero = np.zeros(encoder.dimensions, "<f4")
    nan, long = np.full_like(zero, np.nan), np.full_like(zero, 0.5)
    edits: list[tuple[str, object, set[str]]] = [
        ("embedding", 999, {"embedding_missing", "embedding_unused"}),
        ("embedding", 4, {"embedding_unused"}),
        ("vector", b"short", {"vector_length"}),
        ("vector", zero.tobytes(), {"vector_changed"}),
        ("vector", nan.tobytes(), {"vector_changed", "vector_not_finite"}),
        ("vector", long.tobytes(), {"vector_changed", "vector_not_unit"}),
        ("vector_key", 5, {"vector_changed", "cache_incomplete"}),
        ("generation", 10**6, {"generation_wrong"}),
        ("predicted", "{", {"row_damaged"}),
        ("state", "odd", {"row_damaged"}),
        ("labels", '{"a": 1}', {"row_damaged"}),
        ("path", b"relative", {"row_damaged"}),
    ]
    whole = (indexed / STORE_NAME).read_bytes()
    for column, value, expected in edits:
        with closing(sqlite3.connect(indexed / STORE_NAME)) as database:
            # As a fault would, not as a program: nothing else follows.
            database.execute("DROP TRIGGER image_changed")
            table = "embeddings" if column.startswith("vector") else "images"
            database.execute(f"UPDATE {table} SET {column} = ? WHERE id = 3", (value,))  # noqa: S608
            assert TRIGGER is not None
            database.execute(TRIGGER[0])
            database.commit()
        assert codes(indexed) == expected
        for file in indexed.glob(f"{STORE_NAME}*"):
            file.unlink()
        (indexed / STORE_NAME).write_bytes(whole)
    assert codes(indexed) == set()
