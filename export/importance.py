"""How much each attribute tells of an image: what the readout ``match`` weighs them by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.runtime.choosing import entropy

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
    known = [column[column >= 0] for column in codes.T]
    entropies = np.array([entropy(np.bincount(each) / max(len(each), 1)) for each in known])
    squares = entropies**2 if entropies.any() else np.ones(len(entropies))
    # Even an attribute that never varies keeps a place in the embedding.
    shares = np.maximum(squares / squares.sum(), 1e-6)
    return torch.from_numpy((shares / shares.sum()).astype(np.float32))
