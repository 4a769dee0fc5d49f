"""The candidates of one search through the graph, and which of them have to be scored again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.store import Store

if TYPE_CHECKING:
    from boost_edge.runtime.hnsw import Hnsw

__all__ = ["Shortlist", "inside"]


class Shortlist:
    """The candidates of one search through the graph, looked up in the store as far as needed."""

    def __init__(
        self,
        graph: Hnsw,
        store: Store,
        query: NDArray[np.float32],
        count: int,
        among: NDArray[np.int64] | None,
    ) -> None:
        self._keys, self._coarse = graph.candidates(query, count)
        # By how much coarse scores may be in the wrong order.
        self.margin = graph.margin(query)
        # The coarse scores of the candidates that were looked up, by key.
        self._scores: dict[int, float] = {}
        self._upto = graph.generation
        self._store = store
        self._among = among

    def best(self, wanted: int, *, first: int) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
        """Return ids and keys of the candidates that may be among the best ``wanted``.

        Of a filter's candidates few pass: ``first`` are looked up, then twice as many, and so on.

        And whether those are all: False where there are too few, or where the last one that the
        graph gave may still be among them.
        """
        upto = self._reach(self._coarse, wanted) if self._among is None else first
        upto = min(upto, len(self._keys))
        while True:
            ids, keys = self._lookup(upto)
            coarse = self.coarse_of(keys.tolist())
            if len(ids) < wanted:
                if upto == len(self._keys):
                    return ids, keys, False
                upto = min(2 * upto, len(self._keys))
                continue
            bar = np.partition(coarse, len(coarse) - wanted)[len(coarse) - wanted] - self.margin
            reach = int(np.count_nonzero(self._coarse >= bar))
            if reach <= upto:
                close = coarse >= bar
                return ids[close], keys[close], reach < len(self._keys)
            upto = reach

    def _reach(self, coarse: NDArray[np.float32], wanted: int) -> int:
        """Return how many candidates may be among the best, were all of them alive."""
        if len(coarse) <= wanted:
            return len(coarse)
        return int(np.count_nonzero(coarse >= coarse[wanted - 1] - self.margin))

    def _lookup(self, upto: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        wanted = self._keys[:upto].tolist()
        self._scores = dict(zip(wanted, self._coarse[:upto].tolist(), strict=True))
        ids, keys = self._store.holders(wanted, upto=self._upto)
        if self._among is None:
            return ids, keys
        passing = inside(ids, self._among)
        return ids[passing], keys[passing]

    def coarse_of(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """Return the coarse scores of candidates that were looked up, in the order of ``keys``."""
        return np.array([self._scores[key] for key in keys], np.float32)


def inside(ids: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids are in an ascending list of them."""
    if not len(among):
        return np.zeros(len(ids), np.bool_)
    place = np.searchsorted(among, ids)
    found: NDArray[np.bool_] = among[np.minimum(place, len(among) - 1)] == ids
    return found
