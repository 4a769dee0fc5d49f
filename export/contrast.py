"""The contrastive loss of a head's hidden vector: images with equal labels are drawn together.

The attributes' classifiers ask of the hidden vector only that its values can be told apart; what
else it holds is left to chance. Here images are alike where all their labels agree (Khosla et al.,
"Supervised contrastive learning", 2020, as pytorch-metric-learning has it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.combinations import number_combinations
from boost_edge.runtime.errors import MissingExtraError, UsageError

__all__ = ["Contrast", "contrast_of", "need_library"]

_TEMPERATURE = 0.1

Contrast = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From hidden vectors ``(n, W)`` of the rows that are named, ``(n,) int64``, to their loss."""


def need_library() -> Any:
    """Return the class of the loss; a MissingExtraError where its library is not installed."""
    try:
        from pytorch_metric_learning.losses import SupConLoss
    except ModuleNotFoundError as error:
        module = "pytorch-metric-learning"
        raise MissingExtraError("a contrastive loss", "train", module) from error
    return SupConLoss


def contrast_of(codes: NDArray[np.int64]) -> Contrast:
    """Return the loss of rows with these labels ``(N, A)``, below 0 where unknown.

    Rows with an unknown label, and those that are alike to no other among those that are named,
    count for nothing; nor does any where all are alike.

    Raises
    ------
    MissingExtraError
        When pytorch-metric-learning is not installed.
    UsageError
        When no two rows have all labels, and the same ones.
    """
    numbers = number_combinations(codes)
    if not (np.bincount(numbers[numbers >= 0]) > 1).any():
        raise UsageError(
            "a contrastive loss has nothing to draw together: no two training images have all "
            "labels, and the same ones: label more images, choose fewer --attributes or another "
            "recipe, or train with --contrast 0"
        )
    measure: Any = need_library()(temperature=_TEMPERATURE)
    groups = torch.from_numpy(numbers)

    def contrast(hidden: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        known = groups[rows] >= 0
        if not known.any():
            return hidden.sum() * 0.0
        loss: torch.Tensor = measure(hidden[known], groups[rows][known])
        return loss

    return contrast
