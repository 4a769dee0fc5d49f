"""How often predictions are right, and how far their probabilities are from that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.temperature import UNKNOWN

__all__ = ["accuracy", "expected_calibration_error"]

_BINS = 15


def accuracy(posteriors: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return top-1 accuracy in [0, 1] over the rows with a label (code not -1).

    At least one row must have one; a code outside the classes counts as wrong.
    """
    known = codes != UNKNOWN
    return float((posteriors[known].argmax(axis=1) == codes[known]).mean())


def expected_calibration_error(posteriors: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the expected calibration error in [0, 1], over the rows with a label.

    The mean over 15 equal-width bins of confidence, weighted by their rows, of
    |accuracy - confidence| (Guo et al., 2017).
    """
    known = codes != UNKNOWN
    confidence = posteriors[known].max(axis=1)
    correct = posteriors[known].argmax(axis=1) == codes[known]
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=_BINS)
    return float(np.abs(gap).sum() / known.sum())
