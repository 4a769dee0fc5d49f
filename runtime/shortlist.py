"""The candidates of one search through the graph, and which of them have to be scored again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
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
        keys, coarse = graph.candidates(query, count)
        # Mostly there are few: lists take less time than arrays then, all the more after a network.
        self._keys: list[int] = keys.tolist()
        self._coarse: list[float] = coarse.tolist()
        # By how much coarse scores may be in the wrong order.
        self._margin = graph.margin(query)
        self._coarse_of = dict(zip(self._keys, self._coarse, strict=True))
        self._query = query
        self._upto = graph.generation
        self._store = store
        self._among = among

    def best(self, wanted: int, *, first: int) -> tuple[list[tuple[int, int]], bool]:
        """Return ids and keys of the candidates that may be among the best ``wanted``.

        Of a filter's candidates few pass: ``first`` are looked up, then twice as many, and so on.

        And whether those are all: False where there are too few, or where the last one that the
        graph gave may still be among them.
        """
        upto = self._reach(wanted) if self._among is None else first
        upto = min(upto, len(self._keys))
        while True:
            held = self._lookup(upto)
            if len(held) < wanted:
                if upto == len(self._keys):
                    return held, False
                upto = min(2 * upto, len(self._keys))
                continue
            scores = sorted((self._coarse_of[key] for _, key in held), reverse=True)
            bar = scores[wanted - 1] - self._margin
            reach = self._count_from(bar)
            if reach <= upto:
                close = [each for each in held if self._coarse_of[each[1]] >= bar]
                return close, reach < len(self._keys)
            upto = reach

    def exact(self, keys: Iterable[int]) -> tuple[dict[int, float], bool]:
        """Return the scores of the stored embeddings with some keys, by key.

        What is no number comes last, at minus infinity. And whether the coarse ones of the keys
        are right but for rounding.
        """
        # Images of equal embeddings have one key.
        wanted = list(dict.fromkeys(keys))
        scores = np.vecdot(self._store.vectors_with(wanted), self._query).tolist()
        exact = {
            key: -math.inf if math.isnan(score) else score
            for key, score in zip(wanted, scores, strict=True)
        }
        errors = (abs(self._coarse_of[key] - score) for key, score in exact.items())
        return exact, max(errors, default=0.0) <= self._margin

    def _reach(self, wanted: int) -> int:
        """Return how many candidates may be among the best, were all of them alive."""
        if len(self._coarse) <= wanted:
            return len(self._coarse)
        return self._count_from(self._coarse[wanted - 1] - self._margin)

    def _count_from(self, bar: float) -> int:
        return sum(map(bar.__le__, self._coarse))

    def _lookup(self, upto: int) -> list[tuple[int, int]]:
        """Return ids and keys of the live images that pass, of the first candidates."""
        held = self._store.holders(self._keys[:upto], upto=self._upto)
        if self._among is None:
            return held
        passing = inside(np.array([identity for identity, _ in held], np.int64), self._among)
        return list(itertools.compress(held, passing.tolist()))


def inside(ids: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids are in an ascending list of them."""
    if not len(among):
        return np.zeros(len(ids), np.bool_)
    place = np.searchsorted(among, ids)
    found: NDArray[np.bool_] = among[np.minimum(place, len(among) - 1)] == ids
    return found
