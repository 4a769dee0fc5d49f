"""The workloads whose instructions are counted, and the process that runs them.

They are fixed: a count says something only beside another count of the same work.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from boost_edge.bench.callgrind import Marks
from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import load_image
from boost_edge.runtime.synthetic_gallery import fill_gallery

__all__ = ["FEW", "IMAGES", "MANY", "PHOTO", "WORKLOADS", "main", "prepare"]

WORKLOADS: Mapping[str, str] = {
    "load": "read, decode and resize one photo",
    "encode": "one resized photo through the network of drawn garments",
    "search-exact": "an embedding to ten hits, compared with all images",
    "search-graph": "an embedding to ten hits, through the HNSW graph",
    "query": "Gallery.query, exact: a photo's path to ten hits",
    "query-without-network": "query less encode: decoding, search, the database, the hits",
    "import-cli": "python -c 'import boost_edge.cli.main', less a bare interpreter",
}
"""By name, what each one does; the last two are differences of counts."""

FEW, MANY = 1, 8
"""Calls of the two parts that each workload is counted in; their difference is what is kept."""
PHOTO = (320, 240)
IMAGES = 2_000
# Fewer images than the gallery has: so the graph is used.
_GRAPH_FROM = IMAGES // 2
_WARM_UP = 2
_SEED = 0


def prepare(folder: Path, model: Path) -> None:
    """Draw the photo and fill the gallery, its search graph included."""
    (folder / "photo.jpg").write_bytes(encode_jpeg(draw_photo(*PHOTO, seed=_SEED)))
    with Encoder.open(model, threads=1) as encoder:
        fill_gallery(folder / "gallery", encoder, images=IMAGES, seed=_SEED, size=PHOTO)
        vector = np.ones(encoder.dimensions, np.float32)
        with Gallery.open(
            folder / "gallery", encoder, create=False, exact_limit=_GRAPH_FROM
        ) as gallery:
            # The first search builds the graph.
            gallery.search(vector)


def main(folder: Path, model: Path) -> None:
    """Run every workload between marks; under callgrind their instructions are counted."""
    marks = Marks()
    cv2.setNumThreads(1)
    with (
        Encoder.open(model, threads=1) as encoder,
        Gallery.open(folder / "gallery", encoder, create=False) as exact,
        Gallery.open(folder / "gallery", encoder, create=False, exact_limit=_GRAPH_FROM) as graph,
    ):
        photo = folder / "photo.jpg"
        vector = np.random.default_rng(_SEED).normal(size=encoder.dimensions).astype(np.float32)
        batch = load_image(photo, encoder.manifest.image)[None]
        calls: dict[str, Callable[[], object]] = {
            "load": lambda: load_image(photo, encoder.manifest.image),
            "encode": lambda: encoder.run(batch),
            "search-exact": lambda: exact.search(vector),
            "search-graph": lambda: graph.search(vector),
            "query": lambda: exact.query(photo),
        }
        for call in calls.values():
            call()
        marks.start()
        # It would come at another place whenever something else is allocated.
        gc.collect()
        gc.disable()
        for name, call in calls.items():
            for _ in range(_WARM_UP):
                call()
            marks.zero()
            for times in (FEW, MANY):
                for _ in range(times):
                    call()
                marks.close_part(f"{name}:{times}")
    sys.stdout.write(json.dumps({"watched": marks.watched}) + "\n")
    sys.stdout.flush()
    # Ending takes long under valgrind, and is of no interest.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
