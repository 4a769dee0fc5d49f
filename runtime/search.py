"""Find the embeddings nearest to a query: exactly in small galleries, through HNSW in large ones.

Scores are inner products of unit vectors, that is cosines. They are computed one row at a time,
so that equal vectors have equal scores wherever they stand, and ties are broken by id. Candidates
that come from the HNSW graph are scored again from the truth: an old graph never gives a wrong
score or an image that is gone. The graph's own scores are coarse; they say which candidates cannot
be among the best, so that few have to be read. Among many equal vectors the graph may prefer any.

The graph knows no filters. A search among few images scans those; among many it asks the graph
for more candidates than it needs, twice as many each time, until enough are among them or the
scan is the cheaper way.

A graph whose vectors are damaged hides images. So what is scored again is compared with what the
graph said of it, which finds a part of the damage, and the checksum of the vectors is computed: at
once where they differ by more than rounding does, else a piece with each search, and as a whole by
whoever writes to the gallery. Then the graph is built again, and the search is made again.

A gallery that cannot be written and has no graph that serves is scanned: a graph that cannot be
kept would be built by every process anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.graph_building import build_graph
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.shortlist import Shortlist, inside
from boost_edge.runtime.store import Store, Vectors

if TYPE_CHECKING:
    from boost_edge.runtime.hnsw import Hnsw

__all__ = [
    "EXPANSION",
    "GRAPH_NAME",
    "Scored",
    "Searcher",
    "scan",
    "top",
]

GRAPH_NAME = "vectors.usearch"

# A row that is scanned costs as much as a candidate, but nothing is gained by ever longer lists.
_MOST_CANDIDATES = 20_000

# So many candidates a search through the graph keeps in view while it walks, where it needs no more
# (docs/decisions/0007).
EXPANSION = 128

# Up to so many candidates for each hit are read where coarse scores cannot tell them apart.
_CLOSE = 16
# So many times the hits that are wanted must be among the graph's candidates and pass the filter,
# and so many candidates there must be: the far end of a list of candidates has gaps. With 100,000
# vectors and filters that whole clusters pass, recall@10 was, where one in ten passes, 0.978 with
# 16 times, 0.991 and 0.996 with 32 and 0.999 with 64; where one in two passes, 0.983 with 640
# candidates, 0.990 with 1,280 and 0.998 with 2,560. With 1,000,000 vectors and one in ten it was
# 0.984 with 64 and 0.996 with 128.
_SPARE = 128
_FILTERED = 2560

_Stamp = tuple[int, ...]

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
    most_candidates
        The graph is never asked for more.
    expansion
        How many candidates a search through the graph keeps in view: more find more, and take
        longer.
    dtype
        How a graph must hold its vectors. By default one that is there is taken as it is, and a new
        one is built as the gallery says.
    progress
        Called while a graph is built.
    """

    def __init__(
        self,
        cache: Path,
        *,
        exact_limit: int,
        most_candidates: int = _MOST_CANDIDATES,
        expansion: int = EXPANSION,
        dtype: GraphDtype | None = None,
        progress: Progress = silent,
    ) -> None:
        self._cache = cache
        self._exact_limit = exact_limit
        self._most_candidates = most_candidates
        self._expansion = expansion
        self._dtype: GraphDtype | None = dtype
        self._progress = progress
        self._generation = -1
        self._graph: Hnsw | None = None
        # Where nothing is held and each search scans the store: the cache's file that did not
        # serve. A writer may put another in its place.
        self._unserving: _Stamp | None = None
        # Whether a graph's vectors were damaged: from then on they are checked before it is used.
        self._distrust = False
        # How many rows are in the graph and have not changed since; None until it is asked for.
        self._unchanged: int | None = None
        # The rows that are not in the graph: all of them where there is none.
        self._rest: Vectors = _no_rows()

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
            if self._unserving is not None:
                return scan(_rows(store, among), query, k)
            ids, matrix = self._rest
            if among is not None:
                kept = inside(ids, among)
                ids, matrix = ids[kept], matrix[kept]
            rest = _best(ids, np.vecdot(matrix, query), k) if len(ids) else _nothing()
            graph = self._graph
            if graph is None:
                return rest
            others = among
            if among is not None and len(ids):
                others = among[~inside(among, ids)]
            found = self._through_graph(graph, store, query, k, others)
            graph.read_on()
            if graph.is_spoilt:
                return self.find(store, query, k, among=among)
            return _merge(rest, found, k) if len(rest[0]) else found

    def reach(self, store: Store, among: NDArray[np.int64] | None = None) -> int:
        """Return how many hits `find` gives, within the same snapshot, without a scan of the store.

        From there on `scores` is no dearer.
        """
        self._refresh(store)
        if self._unserving is not None:
            return 0
        if self._graph is None:
            return self._exact_limit
        if among is None:
            return self._most_candidates // 2
        each = max(1, self._candidates_each(store, among))
        return min(self._most_candidates, len(among)) // (_SPARE * each)

    def scores(
        self, store: Store, query: NDArray[np.float32], among: NDArray[np.int64] | None = None
    ) -> Iterator[Scored]:
        """Yield ids and scores of all live images, or of those among, piece by piece in any order.

        To be read within the `Store.snapshot` that ``among`` is of.
        """
        self._refresh(store)
        if self._graph is not None or self._unserving is not None:
            rows = _rows(store, among)
        else:
            ids, matrix = self._rest
            kept = slice(None) if among is None else inside(ids, among)
            rows = iter([(ids[kept], matrix[kept])] if len(ids) else [])
        for ids, matrix in rows:
            yield ids, np.vecdot(matrix, query)

    def prepare(self, store: Store) -> None:
        """See to it that the HNSW file is there, sound and recent enough, if the gallery is large.

        All of the file is read, which a search does not wait for.
        """
        with store.snapshot():
            if self._is_large(store):
                self._usable_graph(store, whole=True)

    def close(self) -> None:
        """Let go of what was read."""
        self._generation = -1
        self._graph = None
        self._unserving = None
        self._rest = _no_rows()

    def _refresh(self, store: Store) -> None:
        generation = store.generation()
        if (
            generation == self._generation
            and (self._unserving is None or self._unserving == _stamp_of(self._cache))
            and not (self._graph is not None and self._graph.is_spoilt)
        ):
            return
        large, stamp = self._is_large(store), _stamp_of(self._cache)
        self._graph = self._usable_graph(store) if large else None
        if self._graph is not None:
            store.map_into_memory()
        if large and self._graph is None:
            self._unserving = stamp
            self._rest = _no_rows()
        else:
            self._unserving = None
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

    def _usable_graph(self, store: Store, *, whole: bool = False) -> Hnsw | None:
        """Return a graph that misses no more rows than an exact scan can make up for.

        ``whole`` is whether its vectors are checked. None where there is none, and one could not
        be kept.
        """
        # Only large galleries pay for loading USearch.
        from boost_edge.runtime.hnsw import Hnsw

        binding = store.binding
        graph = self._graph
        if graph is not None and self._fits(graph, store) and self._trusts(graph, whole=whole):
            return graph
        known = Hnsw.open(
            self._cache,
            gallery=binding.gallery,
            dimensions=binding.dimensions,
            dtype=self._dtype,
        )
        if (
            known is not None
            and known.generation <= store.generation()
            and self._fits(known, store)
            and self._trusts(known, whole=whole)
        ):
            return known
        if store.read_only:
            return None
        graph = build_graph(store, dtype=self._dtype, progress=self._progress)
        graph.save(self._cache)
        return graph

    def _trusts(self, graph: Hnsw, *, whole: bool) -> bool:
        """Return whether no vector of a graph is damaged, as far as that has to be known."""
        sound = graph.is_sound() if whole or self._distrust else not graph.is_spoilt
        if not sound:
            self._distrust = True
        return sound

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
        fetch, most, each = 2 * k, self._most_candidates, 1
        if among is not None:
            each = self._candidates_each(store, among)
            # From there on an exact scan of the rows that pass is cheaper: a row of it costs as
            # much as a candidate, 5 and 6 microseconds in the same run.
            most = min(most, len(among))
            fetch = max(_SPARE * k * each, min(_FILTERED, most))
        # Some candidates do not pass, or have changed or gone since: ask for more until enough
        # are left.
        while fetch <= most:
            fetch = max(fetch, self._expansion)
            shortlist = Shortlist(graph, store, query, fetch, among)
            held, all_of_them = shortlist.best(wanted, first=2 * k * each)
            if all_of_them or (len(held) >= wanted and fetch >= _CLOSE * k):
                exact, agree = shortlist.exact(key for _, key in held)
                if not agree:
                    # Damage, or entries that are too large for the graph's integers.
                    graph.is_sound()
                ids = np.array([identity for identity, _ in held], np.int64)
                return _best(ids, np.array([exact[key] for _, key in held], np.float32), k)
            fetch *= 2
        return scan(_rows(store, among, upto=graph.generation), query, k)

    def _candidates_each(self, store: Store, among: NDArray[np.int64]) -> int:
        """Return how many candidates hold one of some images, were it by chance."""
        return -(-self._in_graph(store) // max(1, len(among)))


def _stamp_of(path: Path) -> _Stamp:
    """Return what changes when a file is replaced; nothing where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _rows(
    store: Store, among: NDArray[np.int64] | None, *, upto: int | None = None
) -> Iterator[Vectors]:
    """Yield the live images, or those among, in pieces: never all of them are held at once."""
    if among is not None:
        return store.chunks_of(among.tolist())
    return store.vector_chunks() if upto is None else store.vector_chunks(upto=upto)


def _no_rows() -> Vectors:
    return np.empty(0, np.int64), np.empty((0, 0), np.float32)


def _best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Scored:
    if len(scores) > k:
        # Everything that ties with the k-th stays in until the ids decide.
        bar = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= bar)
        ids, scores = ids[kept], scores[kept]
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _merge(left: Scored, right: Scored, k: int) -> Scored:
    return _best(np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]]), k)


def _nothing() -> Scored:
    return np.empty(0, np.int64), np.empty(0, np.float32)
