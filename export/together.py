"""Train what the readout ``together`` needs: a second head, for the combinations of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from boost_edge.export.calibrate import set_temperatures
from boost_edge.export.combinations import find_combinations
from boost_edge.export.fit import Rows, fit_head
from boost_edge.export.recipes import Recipe
from boost_edge.models.head import TogetherHead
from boost_edge.runtime.errors import UsageError

__all__ = ["fit_together"]


def fit_together(
    train: Rows,
    val: Rows | None,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TogetherHead:
    """Train a head for the combinations of all labels, as `fit_head` trains one for attributes.

    Rows with an unknown label are left out. Calibrated where a row of ``val`` has all labels.

    Raises
    ------
    UsageError
        When fewer than two combinations have enough images.
    """
    combinations = find_combinations(train.codes, recipe.together)
    # Images of all other combinations are one class, and unlike each other.
    recipe = replace(recipe, contrast=0.0)
    if len(combinations.values) < 2:
        raise UsageError(
            f"readout together: {len(combinations.values)} combination(s) of labels have "
            f"{recipe.together} images or more: label more images, choose fewer --attributes, or "
            "choose another readout"
        )

    def coded(rows: Rows) -> Rows:
        codes = combinations.code(rows.codes)
        known = codes[:, 0] >= 0
        return Rows(features=rows.features[known], codes=codes[known])

    held_out = None if val is None else coded(val)
    if held_out is None or not len(held_out.codes):
        held_out, recipe = None, replace(recipe, validation=False)
    fitted = fit_head(
        coded(train),
        held_out,
        [combinations.classes],
        recipe,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    if held_out is not None:
        set_temperatures(fitted.head, held_out)
    shown = np.arange(combinations.classes) < len(combinations.values)
    return TogetherHead(fitted.head, torch.from_numpy(shown.astype(np.float32)))
