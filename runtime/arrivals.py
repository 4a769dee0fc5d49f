"""Bring rows from elsewhere into a gallery, a batch at a time; what is there already is seen."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.errors import ConflictError
from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.exchange import BATCH_ROWS
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.joining import Policy, disagreement, join
from boost_edge.runtime.search import GRAPH_NAME, Searcher
from boost_edge.runtime.store import Store

__all__ = ["ArrivalReport", "Arrivals", "Conflicts"]

_MOST_EXAMPLES = 3
_MOST_PATHS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalReport:
    """What importing or merging did, path by path; each path counts once, but for ``conflicts``.

    ``added``: new; ``replaced``: other bytes at a known path; ``restored``: deleted, and there
    again; ``updated``: labels or the time of change are new; ``unchanged``: known; ``kept``: known,
    and what came was set aside. ``conflicts`` counts the paths that the policy had to decide.
    ``images`` is the number of images in the gallery now, ``seconds`` the time it took.
    """

    path: Path
    sources: tuple[str, ...]
    images: int
    added: int
    replaced: int
    restored: int
    updated: int
    unchanged: int
    kept: int
    conflicts: int
    seconds: float


class Conflicts:
    """Paths about which galleries disagree, as they are found."""

    def __init__(self) -> None:
        self.count = 0
        self._paths: list[str] = []
        self._examples: list[str] = []

    def add(self, path: str, what: str, names: str) -> None:
        """Note that what ``names`` say about a path is not the same."""
        self.count += 1
        if len(self._paths) < _MOST_PATHS:
            self._paths.append(path)
        if len(self._examples) < _MOST_EXAMPLES:
            self._examples.append(f"{path} ({what}: {names})")

    def raise_if_any(self, target: str, remedy: str) -> None:
        """Raise ConflictError, which says what to do, if there is any."""
        if not self.count:
            return
        more = ", ..." if self.count > len(self._examples) else ""
        images = "1 path does" if self.count == 1 else f"{self.count:,} paths do"
        raise ConflictError(
            f"{target}: {images} not stand for the same image: {', '.join(self._examples)}{more}: "
            f"nothing was written; decide with --on-conflict keep, replace or newest{remedy}",
            paths=tuple(self._paths),
            count=self.count,
        )


class Arrivals:
    """Takes rows, each path once, and commits what they change; the caller holds the lock."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        self._policy: Policy = policy
        self._changes = Changes()
        # What is known about the bytes in those changes, by digest.
        self._described: dict[str, tuple[dict[str, Prediction], NDArray[np.float32]]] = {}
        self._counts: Counter[str] = Counter()

    def take(self, row: ImageRow, vector: NDArray[np.float32], *, conflict: bool = False) -> None:
        """Settle one row; ``conflict`` is whether those that it comes from disagreed."""
        known = self._store.find(row.path)
        if known is None:
            self._add(row, vector)
            self._count("added", conflict)
            return
        what = disagreement([known, row])
        if what and self._policy == "fail":
            # Found before anything was written, unless somebody else has just made this gallery.
            found = Conflicts()
            found.add(row.path, what, "before and now")
            found.raise_if_any("the gallery", "")
        conflict = conflict or bool(what)
        now = join(known, row, self._policy)
        if now.digest != known.digest:
            self._add(now, vector)
            self._count("replaced" if known.state == "live" else "added", conflict)
        elif now == known:
            self._count("kept" if conflict else "unchanged", conflict)
        else:
            identity = cast("int", known.id)
            if now != replace(known, state=now.state):
                self._changes.kept.append(now)
            if now.state != known.state:
                self._changes.restated[identity] = now.state
            self._count("updated" if now.state == known.state else "restored", conflict)

    def commit_when_due(self) -> None:
        """Commit when a batch is full."""
        if len(self._changes) >= BATCH_ROWS:
            self.commit()

    def commit(self) -> None:
        """Commit what is settled, in one transaction."""
        if len(self._changes):
            self._store.commit(self._changes)
            self._changes = Changes()
            self._described.clear()

    def finish(self, folder: Path, sources: tuple[str, ...], *, started: float) -> ArrivalReport:
        """Commit the rest, bring the search cache up to date, and say what was done.

        ``started`` is what ``time.perf_counter`` said at the beginning.
        """
        self.commit()
        limit = exact_limit_for(self._store.binding.dimensions)
        with closing(Searcher(folder / GRAPH_NAME, exact_limit=limit)) as searcher:
            searcher.prepare(self._store)
        return ArrivalReport(
            path=folder.absolute(),
            sources=sources,
            images=self._store.count(),
            added=self._counts["added"],
            replaced=self._counts["replaced"],
            restored=self._counts["restored"],
            updated=self._counts["updated"],
            unchanged=self._counts["unchanged"],
            kept=self._counts["kept"],
            conflicts=self._counts["conflicts"],
            seconds=time.perf_counter() - started,
        )

    def _count(self, what: str, conflict: bool) -> None:
        self._counts[what] += 1
        self._counts["conflicts"] += conflict

    def _add(self, row: ImageRow, vector: NDArray[np.float32]) -> None:
        """Add a row; what the gallery knows about the same bytes already stands."""
        if row.digest not in self._described:
            twins = self._store.with_digest(row.digest, limit=1)
            known = (row.predicted, vector)
            for twin in twins:
                known = twin.predicted, self._store.vectors_of([cast("int", twin.id)])[0]
            self._described[row.digest] = known
        predicted, vector = self._described[row.digest]
        self._changes.encoded.append((replace(row, id=None, predicted=predicted), vector))
