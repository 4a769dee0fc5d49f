"""Faults: bits flip in what lies beside the database, clocks go back, two processes write.

``BOOST_EDGE_FLIPS`` is the number of flipped bits in each file; ``make faults`` runs it in full.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime.errors import BoostEdgeError, GalleryLockedError
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import verify_gallery
from boost_edge.runtime.writer_lock import LOCK_NAME, writer_lock

FLIPS = int(os.environ.get("BOOST_EDGE_FLIPS", "40"))
SEED = int(os.environ.get("BOOST_EDGE_FAULT_SEED", "0"))
EXACT_LIMIT = 4
LOG, INDEX_OF_LOG = f"{STORE_NAME}-wal", f"{STORE_NAME}-shm"

WritePicture = Callable[..., Path]
Answer = list[tuple[str, float]]


def answer(folder: Path, encoder: Encoder) -> Answer:
    """Return paths and scores of everything, for one query."""
    query = np.ones(encoder.dimensions, np.float32)
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        return [(hit.path, hit.score) for hit in gallery.search(query, k=99)]


@pytest.fixture
def interrupted(encoder: Encoder, pictures: Path, tmp_path: Path) -> tuple[Path, list[Answer]]:
    """Return what a power cut leaves of a gallery with three commits in its log.

    With it comes what it answered before the first of them and after each one.
    """
    folder = tmp_path / "gallery"
    Gallery.open(folder, encoder).close()
    states = [answer(folder, encoder)]
    with closing(sqlite3.connect(folder / STORE_NAME)) as reader:
        # While somebody reads the first state, the log cannot be emptied.
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        for colour in ("red", "green", "blue"):
            with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
                gallery.index([pictures / colour])
            states.append(answer(folder, encoder))
        left = tmp_path / "left"
        shutil.copytree(folder, left)
    assert [len(state) for state in states] == [0, 3, 6, 9]
    assert {each.name for each in left.iterdir()} == {
        *(STORE_NAME, LOG, INDEX_OF_LOG, LOCK_NAME, GRAPH_NAME)
    }
    return left, states


def flipped(whole: Path, name: str, spoilt: Path) -> Iterator[Path]:
    """Yield copies of a gallery, each with one bit of one file flipped."""
    dice = random.Random(SEED)  # noqa: S311 - places, not secrets
    content = (whole / name).read_bytes()
    for _ in range(FLIPS):
        shutil.copytree(whole, spoilt)
        data = bytearray(content)
        bit = dice.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        (spoilt / name).write_bytes(data)
        yield spoilt
        shutil.rmtree(spoilt)


def test_a_flipped_bit_in_the_log_takes_whole_commits(
    encoder: Encoder, pictures: Path, interrupted: tuple[Path, list[Answer]], tmp_path: Path
) -> None:
    """A bit flipped in SQLite's log leaves an earlier commit, whole; indexing adds the rest."""
    left, states = interrupted
    found: Counter[str] = Counter()
    for spoilt in flipped(left, LOG, tmp_path / "spoilt"):
        report = verify_gallery(spoilt, exact_limit=EXACT_LIMIT)
        assert {each.code for each in report.findings if each.damage} <= {"cache_future"}
        now = answer(spoilt, encoder)
        assert now in states
        found[f"as after commit {states.index(now)}"] += 1
        with Gallery.open(spoilt, encoder, exact_limit=EXACT_LIMIT) as gallery:
            added = gallery.index([pictures])
            assert (added.unchanged, added.added) == (len(now), 9 - len(now))
        assert sorted(answer(spoilt, encoder)) == sorted(states[-1])
        assert verify_gallery(spoilt, exact_limit=EXACT_LIMIT).findings == ()
    assert set(found) != {"as after commit 3"}
    print(f"{FLIPS} flipped bits: {dict(found)}")  # noqa: T201 - the counts are for the record


@pytest.mark.parametrize("name", [INDEX_OF_LOG, LOCK_NAME])
def test_a_flipped_bit_in_a_file_that_holds_nothing_changes_nothing(
    encoder: Encoder,
    pictures: Path,
    interrupted: tuple[Path, list[Answer]],
    tmp_path: Path,
    name: str,
) -> None:
    """The log's index is made again, and the lock's file is only a note: all is as it was."""
    left, states = interrupted
    if name == LOCK_NAME:
        (left / LOCK_NAME).write_text("4194304\n")
    for spoilt in flipped(left, name, tmp_path / "spoilt"):
        assert verify_gallery(spoilt, exact_limit=EXACT_LIMIT).findings == ()
        assert answer(spoilt, encoder) == states[-1]
        with Gallery.open(spoilt, encoder, exact_limit=EXACT_LIMIT) as gallery:
            assert gallery.index([pictures]).unchanged == 9


def test_a_flipped_bit_in_the_note_of_a_lock_that_is_held(gallery: Gallery, pictures: Path) -> None:
    """Whatever the lock's file says, the lock holds, and the error is one line."""
    dice = random.Random(SEED)  # noqa: S311 - places, not secrets
    lock = gallery.path / LOCK_NAME
    with writer_lock(gallery.path):
        note = lock.read_bytes()
        for _ in range(FLIPS):
            data = bytearray(note)
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            lock.write_bytes(data)
            with pytest.raises(GalleryLockedError, match="is writing to it") as caught:
                gallery.index([pictures])
            assert str(caught.value).isprintable()


def test_a_cache_that_goes_while_the_gallery_is_open(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """A cache that is cut short or deleted under an open gallery changes no answer."""
    folder = tmp_path / "gallery"
    cache = folder / GRAPH_NAME
    with Gallery.open(folder, encoder, exact_limit=EXACT_LIMIT) as gallery:
        gallery.index([pictures])
        expected = answer(folder, encoder)
        query = np.ones(encoder.dimensions, np.float32)
        spoil: list[Callable[[], object]] = [
            lambda: os.truncate(cache, cache.stat().st_size // 2),
            lambda: os.truncate(cache, 0),
            cache.unlink,
        ]
        for each in spoil:
            each()
            assert [(hit.path, hit.score) for hit in gallery.search(query, k=99)] == expected
            assert answer(folder, encoder) == expected
    assert verify_gallery(folder, exact_limit=EXACT_LIMIT).findings == ()


def test_a_clock_set_back_while_indexing_hides_nothing(
    encoder: Encoder, pictures: Path, write_picture: WritePicture, tmp_path: Path
) -> None:
    """Files that are written again while they are indexed, at times long ago, are indexed again."""
    files = sorted(pictures.rglob("*.png"))
    written: list[Path] = []

    def set_back(done: int, _total: int) -> None:
        for path in (files[done - 1], files[-done]):
            # Each time earlier than the one before.
            write_picture(path, "green", seed=500 + len(written))
            os.utime(path, ns=(10**9 - len(written), 10**9 - len(written)))
            written.append(path)

    with Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([pictures], progress=set_back)
        report = gallery.index([pictures])
        assert (report.added, report.skipped, len(gallery)) == (0, (), 9)
        assert report.changed > 0
        for path in files:
            [best, *_] = gallery.query(path).hits
            assert best.path == str(path)
            assert best.score == pytest.approx(1, abs=1e-5)
        assert gallery.index([pictures]).unchanged == 9
    assert verify_gallery(tmp_path / "gallery").findings == ()


# Indexes, and stops at the first image until it is told to go on.
WRITER = """
import sys
from boost_edge import Encoder, Gallery
told = []
def wait(done, total):
    if not told:
        print("writing", flush=True)
        told.append(sys.stdin.readline())
with Encoder.open(sys.argv[1], threads=1) as encoder, Gallery.open(sys.argv[2], encoder) as gallery:
    print(gallery.index([sys.argv[3]], progress=wait).added)
"""


@contextmanager
def writing(
    gallery: Path, encoder: Encoder, pictures: Path
) -> Generator[subprocess.Popen[str], None, None]:
    """Have another process write to a gallery, for as long as it is not told to go on."""
    command = [sys.executable, "-c", WRITER, encoder.path, gallery, pictures]
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield writer


def test_a_second_writer_is_told_who_writes(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """A real second process gets one line with the first one's number; readers get answers."""
    folder = tmp_path / "gallery"
    with writing(folder, encoder, pictures) as writer:
        for arguments in (["index", pictures, "--gallery", folder], ["compact", folder]):
            done = subprocess.run(
                [sys.executable, "-m", "boost_edge", *map(str, arguments)],
                capture_output=True,
                text=True,
                check=False,
            )
            [line] = done.stderr.splitlines()
            assert (done.returncode, done.stdout) == (1, "")
            assert f"process {writer.pid} is writing to it" in line
        assert answer(folder, encoder) == []
        output, _ = writer.communicate("\n")
        assert output == "9\n"
    assert len(answer(folder, encoder)) == 9


def test_a_writer_that_is_killed_is_no_obstacle(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """The next writer goes on at once, though the first one's note is still there."""
    folder = tmp_path / "gallery"
    with writing(folder, encoder, pictures) as writer:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert (folder / LOCK_NAME).read_text() == f"{writer.pid}\n"
        with Gallery.open(folder, encoder) as gallery:
            assert gallery.index([pictures]).added == 9


def test_a_note_that_makes_no_sense_breaks_no_line(gallery: Gallery, pictures: Path) -> None:
    """What stands in the lock's file is shown only as far as it is a number."""
    with writer_lock(gallery.path):
        (gallery.path / LOCK_NAME).write_bytes(b"7\n\x1b[31m\xff")
        with pytest.raises(GalleryLockedError, match=r"process \(unknown\) is writing"):
            gallery.index([pictures])


def test_errors_are_ours(interrupted: tuple[Path, list[Answer]], encoder: Encoder) -> None:
    """A log or lock that is a folder is an error of ours, in one line."""
    left, _ = interrupted
    for name in (LOG, LOCK_NAME):
        (left / name).unlink()
        (left / name).mkdir()
        with (
            pytest.raises(BoostEdgeError) as caught,
            Gallery.open(left, encoder) as gallery,
        ):
            gallery.index([left])
        assert "\n" not in str(caught.value)
        (left / name).rmdir()
