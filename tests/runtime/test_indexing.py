"""Indexing: what is new, what is known, and what is in the way."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import boost_edge
from boost_edge import Encoder, Gallery
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.index_report import Copy

WritePicture = Callable[..., Path]


def counts(report: boost_edge.IndexReport) -> dict[str, int]:
    """Return the counts of a report that are not zero."""
    numbers = {**dataclasses.asdict(report), "skipped": len(report.skipped), "seconds": 0}
    assert len(numbers.pop("copies")) == report.duplicates
    return {name: count for name, count in numbers.items() if count}


def ids(gallery: Gallery, pictures: Path) -> dict[str, str]:
    """Return the id of every image by its path."""
    hits = gallery.query(next(pictures.rglob("*.png")), k=1000).hits
    return {hit.path: hit.id for hit in hits}


def test_unchanged_files_are_not_read_again(gallery: Gallery, pictures: Path) -> None:
    """Size and time of change decide: with both as before the bytes are not looked at."""
    gallery.index([pictures])
    path = pictures / "red" / "0.png"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(gallery.index([pictures])) == {"unchanged": 9}


def test_a_touched_file_is_unchanged(gallery: Gallery, pictures: Path) -> None:
    """Another time of change with the same bytes is no change, and is remembered."""
    gallery.index([pictures])
    path = pictures / "red" / "0.png"
    os.utime(path, ns=(1, 1))
    assert counts(gallery.index([pictures])) == {"unchanged": 9}
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(1, 1))
    assert counts(gallery.index([pictures])) == {"unchanged": 9}


def test_a_changed_file_is_encoded_again(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """New bytes at a known path: same id, new embedding and attributes."""
    gallery.index([pictures])
    before = ids(gallery, pictures)
    path = write_picture(pictures / "red" / "0.png", "blue", seed=99, edge=21)
    assert counts(gallery.index([pictures])) == {"changed": 1, "unchanged": 8}
    best = gallery.query(path, k=1).hits[0]
    assert (best.path, best.attributes["colour"]) == (str(path), "blue")
    assert best.score == pytest.approx(1, abs=1e-5)
    assert ids(gallery, pictures) == before


def test_a_renamed_file_keeps_its_id_and_labels(gallery: Gallery, pictures: Path) -> None:
    """Known bytes whose old path is gone are the same image."""
    old = pictures / "red" / "0.png"
    gallery.index([pictures], labels={str(old): {"season": "Summer"}})
    before = ids(gallery, pictures)
    new = old.rename(pictures / "crimson.png")
    assert counts(gallery.index([pictures])) == {"renamed": 1, "unchanged": 8}
    best = gallery.query(new, k=1).hits[0]
    assert (best.path, best.id) == (str(new), before[str(old)])
    assert best.labels == {"season": "Summer"}
    assert len(gallery) == 9


def test_equal_files_are_encoded_once(gallery: Gallery, pictures: Path) -> None:
    """Copies in one run or in a later one are images of their own, with the same embedding."""
    original = pictures / "red" / "0.png"
    for number in range(40):
        shutil.copy(original, pictures / f"copy{number}.png")
    report = gallery.index([pictures])
    assert counts(report) == {"added": 49, "duplicates": 40}
    first = str(pictures / "copy0.png")
    assert {copy.original for copy in report.copies} == {first}
    assert {copy.path for copy in report.copies} == {
        str(original),
        *(str(pictures / f"copy{number}.png") for number in range(1, 40)),
    }
    shutil.copy(original, pictures / "late.png")
    report = gallery.index([pictures])
    assert counts(report) == {"added": 1, "duplicates": 1, "unchanged": 49}
    assert report.copies == (Copy(path=str(pictures / "late.png"), original=first),)
    hits = gallery.query(original, k=42).hits
    assert len({hit.score for hit in hits}) == 1
    assert [int(hit.id) for hit in hits] == sorted(int(hit.id) for hit in hits)


def test_files_that_change_places_change(gallery: Gallery, pictures: Path) -> None:
    """Two files that swap their names keep their ids by path, and their embeddings follow."""
    gallery.index([pictures])
    before = ids(gallery, pictures)
    red, blue = pictures / "red" / "0.png", pictures / "blue" / "0.png"
    content = red.read_bytes()
    red.write_bytes(blue.read_bytes())
    blue.write_bytes(content)
    os.utime(red, ns=(5, 5))
    os.utime(blue, ns=(5, 5))
    assert counts(gallery.index([pictures])) == {"changed": 2, "duplicates": 2, "unchanged": 7}
    assert ids(gallery, pictures) == before
    assert gallery.query(red, k=1).hits[0].path == str(red)
    assert gallery.query(red, k=1).hits[0].attributes["colour"] == "blue"


def test_unreadable_images_are_skipped_and_named(gallery: Gallery, pictures: Path) -> None:
    """What cannot be read is in the report with its reason; all else is indexed."""
    (pictures / "text.png").write_text("not a picture")
    (pictures / "empty.jpg").touch()
    whole = (pictures / "red" / "0.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "link.png").symlink_to(pictures / "nowhere.png")
    report = gallery.index([pictures])
    assert report.added == len(gallery) == 9
    reasons = {Path(each.path).name: each.reason for each in report.skipped}
    expected = {"text.png": "unsupported", "empty.jpg": "empty", "cut.png": "damaged"}
    assert expected.items() <= reasons.items()
    assert all(each.detail for each in report.skipped)
    assert counts(gallery.index([pictures])) == {"unchanged": 9, "skipped": len(report.skipped)}


def test_an_image_that_breaks_keeps_its_row(gallery: Gallery, pictures: Path) -> None:
    """An image that was indexed and can no longer be read is skipped, not lost."""
    gallery.index([pictures])
    (pictures / "red" / "0.png").write_bytes(b"broken")
    assert counts(gallery.index([pictures])) == {"unchanged": 8, "skipped": 1}
    assert len(gallery) == 9


def test_other_folders_stay_as_they_are(gallery: Gallery, pictures: Path) -> None:
    """Indexing one folder says nothing about another."""
    gallery.index([pictures / "red"])
    gallery.index([pictures / "blue"])
    assert len(gallery) == 6


def test_labels_are_kept_and_replaced(gallery: Gallery, pictures: Path) -> None:
    """Labels belong to an image until others are given for it, by any spelling of its path."""
    first, second = pictures / "red" / "0.png", pictures / "red" / "1.png"
    labels = {str(first): {"season": "Summer"}, str(second): {"season": "Winter"}}
    assert counts(gallery.index([pictures], labels=labels)) == {"added": 9, "labelled": 2}
    spelling = os.fspath(pictures / "blue" / ".." / "red" / "0.png")
    report = gallery.index([pictures], labels={spelling: {"size": "M"}, "absent.png": {"a": "b"}})
    assert counts(report) == {"unchanged": 9, "labelled": 1}
    found = {hit.path: hit.labels for hit in gallery.query(first, k=9)}
    assert found[str(first)] == {"size": "M"}
    assert found[str(second)] == {"season": "Winter"}
    assert found[str(pictures / "red" / "2.png")] == {}


def test_progress_counts_every_file(gallery: Gallery, pictures: Path) -> None:
    """Progress goes up by one to the total, skipped files included."""
    (pictures / "text.png").write_text("not a picture")
    calls: list[tuple[int, int]] = []
    gallery.index([pictures], progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 10) for done in range(1, 11)]


def test_an_interrupted_run_keeps_what_it_did(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """Ctrl-C goes through; what was encoded by then is there, and the next run does the rest."""
    for seed in range(100, 160):
        write_picture(pictures / f"{seed}.png", seed=seed)

    def interrupt(done: int, total: int) -> None:
        assert total == 69
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.index([pictures], progress=interrupt)
    kept = len(gallery)
    assert 40 <= kept < 69
    assert counts(gallery.index([pictures])) == {"added": 69 - kept, "unchanged": kept}
    assert len(gallery) == 69


def test_a_failing_network_keeps_what_was_done(
    pictures: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """An encoder that is closed in the middle ends the run with its error; the rest is kept."""
    own = Encoder.open(encoder.path, threads=1)
    with Gallery.open(tmp_path / "own", own) as mine:
        mine.index([pictures / "red"])
        own.close()
        with pytest.raises(UsageError, match="closed"):
            mine.index([pictures])
        assert len(mine) == 3


def test_a_killed_run_keeps_what_it_committed(
    encoder: Encoder, write_picture: WritePicture, tmp_path: Path
) -> None:
    """What was committed on the way is there after SIGKILL, whole; the next run does the rest."""
    for seed in range(300):
        write_picture(tmp_path / "many" / f"{seed}.png", seed=seed, edge=9)
    script = (
        "import os, signal, sys, time\n"
        "from boost_edge import Encoder, Gallery\n"
        "encoder = Encoder.open(sys.argv[1], threads=1)\n"
        "gallery = Gallery.open(sys.argv[2], encoder)\n"
        "def die(done, total):\n"
        "    if done == 290:\n"
        "        deadline = time.monotonic() + 60\n"
        "        while len(gallery) < 256 and time.monotonic() < deadline:\n"
        "            pass\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "gallery.index([sys.argv[3]], progress=die)\n"
    )
    folder = tmp_path / "gallery"
    arguments = [str(encoder.path), str(folder), str(tmp_path / "many")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    with Gallery.open(folder, encoder) as gallery:
        kept = len(gallery)
        assert 256 <= kept < 290
        report = gallery.index([tmp_path / "many"])
        assert counts(report) == {"added": 300 - kept, "unchanged": kept}
