"""Where the rows of a gallery are while it is indexed, and which of them have lost their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.images import content_digest, read_bytes
from boost_edge.runtime.pending import Pending
from boost_edge.runtime.prune import is_gone
from boost_edge.runtime.store import Store

__all__ = ["Whereabouts"]

# Contents for which the rows that may have lost their files are remembered.
_MOST_REMEMBERED = 4096


class Whereabouts:
    """The rows of a store, as a run has moved them so far.

    Parameters
    ----------
    store
        What is committed.
    pending
        What is not; what a dry run would have moved.
    """

    def __init__(self, store: Store, pending: Pending) -> None:
        self._store = store
        self._pending = pending
        self._left: dict[str, list[ImageRow]] = {}

    def at(self, path: str) -> ImageRow | None:
        """Return the image at a path, live or deleted, if there is one."""
        foretold = self._pending.foretold
        if foretold is not None and (stored_path := foretold.origin(path)) is not None:
            return foretold.as_placed(cast("ImageRow", self._store.find(stored_path)))
        row = self._store.find(path)
        if row is None or foretold is None:
            return row
        row = foretold.as_placed(row)
        return row if row.path == path else None

    def at_each(self, paths: Sequence[str]) -> dict[str, ImageRow]:
        """Return the images at some paths, as `at` does one by one, by path."""
        if self._pending.foretold is None:
            return self._store.find_each(paths)
        return {path: row for path in paths if (row := self.at(path)) is not None}

    def gone(self, digest: str, settle: Callable[[ImageRow], None]) -> ImageRow | None:
        """Return the first row of these bytes whose file is gone, each row once.

        ``settle`` commits what is to become of a row by what was found out before.
        """
        left = self._may_have_left(digest)
        while row := next((row for row in left if is_gone(row.path)), None):
            left.remove(row)
            if now := self._by_now(row, settle):
                return now
        return None

    def replaced(self, digest: str, settle: Callable[[ImageRow], None]) -> ImageRow | None:
        """Return the first row of these bytes whose file has other bytes now, as `gone` does."""
        left = self._may_have_left(digest)
        while left:
            row = left.pop(0)
            if _holds_other_bytes(row) and (now := self._by_now(row, settle)):
                return now
        return None

    def forget(self) -> None:
        """Look anew from here on: rows have changed places."""
        self._left.clear()

    def forget_if_many(self) -> None:
        """Hold no more than so much; everything before must be committed, or on its way."""
        if len(self._left) > _MOST_REMEMBERED:
            self._left.clear()

    def _by_now(self, row: ImageRow, settle: Callable[[ImageRow], None]) -> ImageRow | None:
        """Return a row as it is by now; None where it is elsewhere, or has other bytes."""
        # Its file may have been read with other bytes, and have gone only then.
        settle(row)
        now = self.at(row.path)
        return now if now is not None and (now.id, now.digest) == (row.id, row.digest) else None

    def _may_have_left(self, digest: str) -> list[ImageRow]:
        if digest not in self._left:
            rows = self._with_digest(digest)
            if not rows:
                return []
            self._left[digest] = [row for row in rows if not _is_as_it_was(row)]
        return self._left[digest]

    def _with_digest(self, digest: str) -> list[ImageRow]:
        rows = self._store.with_digest(digest)
        foretold = self._pending.foretold
        if foretold is None:
            return [row for row in rows if not self._pending.renames(cast("int", row.id))]
        now = [foretold.as_placed(row) for row in rows]
        return [row for row in now if row.digest == digest]


def _is_as_it_was(row: ImageRow) -> bool:
    try:
        status = Path(row.path).stat()
    except (OSError, ValueError):
        return not is_gone(row.path)
    return (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns)


def _holds_other_bytes(row: ImageRow) -> bool:
    try:
        return content_digest(read_bytes(row.path)) != row.digest
    except ImageError:
        return False
