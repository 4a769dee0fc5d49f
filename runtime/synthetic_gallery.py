"""A gallery of random embeddings, for measurements: nothing of it is true but its size."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.store import Store

__all__ = ["fill_gallery"]

_ROWS_AT_ONCE = 4096


def fill_gallery(
    folder: str | os.PathLike[str],
    encoder: Encoder,
    *,
    images: int,
    seed: int,
    size: tuple[int, int],
) -> None:
    """Make a gallery of random unit vectors that belongs to a model.

    Its images have paths, a ``size`` (width and height) and predictions, as real ones have, but no
    files.
    """
    with Gallery.open(folder, encoder):
        pass
    rng = np.random.default_rng(seed)
    attributes = encoder.manifest.attributes
    predicted = {each.name: Prediction(value=each.values[0], p=0.5) for each in attributes}
    with closing(Store.open(Path(folder))) as store:
        for start in range(0, images, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, images - start)
            vectors = rng.normal(size=(count, encoder.dimensions)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            store.commit(
                Changes(
                    encoded=[
                        (_row(start + place, size, predicted), vector)
                        for place, vector in enumerate(vectors)
                    ]
                )
            )


def _row(number: int, size: tuple[int, int], predicted: Mapping[str, Prediction]) -> ImageRow:
    return ImageRow(
        id=None,
        path=f"/photos/{number // 1000:03d}/{number:06d}.jpg",
        digest=f"{number:064x}",
        size=100_000,
        mtime_ns=0,
        width=size[0],
        height=size[1],
        predicted=dict(predicted),
        labels={},
    )
