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
    from boost_edge.export.calibrate import calibrate_head
    from boost_edge.export.fit import Rows, fit_head, refit_head

    if not recipe.validation:
        train = Rows(
            features=np.concatenate([val.features, train.features]),
            codes=np.concatenate([val.codes, train.codes]),
        )
    held_out = val if recipe.validation else None
    fitted = fit_head(train, held_out, classes, recipe, seed=seed, progress=progress)
    if held_out is not None:
        calibrate_head(fitted.head, held_out)
        if recipe.refit:
            fitted = refit_head(fitted, train, val, classes, recipe, seed=seed, progress=progress)
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
