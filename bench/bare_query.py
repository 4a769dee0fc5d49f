"""What a query costs at least: the same libraries, one inference and one memory-mapped search.

Run by its path and not as a module, so that nothing of boost-edge is imported or checked.
"""

from __future__ import annotations

import json
import sqlite3  # noqa: F401 # pyright: ignore[reportUnusedImport] - a gallery's database needs it
import sys
from typing import Any

__all__ = ["main"]

_HITS = 10
# As the graphs of galleries hold their vectors.
_SCALE = 127


def main(model: str, graph: str, image: str) -> None:
    """Print the keys of the ten nearest vectors of a graph to one image."""
    import click
    import cv2
    import numpy as np
    import onnxruntime
    from usearch.index import Index

    runtime: Any = onnxruntime
    vision: Any = cv2
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]
    rgb = vision.cvtColor(vision.imread(image), vision.COLOR_BGR2RGB)
    pixels = vision.resize(rgb, (size, size))
    [embedding] = session.run(["embedding"], {"image": pixels[None]})[0]
    index: Any = Index(ndim=len(embedding), metric="ip", dtype="i8")
    index.view(graph)
    found = index.search((_SCALE * embedding).astype(np.int8), _HITS)
    click.echo(json.dumps(found.keys.tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
