"""What a run of indexing has found out and the database does not know yet."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.committer import Committer
from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.foretelling import Foretold
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.store import Store

__all__ = ["Described", "Pending"]

# What is lost at most when the process is killed, beside what waits for the disk.
COMMIT_IMAGES = 64
COMMIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the model says about some bytes, and the path of an image that has them."""

    predicted: dict[str, Prediction]
    vector: NDArray[np.float32]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What one commit writes; what is said of its bytes, by digest.

    ``renamed`` are the ids of the stored rows that it gives another path, ``changed`` of all that
    it changes.
    """

    changes: Changes = field(default_factory=Changes)
    described: dict[str, Described] = field(default_factory=dict[str, Described])
    renamed: set[int] = field(default_factory=set[int])
    changed: set[int] = field(default_factory=set[int])


class Pending:
    """Collects changes and commits them piece by piece, in a thread; close it, also after errors.

    Parameters
    ----------
    writer
        A store that nobody else uses meanwhile; None to write nothing and foretell it.
    """

    def __init__(self, writer: Store | None) -> None:
        self._committer = None if writer is None else Committer(writer.commit)
        self.foretold = Foretold() if writer is None else None
        self._piece = _Piece()
        # Given to the thread, and perhaps not committed.
        self._given: deque[_Piece] = deque()
        self._number_given = 0
        self._committed_at = time.monotonic()

    @property
    def is_dry(self) -> bool:
        """Whether nothing is written."""
        return self.foretold is not None

    def encoded(self, row: ImageRow, described: Described, *, known: ImageRow | None) -> None:
        """Add a row with an embedding, in place of the one that is known at its path."""
        if self.foretold is not None:
            self.foretold.encode(row.digest, described.path)
            if known is not None:
                self.foretold.place(cast("int", known.id), known.path, known.path, row.digest)
            return
        if known is not None:
            self._piece.changed.add(cast("int", known.id))
        self._piece.described[row.digest] = described
        self._piece.changes.encoded.append((row, described.vector))

    def kept(self, stored: ImageRow, now: ImageRow) -> None:
        """Change a stored row whose bytes are the same, where it differs, and bring it back."""
        identity = cast("int", stored.id)
        if self.foretold is not None:
            if now.path != stored.path:
                self.foretold.place(identity, stored.path, now.path, now.digest)
            return
        if now.path != stored.path:
            self._piece.renamed.add(identity)
        if now != stored or stored.state == "deleted":
            self._piece.changed.add(identity)
        if now != stored:
            self._piece.changes.kept.append(now)
        if stored.state == "deleted":
            self._piece.changes.restated[identity] = "live"

    def swapped(self, stored: ImageRow, now: ImageRow, displaced: ImageRow) -> None:
        """Change a stored row whose path becomes that of another one, which gets its old path."""
        identity = cast("int", displaced.id)
        if self.foretold is not None:
            self.kept(stored, now)
            self.foretold.place(identity, displaced.path, stored.path, displaced.digest)
            return
        # No two rows have one path, not even between two statements.
        self._piece.changes.kept.append(replace(displaced, path=""))
        self.kept(stored, now)
        self._piece.changes.kept.append(replace(displaced, path=stored.path))
        self._piece.renamed.add(identity)
        self._piece.changed.add(identity)

    def described(self, digest: str) -> Described | None:
        """Return what is known about some bytes, if that is not certain to be committed."""
        if self.foretold is not None:
            path = self.foretold.encoded(digest)
            nothing = np.empty(0, np.float32)
            return None if path is None else Described(predicted={}, vector=nothing, path=path)
        found = (piece.described.get(digest) for piece in (self._piece, *self._given))
        return next(filter(None, found), None)

    def renames(self, identity: int) -> bool:
        """Return whether a row of the database is about to have another path."""
        return any(identity in piece.renamed for piece in (self._piece, *self._given))

    def changes(self, identity: int) -> bool:
        """Return whether a row of the database is about to be another than it is there."""
        return any(identity in piece.changed for piece in (self._piece, *self._given))

    def commit_when_due(self) -> bool:
        """Commit when there is enough to lose; return whether it was."""
        late = time.monotonic() - self._committed_at >= COMMIT_SECONDS
        due = late or len(self._piece.changes) >= COMMIT_IMAGES
        if due:
            self._commit()
        return due

    def settle(self) -> None:
        """Commit what there is, and wait for it."""
        self._commit()
        if self._committer is not None:
            self._committer.drain()
            self._given.clear()

    def close(self) -> None:
        """Commit what there is and wait for it; raise what went wrong with any commit."""
        try:
            self._commit()
        finally:
            if self._committer is not None:
                self._committer.close()

    def forget(self) -> None:
        """Give back what a dry run has remembered, after which nothing more can be asked."""
        if self.foretold is not None:
            self.foretold.close()

    def _commit(self) -> None:
        if self._committer is not None and len(self._piece.changes):
            self._committer.put(self._piece.changes)
            self._given.append(self._piece)
            self._number_given += 1
            self._piece = _Piece()
            while len(self._given) > self._number_given - self._committer.committed:
                self._given.popleft()
        self._committed_at = time.monotonic()
