"""Keep a gallery up to date with folders as they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from boost_edge.runtime.crawl import folder_prefix, require_paths
from boost_edge.runtime.errors import (
    GalleryLockedError,
    MissingExtraError,
    UsageError,
    WatchError,
)
from boost_edge.runtime.index_report import IndexReport

__all__ = ["watch_folders"]

# A batch ends when nothing has changed for this long, or after that long at the latest.
_QUIET_MS = 200
_LATEST_MS = 1600
# How often to look whether the folders are there, and to try again where the gallery was locked.
_IDLE_MS = 250


def watch_folders(
    folders: Iterable[str | os.PathLike[str]], index: Callable[..., IndexReport]
) -> Generator[IndexReport]:
    """Index what is in some folders, then whatever changes there, until the reader stops.

    The gallery is locked only while something is written: others may write in between, and while
    they do, changes wait. Needs the extra ``watch``::

        index = partial(gallery.index, ["photos"], prune=True)
        for report in watch_folders(["photos"], index):
            print(report.added)

    Parameters
    ----------
    folders
        Folders, not files; they must stay.
    index
        ``Gallery.index`` of these folders; called with nothing, then with ``only``.

    Yields
    ------
    IndexReport
        What was done at first, then for every batch of changes in which something was done.

    Raises
    ------
    MissingExtraError
        When watchfiles is not installed.
    UsageError
        When a path is no folder.
    WatchError
        When a folder vanishes, or the system watches no more files.
    GalleryError, GalleryLockedError
        As ``Gallery.index`` does; the latter only at first.
    """
    given = require_paths(folders)
    for path in given:
        if not path.is_dir():
            raise UsageError(f"{path}: is a file, but only folders can be watched")
    return _follow(given, index)


def _follow(given: Sequence[Path], index: Callable[..., IndexReport]) -> Generator[IndexReport]:
    waiting: set[str] = set()
    everything, reports = False, 0
    for changed in _batches(given):
        _require_there(given)
        everything = everything or changed is None
        waiting |= changed or set()
        if not everything and not waiting:
            continue
        try:
            report = index(only=None if everything else sorted(waiting))
        except GalleryLockedError:
            if not reports:
                raise
            continue
        everything = False
        waiting.clear()
        if not reports or _says_something(report):
            reports += 1
            yield report


def _require_there(given: Sequence[Path]) -> None:
    for path in given:
        if not path.is_dir():
            raise WatchError(
                f"{path}: the folder that is watched is gone: what was indexed is kept; "
                "give the same command again when it is back"
            )


def _says_something(report: IndexReport) -> bool:
    return any(
        (
            report.added,
            report.changed,
            report.renamed,
            report.restored,
            report.unchanged,
            report.pruned,
            report.gone,
            report.skipped,
        )
    )


def _batches(given: Sequence[Path]) -> Iterator[set[str] | None]:
    """Yield the paths that changed, again and again, or none; None where anything may have."""
    try:
        from watchfiles import watch
    except ModuleNotFoundError as error:
        if error.name != "watchfiles":
            raise
        raise MissingExtraError("watching a folder", "watch", "watchfiles") from error

    while True:
        changes = watch(
            *map(folder_prefix, given),
            watch_filter=None,
            debounce=_LATEST_MS,
            step=_QUIET_MS,
            rust_timeout=_IDLE_MS,
            yield_on_timeout=True,
        )
        try:
            with closing(changes):
                # It is at work once it has answered: from here on nothing is missed.
                next(changes)
                yield None
                for batch in changes:
                    yield {path for _, path in batch}
        except (OSError, RuntimeError) as error:
            _require_there(given)
            # It cannot say which file changed whose name is not UTF-8.
            if "Unable to decode" not in str(error):
                raise _watch_error(given, error) from error


def _watch_error(given: Sequence[Path], error: Exception) -> WatchError:
    said = " ".join(str(error).split())
    if "limit" in said:
        advice = "raise the limit (sysctl fs.inotify.max_user_watches) or watch fewer folders"
    elif "Too many open files" in said:
        advice = "raise the limit (sysctl fs.inotify.max_user_instances) or end other watchers"
    else:
        advice = "see that the folder is there and may be read"
    return WatchError(f"{given[0]}: cannot be watched ({said}): {advice}")
