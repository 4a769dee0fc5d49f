"""Find the embeddings nearest to a query: exactly in small galleries, through HNSW in large ones.

Scores are inner products of unit vectors, that is cosines. They are computed one row at a time,
so that equal vectors have equal scores wherever they stand, and ties are broken by id. Candidates
that come from the HNSW graph are scored again from the truth: an old graph never gives a wrong
score or an image that is gone. The graph's own scores are coarse; they say which candidates cannot
be among the best, so that few have to be read. Among many equal vectors the graph may prefer any.

The graph knows no filters. A search among few images scans those; among many it asks the graph
for more candidates than it needs, twice as many each time, until enough are among them or the
scan is the cheaper way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.store import Store, Vectors

if TYPE_CHECKING:
    from boost_edge.runtime.hnsw import Hnsw

__all__ = ["EXACT_LIMIT", "EXPANSION", "GRAPH_NAME", "Scored", "Searcher", "scan", "top"]

GRAPH_NAME = "vectors.usearch"

# Where HNSW begins to be faster, measured at 512 dimensions on 2 AVX2 cores: a scan of 20,000 rows
# takes 1.7 ms and HNSW 1.6 ms, of 40,000 rows 7.7 and 1.9 ms (of 10,000 rows 0.8 and 1.1 ms).
EXACT_LIMIT = 20_000

# So many candidates a search through the graph keeps in view while it walks, where it needs no more
# (docs/decisions/0007).
EXPANSION = 128

# Up to so many candidates for each hit are read where coarse scores cannot tell them apart.
_CLOSE = 16
# So many times the hits that are wanted must be among the graph's candidates and pass the filter,
# and so many candidates there must be: the far end of a list of candidates has gaps. With 100,000
# vectors and filters that whole clusters pass, recall@10 was, where one in ten passes, 0.978 with
# 16 times, 0.991 and 0.996 with 32 and 0.999 with 64; where one in two passes, 0.983 with 640
# candidates, 0.990 with 1,280 and 0.998 with 2,560.
_SPARE = 64
_FILTERED = 2560
# A candidate of the graph costs so many rows of a scan: 5 and 6 microseconds in the same run.
_CANDIDATE_COST = 1

# Ids ``(n,) int64`` and scores ``(n,) float32``, best first.
Scored = tuple[NDArray[np.int64], NDArray[np.float32]]


def top(
    ids: NDArray[np.int64], matrix: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> Scored:
    """Return the ``k`` best rows of ``matrix``, fewer where there are fewer.

    Parameters
    ----------
    ids
        ``(n,) int64``, all different; ties in score are broken by the smaller id.
    matrix
        ``(n, D) float32`` with rows of norm 1 (or 0).
    query
        ``(D,) float32`` of norm 1 (or 0).
    k
        At least 1.
    """
    # Not a matrix product: BLAS adds up a row differently depending on where it stands, and its
    # threads take milliseconds to gather on a busy machine.
    scores = np.vecdot(matrix, query)
    return _best(ids, scores, k)


def scan(chunks: Iterable[Vectors], query: NDArray[np.float32], k: int) -> Scored:
    """Return what `top` does, of rows that come piece by piece and are not all held at once."""
    best = _nothing()
    for ids, matrix in chunks:
        best = _merge(best, top(ids, matrix, query, k), k)
    return best


class Searcher:
    """Searches the embeddings of one open store, keeping what it read until they change.

    Parameters
    ----------
    cache
        The HNSW file, written and replaced as needed.
    exact_limit
        Up to so many rows search is exact.
    expansion
        How many candidates a search through the graph keeps in view: more find more, and take
        longer.
    dtype
        How a graph is to hold its vectors; by default as the gallery says.
    """

    def __init__(
        self,
        cache: Path,
        *,
        exact_limit: int,
        expansion: int = EXPANSION,
        dtype: GraphDtype | None = None,
    ) -> None:
        self._cache = cache
        self._exact_limit = exact_limit
        self._expansion = expansion
        self._dtype: GraphDtype | None = dtype
        self._generation = -1
        self._graph: Hnsw | None = None
        # How many rows are in the graph and have not changed since; None until it is asked for.
        self._unchanged: int | None = None
        # The rows that are not in the graph: all of them where there is none.
        self._rest: Vectors = (np.empty(0, np.int64), np.empty((0, 0), np.float32))

    def find(
        self,
        store: Store,
        query: NDArray[np.float32],
        k: int,
        *,
        among: NDArray[np.int64] | None = None,
    ) -> Scored:
        """Return the ``k`` nearest live images to a unit vector ``(D,) float32``.

        With ``among``, ascending ids ``(n,) int64`` of live images, no others are returned.
        """
        with store.snapshot():
            self._refresh(store)
            ids, matrix = self._rest
            if among is not None:
                inside = _inside(ids, among)
                ids, matrix = ids[inside], matrix[inside]
            rest = _best(ids, np.vecdot(matrix, query), k) if len(ids) else _nothing()
            if self._graph is None:
                return rest
            if among is not None and len(ids):
                among = among[~_inside(among, ids)]
            found = self._through_graph(self._graph, store, query, k, among)
            return _merge(rest, found, k) if len(rest[0]) else found

    def prepare(self, store: Store) -> None:
        """See to it that the HNSW file is there and recent enough, where the gallery is large."""
        with store.snapshot():
            if self._is_large(store):
                self._usable_graph(store)

    def close(self) -> None:
        """Let go of what was read."""
        self._generation = -1
        self._graph = None
        self._rest = (np.empty(0, np.int64), np.empty((0, 0), np.float32))

    def _refresh(self, store: Store) -> None:
        generation = store.generation()
        if generation == self._generation:
            return
        self._graph = self._usable_graph(store) if self._is_large(store) else None
        if self._graph is not None:
            store.map_into_memory()
        self._rest = store.vectors(after=self._graph.generation if self._graph else 0)
        self._unchanged = None
        self._generation = generation

    def _is_large(self, store: Store) -> bool:
        # Counting all of a large gallery takes longer than opening it.
        sql = "SELECT 1 FROM images WHERE state = 'live' LIMIT 1 OFFSET ?"
        return bool(store.select(sql, (self._exact_limit,)))

    def _in_graph(self, store: Store) -> int:
        """Return how many rows are in the graph and have not changed since."""
        if self._unchanged is None:
            self._unchanged = store.count() - len(self._rest[0])
        return self._unchanged

    def _usable_graph(self, store: Store) -> Hnsw:
        """Return a graph that misses no more rows than an exact scan can make up for."""
        # Only large galleries pay for loading USearch.
        from boost_edge.runtime.hnsw import Hnsw

        binding = store.binding
        generation = store.generation()
        dtype = self._dtype or binding.graph_dtype
        if self._graph is not None and self._fits(self._graph, store):
            return self._graph
        known = Hnsw.open(
            self._cache,
            gallery=binding.gallery,
            dimensions=binding.dimensions,
            dtype=dtype,
        )
        if known is not None and known.generation <= generation and self._fits(known, store):
            return known
        graph = Hnsw.build(
            store.keyed_chunks,
            dimensions=binding.dimensions,
            gallery=binding.gallery,
            generation=generation,
            dtype=dtype,
        )
        if not store.read_only:
            graph.save(self._cache)
        return graph

    def _fits(self, graph: Hnsw, store: Store) -> bool:
        # What is gone counts too: candidates that are no more cost time.
        return store.count_changes(after=graph.generation) <= self._exact_limit

    def _through_graph(
        self,
        graph: Hnsw,
        store: Store,
        query: NDArray[np.float32],
        k: int,
        among: NDArray[np.int64] | None,
    ) -> Scored:
        """Return the best ``k`` of the rows that have not changed since the graph was built.

        With ``among``, of those that are in it; it has no other rows.
        """
        if among is not None and not len(among):
            return _nothing()
        wanted = k if among is None else min(k, len(among))
        # The best by coarse scores and some for their errors; or as many as hold those that are
        # wanted, where passing has nothing to do with being near.
        fetch, most, each = 2 * k, self._exact_limit, 1
        if among is not None:
            each = -(-self._in_graph(store) // len(among))
            # From there on an exact scan of the rows that pass is cheaper.
            most = min(most, len(among) // _CANDIDATE_COST)
            fetch = max(_SPARE * k * each, min(_FILTERED, most))
        # Some candidates do not pass, or have changed or gone since: ask for more until enough
        # are left.
        while fetch <= most:
            fetch = max(fetch, self._expansion)
            shortlist = _Shortlist(graph, store, query, fetch, among)
            ids, keys, all_of_them = shortlist.best(wanted, first=2 * k * each)
            if all_of_them or (len(ids) >= wanted and fetch >= _CLOSE * k):
                distinct, which = np.unique(keys, return_inverse=True)
                scores = np.vecdot(store.vectors_with(distinct.tolist()), query)
                return _best(ids, scores[which], k)
            fetch *= 2
        if among is not None:
            return scan(store.chunks_of(among.tolist()), query, k)
        return scan(store.vector_chunks(upto=graph.generation), query, k)


class _Shortlist:
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
        self._margin = graph.margin(query)
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
            coarse = self._coarse_of(keys)
            if len(ids) < wanted:
                if upto == len(self._keys):
                    return ids, keys, False
                upto = min(2 * upto, len(self._keys))
                continue
            bar = np.partition(coarse, len(coarse) - wanted)[len(coarse) - wanted] - self._margin
            reach = int(np.count_nonzero(self._coarse >= bar))
            if reach <= upto:
                close = coarse >= bar
                return ids[close], keys[close], reach < len(self._keys)
            upto = reach

    def _reach(self, coarse: NDArray[np.float32], wanted: int) -> int:
        """Return how many candidates may be among the best, were all of them alive."""
        if len(coarse) <= wanted:
            return len(coarse)
        return int(np.count_nonzero(coarse >= coarse[wanted - 1] - self._margin))

    def _lookup(self, upto: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids, keys = self._store.holders(self._keys[:upto].tolist(), upto=self._upto)
        if self._among is None:
            return ids, keys
        passing = _inside(ids, self._among)
        return ids[passing], keys[passing]

    def _coarse_of(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        order = np.argsort(self._keys)
        return self._coarse[order[np.searchsorted(self._keys, keys, sorter=order)]]


def _best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Scored:
    if len(scores) > k:
        # Everything that ties with the k-th stays in until the ids decide.
        bar = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= bar)
        ids, scores = ids[kept], scores[kept]
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _inside(ids: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids are in an ascending list of them."""
    if not len(among):
        return np.zeros(len(ids), np.bool_)
    place = np.searchsorted(among, ids)
    inside: NDArray[np.bool_] = among[np.minimum(place, len(among) - 1)] == ids
    return inside


def _merge(left: Scored, right: Scored, k: int) -> Scored:
    return _best(np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]]), k)


def _nothing() -> Scored:
    return np.empty(0, np.int64), np.empty(0, np.float32)
