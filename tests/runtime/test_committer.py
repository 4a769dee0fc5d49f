"""Commits in a thread: in order, bounded, and nothing fails in silence."""

from __future__ import annotations

import threading

import pytest

from boost_edge.runtime.committer import Committer
from boost_edge.runtime.image_rows import Changes


def test_commits_are_made_in_order_in_another_thread() -> None:
    """All that is given is committed once, in order, before close returns; the thread ends."""
    made: list[Changes] = []
    threads: set[threading.Thread] = set()

    def commit(changes: Changes) -> None:
        made.append(changes)
        threads.add(threading.current_thread())

    committer = Committer(commit)
    given = [Changes() for _ in range(20)]
    for changes in given:
        committer.put(changes)
    committer.close()
    assert [id(each) for each in made] == [id(each) for each in given]
    assert committer.committed == 20
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_the_caller_goes_on_while_a_commit_is_made() -> None:
    """Giving a piece does not wait for it; when too many wait, giving waits."""
    begun, go_on, full = threading.Event(), threading.Event(), threading.Event()

    def commit(_: Changes) -> None:
        begun.set()
        go_on.wait(60)

    committer = Committer(commit)
    committer.put(Changes())
    assert begun.wait(60)
    assert committer.committed == 0
    for _ in range(2):
        committer.put(Changes())

    def put_one_more() -> None:
        committer.put(Changes())
        full.set()

    late = threading.Thread(target=put_one_more)
    late.start()
    assert not full.is_set()
    go_on.set()
    late.join(60)
    assert full.is_set()
    committer.close()
    assert committer.committed == 4


def test_an_error_stops_the_commits_and_is_raised() -> None:
    """After a commit that failed none is made; what is given, and close, raise its error."""
    made: list[int] = []
    failed = threading.Event()

    def commit(_: Changes) -> None:
        made.append(len(made))
        failed.set()
        raise OSError("the disk is full")

    committer = Committer(commit)
    committer.put(Changes())
    assert failed.wait(60)

    def put_many() -> None:
        for _ in range(1000):
            committer.put(Changes())

    with pytest.raises(OSError, match="full"):
        put_many()
    with pytest.raises(OSError, match="full"):
        committer.close()
    assert made == [0]
    assert committer.committed == 0


def test_draining_waits_for_what_was_given() -> None:
    """What was given is committed when draining returns, and more may follow; errors are raised."""
    made: list[Changes] = []

    def commit(changes: Changes) -> None:
        if len(made) == 3:
            raise OSError("no room")
        made.append(changes)

    committer = Committer(commit)
    for count in (1, 2, 3):
        committer.put(Changes())
        committer.drain()
        assert len(made) == committer.committed == count
    committer.put(Changes())
    with pytest.raises(OSError, match="no room"):
        committer.drain()
    with pytest.raises(OSError, match="no room"):
        committer.close()
