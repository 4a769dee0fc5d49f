"""Indexing: what is new, what is known, and what is in the way."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import boost_edge
from boost_edge import Encoder, Gallery
from boost_edge.runtime import index_report, prune
from boost_edge.runtime.crawl import find_images
from boost_edge.runtime.errors import GalleryError, UsageError
from boost_edge.runtime.image_rows import Changes
from boost_edge.runtime.index_report import Copy, Skipped
from boost_edge.runtime.pending import COMMIT_IMAGES
from boost_edge.runtime.store import STORE_NAME, Store

WritePicture = Callable[..., Path]


def counts(report: boost_edge.IndexReport) -> dict[str, int]:
    """Return the counts of a report that are not zero."""
    numbers: dict[str, Any] = {**dataclasses.asdict(report), "seconds": 0}
    for name in ("skipped", "pruned", "outdated_labels"):
        assert numbers.pop(f"{name}_count") == len(numbers[name])
        numbers[name] = len(numbers[name])
    del numbers["copies"]
    assert len(report.copies) == report.duplicates
    return {name: count for name, count in numbers.items() if count}


def ids(gallery: Gallery, pictures: Path) -> dict[str, int]:
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
    assert [hit.id for hit in hits] == sorted(hit.id for hit in hits)


def test_files_that_change_places_keep_their_ids(gallery: Gallery, pictures: Path) -> None:
    """Two files that swap their names are renamed: ids, labels and embeddings follow the bytes."""
    red, blue = pictures / "red" / "0.png", pictures / "blue" / "0.png"
    gallery.index([pictures], labels={str(red): {"name": "red"}})
    before = ids(gallery, pictures)
    content = red.read_bytes()
    red.write_bytes(blue.read_bytes())
    blue.write_bytes(content)
    os.utime(red, ns=(5, 5))
    os.utime(blue, ns=(5, 5))
    assert counts(gallery.index([pictures])) == {"renamed": 2, "unchanged": 7}
    swapped = {str(red): before[str(blue)], str(blue): before[str(red)]}
    assert ids(gallery, pictures) == before | swapped
    assert gallery.query(red, k=1).hits[0].path == str(red)
    assert gallery.query(red, k=1).hits[0].labels == {}
    assert gallery.query(blue, k=1).hits[0].labels == {"name": "red"}
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


def test_a_folder_is_the_same_by_any_name(
    gallery: Gallery, pictures: Path, write_picture: WritePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images behind a link come once, whether the folder is named from afar or by ``..``."""
    write_picture(pictures.parent / "away" / "0.png", seed=88)
    (pictures / "blue" / "link").symlink_to("../../away")
    monkeypatch.chdir(pictures / "red")
    assert counts(gallery.index(["../blue"])) == {"added": 4}
    assert counts(gallery.index([pictures / "blue"])) == {"unchanged": 4}
    (pictures / "blue" / "link").unlink()
    assert counts(gallery.index(["../blue"], prune=True)) == {"unchanged": 3, "pruned": 1}


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


def test_ids_are_given_in_the_order_of_the_search(gallery: Gallery, pictures: Path) -> None:
    """Ids rise with the order of the crawl, whatever the threads do, and whatever is a copy."""
    for number in range(30):
        source = pictures / ("red", "green", "blue")[number % 3] / f"{number % 2}.png"
        shutil.copy(source, pictures / f"{number:02}.png")
    gallery.index([pictures])
    assert gallery.paths() == list(find_images([pictures]))
    found = ids(gallery, pictures)
    assert [int(found[path]) for path in gallery.paths()] == list(range(1, 40))


def test_a_commit_that_fails_ends_the_run(gallery: Gallery, pictures: Path) -> None:
    """The error of a commit is raised, says how to go on, and no thread is left."""
    before = threading.active_count()
    with closing(sqlite3.connect(gallery.path / STORE_NAME)) as database:
        database.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON images BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(GalleryError) as caught:
            gallery.index([pictures])
        assert "index again to go on" in caught.value.__notes__[0]
        assert threading.active_count() == before
        database.execute("DROP TRIGGER refuse")
    assert counts(gallery.index([pictures])) == {"added": 9}


def test_threads_end_with_an_interruption(
    gallery: Gallery, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C neither a decoder nor the committer goes on, and all that was encoded is in."""

    def eight_of_nine(_edge: int, _threads: int) -> int:
        return 8

    monkeypatch.setattr("boost_edge.runtime.indexing.images_at_once", eight_of_nine)
    before = threading.active_count()
    settled = 0

    def interrupt(done: int, _: int) -> None:
        nonlocal settled
        settled = done
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.index([pictures], progress=interrupt)
    assert threading.active_count() == before
    assert settled == 1
    # The first batch was encoded as a whole.
    assert len(gallery) == 8


def test_gone_files_are_counted_and_left(gallery: Gallery, pictures: Path) -> None:
    """Without pruning, images whose file is gone are counted; renamed ones are not among them."""
    gallery.index([pictures])
    (pictures / "red" / "0.png").unlink()
    (pictures / "red" / "1.png").rename(pictures / "blue" / "9.png")
    for dry_run in (True, False):
        report = gallery.index([pictures], dry_run=dry_run)
        assert counts(report) | {"dry_run": dry_run} == {
            "renamed": 1,
            "unchanged": 7,
            "gone": 1,
            "dry_run": dry_run,
        }
    assert counts(gallery.index([pictures / "blue"])) == {"unchanged": 4}
    assert len(gallery) == 9
    report = gallery.index([pictures], prune=True)
    assert (report.pruned, report.gone) == ((str(pictures / "red" / "0.png"),), 0)
    assert counts(gallery.index([pictures])) == {"unchanged": 8}


def test_a_gone_file_counts_once(gallery: Gallery, pictures: Path) -> None:
    """A file that is below two of the given folders is gone once."""
    gallery.index([pictures])
    (pictures / "red" / "0.png").unlink()
    assert gallery.index([pictures, pictures / "red", pictures]).gone == 1


def test_patterns_limit_what_is_indexed_and_pruned(gallery: Gallery, pictures: Path) -> None:
    """What the patterns leave out is neither added, nor missed, nor deleted."""
    assert counts(gallery.index([pictures], include=["red/*", "blue/*"], exclude=["*/2.png"])) == {
        "added": 4
    }
    (pictures / "red" / "0.png").unlink()
    (pictures / "blue" / "0.png").unlink()
    report = gallery.index([pictures], exclude=["red/*"], prune=True)
    assert report.pruned == (str(pictures / "blue" / "0.png"),)
    assert counts(gallery.index([pictures], include=["red/*"])) == {
        "added": 1,
        "unchanged": 1,
        "gone": 1,
    }


def test_patterns_are_for_the_folder_that_was_given(gallery: Gallery, pictures: Path) -> None:
    """What is left out below one folder and not below another is indexed, and pruned."""
    given, patterns = [pictures, pictures / "red"], ["red/*", "blue/*"]
    assert counts(gallery.index(given, exclude=patterns)) == {"added": 6}
    gallery.index([pictures])
    for path in (pictures / "red" / "0.png", pictures / "blue" / "0.png"):
        path.unlink()
    report = gallery.index(given, exclude=patterns, prune=True)
    assert report.pruned == (str(pictures / "red" / "0.png"),)
    assert counts(gallery.index([pictures], exclude=patterns, prune=True)) == {"unchanged": 3}


def test_only_what_changed_is_looked_at(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """With ``only``, other files are not even counted; gone files and folders are noticed."""
    gallery.index([pictures])
    new = write_picture(pictures / "red" / "new.png", seed=77)
    write_picture(pictures / "red" / "late.png", seed=78)
    assert counts(gallery.index([pictures], only=[new])) == {"added": 1}
    (pictures / "green" / "0.png").unlink()
    shutil.rmtree(pictures / "blue")
    (pictures / "red" / "0.png").unlink()
    gone = [pictures / "green" / "0.png", pictures / "blue"]
    assert counts(gallery.index([pictures], only=gone)) == {"gone": 4}
    report = gallery.index([pictures], only=gone, prune=True)
    assert set(report.pruned) == {
        str(pictures / name) for name in ("green/0.png", "blue/0.png", "blue/1.png", "blue/2.png")
    }
    assert counts(gallery.index([pictures], only=[pictures])) == {
        "added": 1,
        "unchanged": 5,
        "gone": 1,
    }


def test_only_one_folder_s_images_are_renamed_into_another(
    gallery: Gallery, pictures: Path
) -> None:
    """A folder that moves is known by its files, when told of both its names."""
    gallery.index([pictures])
    (pictures / "red").rename(pictures / "crimson")
    report = gallery.index([pictures], only=[pictures / "red", pictures / "crimson"], prune=True)
    assert counts(report) == {"renamed": 3}


def sizes_of_commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with the size of each commit."""
    sizes: list[int] = []
    commit = Store.commit

    def measured(store: Store, changes: Changes) -> None:
        sizes.append(len(changes))
        commit(store, changes)

    monkeypatch.setattr(Store, "commit", measured)
    return sizes


def test_what_is_not_encoded_is_committed_in_pieces_too(
    gallery: Gallery, write_picture: WritePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels, returns and prunings of many images are many commits, for none is held for long."""
    count = 3 * max(COMMIT_IMAGES, prune.PAGE_ROWS)
    picture = write_picture(tmp_path / "picture.png").read_bytes()
    many = tmp_path / "many"
    many.mkdir()
    paths = [many / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        # What follows the picture is not looked at.
        path.write_bytes(picture + bytes([number % 4]))
    gallery.index([many])
    sizes = sizes_of_commits(monkeypatch)
    gallery.index([many], labels={str(path): {"n": path.stem} for path in paths})
    assert sum(sizes) == count
    assert max(sizes) == COMMIT_IMAGES
    sizes.clear()
    many.rename(tmp_path / "away")
    assert gallery.index([many], prune=True).pruned_count == count
    assert sum(sizes) == count
    assert max(sizes) <= prune.PAGE_ROWS
    sizes.clear()
    (tmp_path / "away").rename(many)
    assert gallery.index([many]).restored == count
    assert max(sizes) == COMMIT_IMAGES


def test_a_report_names_the_first_and_counts_all(
    gallery: Gallery, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists end, counts do not, and each file that is skipped is told at once."""
    monkeypatch.setattr(index_report, "MOST_NAMED", 2)
    monkeypatch.setattr(prune, "PAGE_ROWS", 2)
    gallery.index([pictures])
    for path in sorted((pictures / "red").iterdir()):
        path.unlink()
    for number in range(5):
        (pictures / f"{number}.png").write_text("no picture")
    told: list[Skipped] = []
    done: list[int] = []

    def note(skipped: Skipped) -> None:
        told.append(skipped)
        done.append(len(steps))

    steps: list[int] = []
    report = gallery.index(
        [pictures], prune=True, on_skipped=note, progress=lambda step, _: steps.append(step)
    )
    assert (report.skipped_count, len(told), report.skipped) == (5, 5, tuple(told[:2]))
    assert sorted(done) == done != [len(steps)] * 5
    assert report.pruned_count == 3
    assert report.pruned == tuple(str(pictures / "red" / f"{number}.png") for number in range(2))


@pytest.mark.parametrize(
    "labels",
    [
        {"a": 1},
        {1: "a"},
        {"a": None},
        ["a"],
        "text",
        {"a": "\udcff"},
        {"a\ud800": "b"},
        {"a": "\0"},
    ],
    ids=ascii,
)
def test_labels_that_are_no_text(gallery: Gallery, pictures: Path, labels: Any) -> None:
    """Labels that no gallery may hold are refused before anything is done."""
    with pytest.raises(UsageError, match="label"):
        gallery.index([pictures], labels={str(pictures / "red" / "0.png"): labels})
    assert len(gallery) == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_path_that_is_gone_can_be_pruned(
    gallery: Gallery, pictures: Path, *, dry_run: bool
) -> None:
    """A folder or file that is gone will do if the gallery has images there, and no other."""
    gallery.index([pictures])
    shutil.rmtree(pictures / "red")
    (pictures / "blue" / "0.png").unlink()
    gone = [pictures / "red", pictures / "blue" / "0.png"]
    with pytest.raises(UsageError, match="no such file or folder"):
        gallery.index(gone)
    for absent in (pictures / "re", pictures / "red" / "9.png", pictures / "redd"):
        with pytest.raises(UsageError, match="no such file or folder"):
            gallery.index([absent], prune=True)
    report = gallery.index(gone, prune=True, dry_run=dry_run)
    assert set(report.pruned) == {
        str(pictures / name) for name in ("red/0.png", "red/1.png", "red/2.png", "blue/0.png")
    }
    assert len(gallery) == (9 if dry_run else 5)
    assert gallery.index(gone, prune=True).pruned_count == (4 if dry_run else 0)
    report = gallery.index([*gone, pictures / "green"], prune=True)
    assert counts(report) == {"unchanged": 3}


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ("1>9 0>1", {"renamed": 2, "unchanged": 1}),
        ("1>- 0>1", {"renamed": 2, "unchanged": 1}),
        ("2>9 1>2 0>1", {"renamed": 3}),
        ("2>9 0>2 1>0 9>1", {"renamed": 3}),
        ("0>1", {"renamed": 1, "unchanged": 1, "gone": 1}),
    ],
    ids=str,
)
def test_labels_follow_the_bytes_in_a_chain(
    gallery: Gallery, pictures: Path, moves: str, expected: dict[str, int]
) -> None:
    """However files move over one another, ids and labels go with them; a dry run says so."""
    folder = pictures / "red"
    names = {path.read_bytes(): path.stem for path in folder.iterdir()}
    gallery.index([folder], labels={str(path): {"was": path.stem} for path in folder.iterdir()})
    before = ids(gallery, folder)
    for move in moves.split():
        old, _, new = move.partition(">")
        (folder / f"{old}.png").replace(folder / f"{new}.png")
    told = counts(gallery.index([folder], dry_run=True))
    assert told == expected | {"dry_run": True}
    assert counts(gallery.index([folder])) == expected
    found = {hit.path: hit for hit in gallery.query(next(folder.iterdir()), k=9)}
    for path in folder.iterdir():
        name = names[path.read_bytes()]
        assert found[str(path)].labels == {"was": name}
        assert found[str(path)].id == before[str(folder / f"{name}.png")]
    assert counts(gallery.index([folder], prune=True)) == {
        "unchanged": len(list(folder.iterdir())),
        **({"pruned": 1} if "gone" in expected else {}),
    }


def test_bytes_that_are_overwritten_first_are_encoded_again(
    gallery: Gallery, pictures: Path
) -> None:
    """A dry run knows that by then no image of the gallery has the bytes any more."""
    kept, overwritten, new = (pictures / "red" / name for name in ("0.png", "1.png", "9.png"))
    gallery.index([pictures])
    new.write_bytes(overwritten.read_bytes())
    overwritten.write_bytes(kept.read_bytes())
    expected = {"unchanged": 8, "changed": 1, "added": 1, "duplicates": 1}
    assert counts(gallery.index([pictures], dry_run=True)) == expected | {"dry_run": True}
    assert counts(gallery.index([pictures])) == expected


def test_labels_of_other_bytes_are_told(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """A file with new bytes keeps its labels, and the report names it until labels are given."""
    path = pictures / "red" / "0.png"
    labels = {str(path): {"season": "Summer"}}
    gallery.index([pictures], labels=labels)
    write_picture(path, "blue", seed=99)
    report = gallery.index([pictures])
    assert (report.changed, report.outdated_labels) == (1, (str(path),))
    assert gallery.query(path, k=1).hits[0].labels == {"season": "Summer"}
    write_picture(path, "blue", seed=98)
    assert counts(gallery.index([pictures], labels=labels)) == {
        "changed": 1,
        "labelled": 1,
        "unchanged": 8,
    }
