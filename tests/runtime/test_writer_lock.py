"""The writer lock: one at a time, and gone with its process."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import boost_edge
from boost_edge import Encoder, Gallery
from boost_edge.runtime.errors import (
    GalleryLockedError,
)


def counts(report: boost_edge.IndexReport) -> dict[str, int]:
    """Return the counts of a report that are not zero."""
    numbers: dict[str, Any] = {**dataclasses.asdict(report), "seconds": 0}
    for name in ("skipped", "pruned", "outdated_labels"):
        assert numbers.pop(f"{name}_count") == len(numbers[name])
        numbers[name] = len(numbers[name])
    return {name: count for name, count in numbers.items() if count}


def test_two_writers_do_not_meet(gallery: Gallery, encoder: Encoder, pictures: Path) -> None:
    """While one indexes, another is refused with the process id; readers carry on."""
    gallery.index([pictures / "red"])
    seen: list[int] = []

    def meanwhile(_done: int, _total: int) -> None:
        with Gallery.open(gallery.path, encoder) as other:
            with pytest.raises(GalleryLockedError, match=f"process {os.getpid()} "):
                other.index([pictures])
            seen.append(len(other.query(pictures / "red" / "0.png")))
        seen.append(len(gallery.query(pictures / "red" / "0.png")))

    gallery.index([pictures / "blue"], progress=meanwhile)
    assert seen == [3] * 6
    assert len(gallery) == 6


def test_the_lock_goes_with_its_process(gallery: Gallery, pictures: Path) -> None:
    """A writer that is killed leaves no lock behind."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from boost_edge.runtime.writer_lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(gallery.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        with pytest.raises(GalleryLockedError, match=f"process {writer.pid} "):
            gallery.index([pictures])
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert counts(gallery.index([pictures])) == {"added": 9}
