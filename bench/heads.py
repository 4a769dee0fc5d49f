"""Heads and what is read out of them: the one place where the bench trains.

Everything that a recipe decides (validation, calibration, blending) is asked of
`boost_edge.export` here, so that measurements of all kinds train as ``boost-edge train`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from boost_edge.export.fit import Rows
    from boost_edge.export.recipes import Recipe
    from boost_edge.models.head import BoostHead
    from boost_edge.runtime.manifest import Readout

__all__ = ["embed", "train_head"]


def train_head(
    train: Rows,
    val: Rows,
    classes: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> BoostHead:
    """Return a trained head, calibrated where the recipe has a validation part.

    A recipe without one, or one that refits, learns from the rows of both.
    """
    from boost_edge.export import head_training

    def report(_: str, done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

    if not recipe.validation:
        train = val.joined(train)
    fitted = head_training.train_head(
        train,
        val if recipe.validation else None,
        classes,
        recipe,
        seed=seed,
        progress=report,
    )
    return fitted.head


def embed(
    head: BoostHead | None, features: NDArray[np.float32], readout: Readout, *, blend: float
) -> NDArray[np.float32]:
    """Return the embeddings ``(n, D) float32`` of features; ``raw`` needs no head."""
    if head is None or readout == "raw":
        return features
    import torch

    from boost_edge.models.fused import read_out

    with torch.inference_mode():
        embeddings, _ = read_out(head, torch.from_numpy(features), readout, blend=blend)
    return np.asarray(embeddings.numpy(), np.float32)
