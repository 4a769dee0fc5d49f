"""How much each attribute tells of an image: what the readout ``match`` weighs them by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["information"]


def information(codes: NDArray[np.int64]) -> torch.Tensor:
    """Return the importance of each attribute ``(A,) float32``, all positive, their sum 1.

    It goes with the square of the entropy of the attribute's values: one of 100 kinds of article
    counts for more than one of 4 seasons (docs/decisions/0008-match-readout.md).

    Parameters
    ----------
    codes
        ``(n, A)``, below 0 where unknown. Where no attribute varies, all are alike.
    """
    entropies = np.array([_entropy(column[column >= 0]) for column in codes.T])
    squares = entropies**2 if entropies.any() else np.ones(len(entropies))
    # Even an attribute that never varies keeps a place in the embedding.
    shares = np.maximum(squares / squares.sum(), 1e-6)
    return torch.from_numpy((shares / shares.sum()).astype(np.float32))


def _entropy(codes: NDArray[np.int64]) -> float:
    """Return the entropy of the values' frequencies in nats."""
    counts = np.bincount(codes)
    shares = counts[counts > 0] / max(len(codes), 1)
    return float(-(shares * np.log(shares)).sum())
