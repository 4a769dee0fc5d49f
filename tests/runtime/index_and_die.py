"""A process that indexes, prunes and compacts, to be killed at some moment; see test_faults.

Arguments: model, gallery, folder of pictures, log, where to count lines (``all``, ``cache``,
``migrations``, ``compact`` or ``none``), and at which count to die (-1: never). For migrations
and compacting SQLite's own steps count too. Each commit is noted in the log once it is made.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from boost_edge import Encoder, Gallery
from boost_edge.runtime import compact, migrations, pending
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.database import connect
from boost_edge.runtime.image_rows import Changes
from boost_edge.runtime.store import Store

EXACT_LIMIT = 4
COMMIT_IMAGES = 4
# Everything that writes.
WRITING = {
    *("indexing", "pending", "committer", "store", "store_file", "commit", "hnsw", "replace"),
    *("recovery", "compact", "gallery_folder", "migrations"),
}
# Among it, what writes the cache.
CACHING = {("hnsw", "save"), ("hnsw", "_write"), ("replace", "replacing"), ("replace", "_sync_")}
# Modules that leave much to single statements of SQL.
STATEMENTS = {"migrations": migrations, "compact": compact}
STEPS = 20


class Lines:
    """Counts the lines that are run, and kills this process at one of them."""

    def __init__(self, where: str, deadline: int) -> None:
        self._where = where
        self._deadline = deadline
        self.count = 0

    def enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        """Say whether to count the lines of a function that begins; for ``sys.settrace``."""
        name = Path(frame.f_code.co_filename).stem
        counted = name in WRITING and "boost_edge" in frame.f_globals.get("__name__", "")
        if self._where == "cache":
            function = frame.f_code.co_name
            counted = any(name == file and function.startswith(it) for file, it in CACHING)
        elif self._where in STATEMENTS:
            counted = name == self._where
        return self.line if counted else None

    def line(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        """Count a line."""
        if event == "line":
            self.step()
        return self.line

    def step(self) -> None:
        """Count a line, or some steps of SQLite's."""
        self.count += 1
        if self.count >= self._deadline > 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(self, *arguments: Any, **keywords: Any) -> sqlite3.Connection:
        """Connect to a database, and count its steps."""
        database = connect(*arguments, **keywords)
        database.set_progress_handler(self.step, STEPS)
        return database


def note_commits(log: int) -> None:
    """Write the paths of each commit into a file, after the commit."""
    commit = Store.commit

    def noted(self: Store, changes: Changes) -> None:
        commit(self, changes)
        paths = [row.path for row, _ in changes.encoded] + [row.path for row in changes.kept]
        os.write(log, f"{json.dumps(paths)}\n".encode())

    Store.commit = noted  # type: ignore[method-assign] # the test's own view of commits


def main() -> None:
    """Index folder by folder, remove some pictures, prune, compact; say how many lines it took."""
    model, gallery, pictures, log, where, deadline = sys.argv[1:]
    note_commits(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    pending.COMMIT_IMAGES = COMMIT_IMAGES  # More moments.
    lines = Lines(where, int(deadline))
    if where in STATEMENTS:
        STATEMENTS[where].connect = lines.connect  # type: ignore[attr-defined] # to be counted
    encoder = Encoder.open(model, threads=1)
    print("ready", flush=True)  # noqa: T201 - read by the test
    if where != "none":
        # Commits are made in a thread.
        threading.settrace(lines.enter)
        sys.settrace(lines.enter)
    with Gallery.open(gallery, encoder, exact_limit=EXACT_LIMIT) as opened:
        for folder in sorted(Path(pictures).iterdir()):
            opened.index([folder])
        for picture in Path(pictures).rglob("gone*"):
            picture.unlink()
        opened.index([pictures], prune=True)
    compact_gallery(gallery, exact_limit=EXACT_LIMIT)
    sys.settrace(None)
    print(lines.count)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
