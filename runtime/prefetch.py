"""Work ahead in a few threads, in order, holding only so much at a time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["batched", "decoders", "prefetch", "with_next"]

T = TypeVar("T")
R = TypeVar("R")

# More read from one disk, and hold more pictures at once, than any encoder needs.
_MOST_DECODERS = 16


def prefetch(
    items: Iterable[T], function: Callable[[T], R], *, workers: int, ahead: int
) -> Generator[R]:
    """Yield ``function(item)`` for each item, in order, computed by threads ahead of the reader.

    Close the iterator (`contextlib.closing`) where its reader may stop early: work that has begun
    is waited for, the rest is dropped.

    Parameters
    ----------
    items
        Read in the caller's thread, never further than ``ahead`` items beyond what was yielded.
    function
        Called in one of ``workers`` threads; what it raises is raised here, at its item's turn.
    """
    source = iter(items)
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boost-edge-decode")
    try:
        for item in source:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` items, the last one shorter."""
    source = iter(items)
    while batch := list(itertools.islice(source, size)):
        yield batch


def with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Yield each item with the one after it, None after the last."""
    these, following = itertools.tee(items)
    next(following, None)
    return itertools.zip_longest(these, following)


def decoders(threads: int) -> int:
    """Return how many threads read and decode ahead of an encoder that has so many itself.

    With a small network a photo takes as long to decode as to encode, so there are as many.
    """
    return min(_MOST_DECODERS, threads)
