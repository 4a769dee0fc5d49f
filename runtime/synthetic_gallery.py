"""A gallery of drawn embeddings, for measurements: only its size and shape are as of a real one.

Networks put images of a kind together, and a search graph is walked from kind to kind. Among
vectors without any order none is near another, and the same walk takes several times as long.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.store import Store

__all__ = ["fill_gallery", "scatter", "unit"]

_ROWS_AT_ONCE = 4096
# So many images lie around each centre.
_GROUP = 100
# How far, beside centres whose entries have a standard deviation of 1.
_SPREAD = np.float32(0.7)


def scatter(centres: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a unit vector ``(n, D) float32`` near each centre ``(n, D) float32``.

    Without negative entries, as what comes from a ReLU.
    """
    noise = random.standard_normal(centres.shape, np.float32)
    return unit(np.maximum(centres + _SPREAD * noise, 0))


def unit(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return rows of norm 1; rows of zeros as they are."""
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    rows: NDArray[np.float32] = (points / np.maximum(norms, 1e-12)).astype(np.float32)
    return rows


def fill_gallery(
    folder: str | os.PathLike[str],
    encoder: Encoder,
    *,
    images: int,
    seed: int,
    size: tuple[int, int],
    like: NDArray[np.float32] | None = None,
) -> None:
    """Make a gallery of drawn unit vectors that belongs to a model.

    Its images have paths, a ``size`` (width and height) and predictions, as real ones have, but no
    files. They lie in groups, one of them around the embedding ``like``, ``(D,) float32``: what is
    searched for has its like in a gallery.
    """
    with Gallery.open(folder, encoder):
        pass
    rng = np.random.default_rng(seed)
    groups = max(1, images // _GROUP)
    centres = rng.standard_normal((groups, encoder.dimensions), np.float32)
    if like is not None:
        centres[0] = like / max(float(like.std()), 1e-12)
    attributes = encoder.manifest.attributes
    predicted = {each.name: Prediction(value=each.values[0], p=0.5) for each in attributes}
    with closing(Store.open(Path(folder))) as store:
        for start in range(0, images, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, images - start)
            vectors = scatter(centres[rng.integers(groups, size=count)], rng)
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
