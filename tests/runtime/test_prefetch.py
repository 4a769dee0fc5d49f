"""Working ahead: in order, bounded, and over when the reader is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.runtime.prefetch import batched, prefetch, with_next


@settings(deadline=None)
@given(items=st.lists(st.integers()), workers=st.integers(1, 4), ahead=st.integers(1, 9))
def test_prefetch_is_map(items: list[int], workers: int, ahead: int) -> None:
    """Results come in the order of the items, each once."""
    found = prefetch(items, lambda item: item * 2, workers=workers, ahead=ahead)
    assert list(found) == [item * 2 for item in items]


@settings(deadline=None)
@given(items=st.lists(st.integers()), size=st.integers(1, 9))
def test_batches_are_the_items_cut_up(items: list[int], size: int) -> None:
    """Batches put together are the items; all but the last are full."""
    batches = list(batched(items, size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batches)


def test_no_more_is_read_than_allowed() -> None:
    """The source is never further ahead of the reader than was asked for."""
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for item in range(50):
            read += 1
            yield item

    for yielded, _ in enumerate(prefetch(source(), abs, workers=3, ahead=5)):
        assert read <= yielded + 5


def test_an_error_comes_at_its_turn() -> None:
    """What the function raises is raised after the results before it."""
    found = prefetch([1, 2, 0, 4], lambda item: 4 // item, workers=2, ahead=4)
    assert [next(found), next(found)] == [4, 2]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_stopping_early_stops_the_threads() -> None:
    """A reader that closes the iterator leaves no thread behind."""
    before = threading.active_count()
    found = prefetch(range(100), abs, workers=4, ahead=10)
    with closing(found):
        next(found)
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_stopping_early_leaves_shared_threads_to_others() -> None:
    """Threads that are not its own go on; of its work nothing is left to do there."""
    done: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        found = prefetch(range(100), done.append, workers=pool, ahead=10)
        with closing(found):
            next(found)
        begun = len(done)
        assert pool.submit(abs, -1).result() == 1
        assert len(done) == begun < 100


@given(items=st.lists(st.integers(), max_size=5))
def test_with_next_is_what_it_says(items: list[int]) -> None:
    """Each item stands beside its successor, the last beside None."""
    assert list(with_next(iter(items))) == list(zip(items, [*items[1:], None], strict=False))
