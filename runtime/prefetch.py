"""Work ahead in a few threads, in order, holding only so much at a time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["batched", "prefetch", "with_next"]

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    items: Iterable[T], function: Callable[[T], R], *, workers: int | ThreadPoolExecutor, ahead: int
) -> Generator[R]:
    """Yield ``function(item)`` for each item, in order, computed by threads ahead of the reader.

    Close the iterator (`contextlib.closing`) where its reader may stop early: work that has begun
    is waited for, the rest is dropped.

    Parameters
    ----------
    items
        Read in the caller's thread, never further than ``ahead`` items beyond what was yielded.
    function
        Called in one of the workers; what it raises is raised here, at its item's turn.
    workers
        So many threads of its own, or threads that have other work too.
    """
    source = iter(items)
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, "boost-edge-ahead") if isinstance(workers, int) else workers
    try:
        for item in source:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        wait([each for each in pending if not each.cancel()])
        if pool is not workers:
            pool.shutdown()


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
