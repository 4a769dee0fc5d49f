"""Commit in a thread, so that writing to the disk and computing go on at the same time."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from threading import Thread

from boost_edge.runtime.image_rows import Changes

__all__ = ["Committer"]

# Changes that wait for the disk; more only take memory.
_WAITING = 2


class Committer:
    """Makes commits in a thread of its own, one after the other, in the order they were given in.

    After one that fails no more are made. Close it, also after an error.

    Parameters
    ----------
    commit
        ``Store.commit`` of a store that no other thread uses.
    """

    def __init__(self, commit: Callable[[Changes], None]) -> None:
        self._commit = commit
        self._waiting: Queue[Changes | None] = Queue(_WAITING)
        self._error: BaseException | None = None
        self._committed = 0
        # A second Ctrl-C must be able to end the process: SQLite undoes what is half done.
        self._thread = Thread(target=self._work, name="boost-edge-commit", daemon=True)
        self._thread.start()

    @property
    def committed(self) -> int:
        """How many commits were made."""
        return self._committed

    def put(self, changes: Changes) -> None:
        """Give what is to be committed, not to be changed from here on; wait for a place for it.

        Raises what an earlier commit raised.
        """
        self._check()
        self._waiting.put(changes)

    def drain(self) -> None:
        """Wait until all that was given is committed; raise what a commit raised."""
        self._waiting.join()
        self._check()

    def close(self) -> None:
        """Wait until all is committed; raise what a commit raised."""
        self._waiting.put(None)
        self._thread.join()
        self._check()

    def _work(self) -> None:
        while (changes := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._commit(changes)
                except BaseException as error:
                    self._error = error
                else:
                    self._committed += 1
            self._waiting.task_done()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
