"""Find images that are there more than once: exact copies, and images that are nearly the same."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.argument_types import real_number
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.gallery_folder import open_store, require_gallery
from boost_edge.runtime.search import GRAPH_NAME, Scored, Searcher
from boost_edge.runtime.store import Store, Vectors

__all__ = ["Groups", "exact_copies", "near_copies"]

# Each group holds at least two paths, the image that was there first leading.
Groups = tuple[tuple[str, ...], ...]

_COPIES = """
SELECT embedding, id, path FROM images WHERE state = 'live' AND embedding IN
(SELECT embedding FROM images WHERE state = 'live' GROUP BY embedding HAVING count(*) > 1)
ORDER BY embedding, id
"""
# Of so many images all pairs are compared: that takes seconds, and misses none.
_PAIRS_LIMIT = 20_000
# Rows of the matrix of scores that is held at a time.
_ROWS = 512
# A product of matrices rounds otherwise than the scores of a search do, but not by as much.
_ROUNDING = 1e-4
# The product of an embedding with itself is up to 3 * 2**-23 below 1, of any width up to 2,048.
_OF_ONE = 8 * 2.0**-23
_FIRST_HITS = 16


def exact_copies(path: str | os.PathLike[str]) -> Groups:
    """Return the groups of images in a gallery whose files have the same bytes.

    The gallery's model is not needed. Groups and their paths come in the order in which the images
    came.

    Raises
    ------
    UsageError
        When there is no gallery.
    GalleryCorruptError
        When it is damaged.
    """
    folder = Path(path)
    require_gallery(folder)
    with closing(open_store(folder)) as store:
        groups = _copies(store)
    return tuple(tuple(name for _, name in group) for group in groups)


def near_copies(
    path: str | os.PathLike[str], threshold: float, *, exact_limit: int = _PAIRS_LIMIT
) -> Groups:
    """Return the groups of images with different bytes whose embeddings are nearly the same.

    Two images are in the same group when a chain of images leads from one to the other in which
    every two neighbours have at least this cosine. Of exact copies only the one that came first
    is named. The gallery's model is not needed.

    Parameters
    ----------
    path
        The gallery's folder.
    threshold
        The least cosine, in (0, 1], but for what rounding may take off it: 1 finds equal
        embeddings.
    exact_limit
        Up to so many images all pairs are compared; above it each is searched for through the
        graph, which may miss some.

    Raises
    ------
    UsageError
        When the threshold is out of range, or there is no gallery.
    GalleryCorruptError
        When it is damaged.
    """
    threshold = real_number("the threshold", threshold)
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold is {threshold}, but must be above 0 and at most 1")
    least = threshold - _OF_ONE
    folder = Path(path)
    require_gallery(folder)
    with closing(open_store(folder)) as store, store.snapshot():
        # What an exact copy stands for: the one of them that came first.
        first = {identity: group[0][0] for group in _copies(store) for identity, _ in group}
        compare = store.count() <= exact_limit
        vectors = _distinct(store, first)
        searcher = Searcher(folder / GRAPH_NAME, exact_limit=exact_limit)
        pairs = (
            _all_pairs(vectors, least) if compare else _searched(store, searcher, vectors, least)
        )
        groups = _chains((first.get(left, left), first.get(right, right)) for left, right in pairs)
        names = store.images(itertools.chain.from_iterable(groups))
    return tuple(tuple(names[identity].path for identity in group) for group in groups)


def _copies(store: Store) -> list[list[tuple[int, str]]]:
    """Return ids and paths of the images whose bytes are there more than once, by the bytes."""
    groups = [
        [(int(identity), os.fsdecode(path)) for _, identity, path in group]
        for _, group in itertools.groupby(store.select(_COPIES), key=lambda row: row[0])
    ]
    return sorted(groups)


def _distinct(store: Store, first: dict[int, int]) -> Iterator[Vectors]:
    """Yield ids and embeddings piece by piece, of exact copies only the first."""
    for ids, matrix in store.vector_chunks():
        kept = np.array([first.get(each, each) == each for each in ids.tolist()], np.bool_)
        yield ids[kept], matrix[kept]


def _all_pairs(chunks: Iterable[Vectors], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield the pairs of ids whose cosine is at least a threshold."""
    parts = list(chunks)
    if not parts:
        return
    ids = np.concatenate([part for part, _ in parts])
    matrix = np.concatenate([part for _, part in parts])
    for start in range(0, len(ids), _ROWS):
        block = matrix[start : start + _ROWS]
        scores = block @ matrix[start:].T
        left, right = np.nonzero(scores >= threshold - _ROUNDING)
        ahead = right > left
        left, right = left[ahead] + start, right[ahead] + start
        sure = _cosines(matrix, left, right).astype(np.float64) >= threshold
        yield from zip(ids[left[sure]].tolist(), ids[right[sure]].tolist(), strict=True)


def _cosines(
    matrix: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the cosines of pairs of rows as a search computes them, piece by piece."""
    pieces = [
        np.vecdot(matrix[left[at : at + _ROWS]], matrix[right[at : at + _ROWS]])
        for at in range(0, len(left), _ROWS)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def _searched(
    store: Store, searcher: Searcher, chunks: Iterable[Vectors], threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield the pairs that searching for each image finds."""
    # Every image is searched for, so to read the cache as a whole first takes no time.
    searcher.prepare(store)
    for ids, matrix in chunks:
        for identity, vector in zip(ids.tolist(), matrix, strict=True):
            k = _FIRST_HITS
            while len(found := _near(searcher.find(store, vector, k), threshold)) == k:
                k *= 4
            yield from ((identity, each) for each in found if each != identity)


def _near(scored: Scored, threshold: float) -> list[int]:
    ids, cosines = scored
    near: list[int] = ids[cosines.astype(np.float64) >= threshold].tolist()
    return near


def _chains(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected groups of ids, each sorted, in the order of their first."""
    above: dict[int, int] = {}

    def root(each: int) -> int:
        while (up := above.setdefault(each, each)) != each:
            above[each] = above[up]
            each = up
        return each

    for left, right in pairs:
        low, high = sorted((root(left), root(right)))
        above[high] = low
    groups: dict[int, list[int]] = {}
    for each in sorted(above):
        groups.setdefault(root(each), []).append(each)
    return [group for group in groups.values() if len(group) > 1]
