"""Find the images whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from boost_edge.runtime.crawl import absolute, folder_prefix
from boost_edge.runtime.selection import EVERYTHING, Selection
from boost_edge.runtime.store import Store

__all__ = ["find_gone", "is_gone"]


def is_gone(path: str) -> bool:
    """Return whether nothing has this name.

    A link that leads nowhere is there, and so is a file in a folder that may not be looked into.
    """
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def find_gone(
    store: Store,
    given: Iterable[str | os.PathLike[str]],
    selection: Selection = EVERYTHING,
    *,
    only: Iterable[str | os.PathLike[str]] | None = None,
) -> Iterator[tuple[int, str]]:
    """Yield ids and paths of the live images below the folders among some paths that are gone.

    Images that the patterns of ``selection`` leave out are left in peace. With ``only``, none is
    looked at but those at or below one of these paths. To be read within a `snapshot`.
    """
    # An image below two of them must not come twice.
    prefixes = _outermost({folder_prefix(each) for each in given if Path(each).is_dir()})
    wanted = None if only is None else _outermost({f"{absolute(each)}/" for each in only})
    for prefix in prefixes:
        for identity, path in _candidates(store, prefix, wanted):
            if selection.passes(path[len(prefix) :]) and is_gone(path):
                yield identity, path


def _candidates(store: Store, prefix: str, wanted: list[str] | None) -> Iterator[tuple[int, str]]:
    """Yield the live images below a folder, with ``wanted`` only those at or below these."""
    if wanted is None:
        yield from store.paths_under(prefix)
        return
    for each in wanted:
        if prefix.startswith(each):
            yield from store.paths_under(prefix)
        elif each.startswith(prefix):
            row = store.find(each[:-1])
            if row is not None and row.state == "live" and row.id is not None:
                yield row.id, row.path
            yield from store.paths_under(each)


def _outermost(prefixes: set[str]) -> list[str]:
    """Return, sorted, the prefixes that lie below no other of them."""
    kept: list[str] = []
    for each in sorted(prefixes):
        if not kept or not each.startswith(kept[-1]):
            kept.append(each)
    return kept
