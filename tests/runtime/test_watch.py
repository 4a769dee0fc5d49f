"""Watching folders: what changes is indexed, soon and once; what goes wrong is one clear line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from boost_edge import Gallery, IndexReport
from boost_edge.runtime.errors import (
    GalleryLockedError,
    MissingExtraError,
    UsageError,
    WatchError,
)
from boost_edge.runtime.watch import watch_folders
from boost_edge.runtime.writer_lock import writer_lock

WritePicture = Callable[..., Path]
DEADLINE = 120


@contextmanager
def deadline() -> Generator[None]:
    """Fail what takes for ever."""

    def fail(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(DEADLINE)
    try:
        yield
    except (KeyboardInterrupt, TimeoutError) as error:
        # The watcher takes any signal for an interruption.
        raise AssertionError(f"not done after {DEADLINE} seconds") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Watched:
    """A watched folder, whose reports are waited for, but not for ever."""

    def __init__(self, gallery: Gallery, folder: Path, **options: Any) -> None:
        self._index = partial(gallery.index, [folder], **options)
        self.reports: Iterator[IndexReport] = watch_folders([folder], self._index)

    def until(self, **expected: int) -> list[IndexReport]:
        """Read reports until their sums are as expected, which they must not exceed."""
        read: list[IndexReport] = []
        with deadline():
            for report in self.reports:
                read.append(report)
                sums = {name: sum(size(report, name) for report in read) for name in expected}
                assert all(sums[name] <= expected[name] for name in expected), read
                if sums == expected:
                    return read
        raise AssertionError(read)

    def close(self) -> None:
        """Stop watching."""
        cast("Any", self.reports).close()


def size(report: IndexReport, name: str) -> int:
    """Return a count of a report, or the length of a list in it."""
    value = getattr(report, name)
    return value if isinstance(value, int) else len(value)


def test_what_is_there_comes_first_then_what_changes(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """New, changed, moved and deleted images are noticed, in files and in whole folders."""
    with closing(Watched(gallery, pictures, prune=True)) as watched:
        assert watched.until(added=9)[0].unchanged == 0
        write_picture(pictures / "new" / "deep" / "a.png", seed=50)
        watched.until(added=1)
        write_picture(pictures / "red" / "0.png", "blue", seed=51, edge=30)
        watched.until(changed=1)
        (pictures / "new").rename(pictures / "newer")
        watched.until(renamed=1)
        (pictures / "red" / "1.png").unlink()
        shutil.rmtree(pictures / "green")
        watched.until(pruned=4)
    assert gallery.paths() == [
        str(pictures / name)
        for name in (
            "blue/0.png", "blue/1.png", "blue/2.png", "red/0.png", "red/2.png", "newer/deep/a.png"
        )
    ]  # fmt: skip


def test_nothing_is_deleted_unless_it_is_asked_for(gallery: Gallery, pictures: Path) -> None:
    """Without pruning a deleted file is told of, and its image stays."""
    with closing(Watched(gallery, pictures)) as watched:
        watched.until(added=9)
        (pictures / "red" / "1.png").unlink()
        watched.until(gone=1)
    assert len(gallery) == 9


def test_changes_before_the_first_report_are_not_missed(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """A file that comes while the first images are indexed is indexed in its turn."""
    added: list[Path] = []

    def progress(_: int, __: int) -> None:
        if not added:
            added.append(write_picture(pictures / "aaa.png", seed=52))

    with closing(Watched(gallery, pictures, progress=progress)) as watched:
        watched.until(added=10)


def test_patterns_hold_while_watching(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """What is not wanted is not indexed when it changes either."""
    with closing(Watched(gallery, pictures, exclude=["red/*"])) as watched:
        watched.until(added=6)
        write_picture(pictures / "red" / "no.png", seed=53)
        write_picture(pictures / ".hidden" / "no.png", seed=54)
        (pictures / "notes.txt").write_text("no image")
        write_picture(pictures / "yes.png", seed=55)
        watched.until(added=1)
    assert str(pictures / "yes.png") in gallery.paths()


def test_names_that_are_not_unicode_are_watched(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """A name that the watcher cannot say is found all the same."""
    with closing(Watched(gallery, pictures)) as watched:
        watched.until(added=9)
        write_picture(Path(os.fsdecode(os.fsencode(pictures) + b"/caf\xe9\n.png")), seed=56)
        watched.until(added=1)


def test_others_may_write_in_between(
    gallery: Gallery, pictures: Path, write_picture: WritePicture
) -> None:
    """The lock is free between batches; while another holds it, changes wait and are not lost."""
    refused = 0

    def index(*, only: list[str] | None) -> IndexReport:
        nonlocal refused
        try:
            return gallery.index([pictures], only=only)
        except GalleryLockedError:
            refused += 1
            other.close()
            raise

    other = ExitStack()
    with deadline(), closing(watch_folders([pictures], index)) as reports:
        assert next(reports).added == 9
        other.enter_context(writer_lock(gallery.path))
        write_picture(pictures / "a.png", seed=57)
        assert next(reports).added == 1
    assert refused == 1
    assert len(gallery) == 10


def test_a_folder_that_vanishes_is_said_to(gallery: Gallery, pictures: Path) -> None:
    """When the folder itself is gone, that is the error, and nothing is deleted."""
    with closing(Watched(gallery, pictures, prune=True)) as watched:
        watched.until(added=9)
        pictures.rename(pictures.with_name("elsewhere"))
        with pytest.raises(WatchError, match="is gone: what was indexed is kept"):
            watched.until(added=1)
    assert len(gallery) == 9


def test_only_folders_are_watched(gallery: Gallery, pictures: Path) -> None:
    """A file, and a path that is not there, are refused before anything is done."""
    with pytest.raises(UsageError, match="only folders"):
        watch_folders([pictures / "red" / "0.png"], gallery.index)
    with pytest.raises(UsageError, match="no such"):
        watch_folders([pictures / "absent"], gallery.index)
    assert len(gallery) == 0


def test_a_missing_library_names_the_pip_command(
    gallery: Gallery, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without watchfiles the error says what to install."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'boost-edge\[watch\]'"):
        next(watch_folders([pictures], gallery.index))


@pytest.mark.parametrize("limit", ["watches", "instances"])
def test_the_system_s_limit_is_named(pictures: Path, limit: str) -> None:
    """Where the system watches no more, one line says which limit to raise."""
    script = (
        "import sys\n"
        "from boost_edge.runtime.errors import WatchError\n"
        "from boost_edge.runtime.watch import watch_folders\n"
        "try:\n"
        "    next(watch_folders([sys.argv[1]], lambda only: None))\n"
        "except WatchError as error:\n"
        "    print(error)\n"
    )
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare to set a limit of its own")
    enter = f'echo 1 > /proc/sys/user/max_inotify_{limit} && exec "$@"'
    if limit == "instances":
        enter = enter.replace("echo 1", "echo 0")
    command = [unshare, "-Ur", "sh", "-c", enter, "sh", sys.executable, "-c", script, str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode:
        pytest.skip(f"cannot set a limit of its own: {done.stderr.strip()}")
    assert f"fs.inotify.max_user_{limit}" in done.stdout
    assert done.stdout.count("\n") == 1
