"""A process that searches a gallery until it is told to stop; see test_faults.

Arguments: model, gallery, and how many of the images come and go, all at once.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

import numpy as np

from boost_edge import Encoder, Gallery


def main() -> None:
    """Check each answer as it comes: whole, in order, each image once, with its own score."""
    model, folder, comes_and_goes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    encoder = Encoder.open(model, threads=1)
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        query = np.ones(encoder.dimensions, np.float32) / np.sqrt(np.float32(encoder.dimensions))
        everything = {hit.path: hit.score for hit in gallery.search(query, k=1000)}
        print("ready", flush=True)  # noqa: T201 - read by the test
        answers = 0
        while not answers or not select.select([sys.stdin], [], [], 0)[0]:
            hits = gallery.search(query, k=1000)
            paths = [hit.path for hit in hits]
            assert len(set(paths)) == len(paths)
            there = [path for path in paths if Path(path).name.startswith("gone")]
            assert len(there) in (0, comes_and_goes), len(there)
            assert len(paths) - len(there) == len(everything) - comes_and_goes
            assert all(everything[hit.path] == hit.score for hit in hits)
            assert [hit.score for hit in hits] == sorted(everything[each] for each in paths)[::-1]
            answers += 1
    print(answers)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
