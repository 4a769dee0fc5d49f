"""Find the images whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import cast

from boost_edge.runtime.crawl import absolute, folder_prefix
from boost_edge.runtime.selection import EVERYTHING, Selection
from boost_edge.runtime.store import Store

__all__ = ["PAGE_ROWS", "find_gone", "holds", "is_gone"]

PAGE_ROWS = 256
"""Images whose files are looked for at once, and pruned in one commit."""

# "0" comes after "/": between them is what begins with the folder's name and a slash. The unary
# plus keeps SQLite to the index of the paths.
_UNDER = """
SELECT id, path FROM images WHERE path > ? AND path < ? AND +state = 'live' ORDER BY path LIMIT ?
"""
_HOLDS = "SELECT EXISTS (SELECT 1 FROM images WHERE path = ? OR path > ? AND path < ?)"


def is_gone(path: str) -> bool:
    """Return whether nothing has this name.

    A link that leads nowhere is there, and so is a file in a folder that may not be looked into.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def holds(store: Store, path: str | os.PathLike[str]) -> bool:
    """Return whether a gallery has images at or below a path, deleted ones too."""
    start, end = _range(folder_prefix(path))
    [[found]] = store.select(_HOLDS, (os.fsencode(absolute(path)), start, end))
    return bool(found)


def find_gone(
    store: Store,
    given: Iterable[str | os.PathLike[str]],
    selection: Selection = EVERYTHING,
    *,
    only: Iterable[str | os.PathLike[str]] | None = None,
) -> Iterator[list[tuple[int, str]]]:
    """Yield ids and paths of the live images that are gone, a few hundred at a time.

    They lie below the folders among some paths, or at or below those of the paths that are gone
    themselves. Images that the patterns of ``selection`` leave out of each of them are left in
    peace. With ``only``, none is looked at but those at or below one of these paths. Nothing is
    read while the reader has a page: it may be written to meanwhile.
    """
    given = list(given)
    # An image below two of them must not come twice.
    tops = {folder_prefix(each) for each in given if not Path(each).is_file()}
    prefixes = _outermost(tops)
    wanted = None if only is None else _outermost({f"{absolute(each)}/" for each in only})
    named = {absolute(each) for each in given}
    for prefix in prefixes:
        for page in _candidates(store, prefix, wanted):
            gone = [
                (identity, path)
                for identity, path in page
                if (path in named or _passes(path, prefix, tops, selection)) and is_gone(path)
            ]
            if gone:
                yield gone


def _passes(path: str, outermost: str, tops: Container[str], selection: Selection) -> bool:
    """Return whether the patterns let a path pass, relative to any of the tops it is below."""
    end = len(outermost)
    while end:
        if path[:end] in tops and selection.passes(path[end:]):
            return True
        # Of the next folder's name and slash; 0 at the file's.
        end = path.find("/", end) + 1
    return False


def _candidates(
    store: Store, prefix: str, wanted: list[str] | None
) -> Iterator[list[tuple[int, str]]]:
    """Yield the live images at or below a path, with ``wanted`` only those at or below these."""
    for each in [prefix] if wanted is None else wanted:
        top = prefix if prefix.startswith(each) else each
        if top.startswith(prefix):
            row = store.find(top[:-1])
            if row is not None and row.state == "live":
                yield [(cast("int", row.id), row.path)]
            yield from _pages_under(store, top)


def _pages_under(store: Store, prefix: str) -> Iterator[list[tuple[int, str]]]:
    after, end = _range(prefix)
    while rows := store.select(_UNDER, (after, end, PAGE_ROWS)):
        after = rows[-1][1]
        yield [(identity, os.fsdecode(path)) for identity, path in rows]


def _range(prefix: str) -> tuple[bytes, bytes]:
    """Return between what the paths lie that begin with a prefix, which ends in a slash."""
    start = os.fsencode(prefix)
    return start, start[:-1] + b"0"


def _outermost(prefixes: set[str]) -> list[str]:
    """Return, sorted, the prefixes that lie below no other of them."""
    kept: list[str] = []
    for each in sorted(prefixes):
        if not kept or not each.startswith(kept[-1]):
            kept.append(each)
    return kept
