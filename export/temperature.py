"""Temperature scaling: one number per attribute that makes its probabilities honest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "calibrated_loss", "fit_temperature", "softmax"]

# The code of a label that is not known.
UNKNOWN = -1
# Beyond this range a temperature says that the validation part is too small, not that the head
# is that badly calibrated.
_COLDEST, _HOTTEST = 0.05, 20.0


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the posteriors of ``logits / temperature``; both ``(N, K)``, rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    posteriors: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return posteriors


def fit_temperature(logits: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
    """Return the temperature T > 0 that minimises the cross entropy of ``softmax(logits / T)``.

    Temperature scaling of Guo et al., "On calibration of modern neural networks" (2017). The
    cross entropy is convex in 1/T, so its derivative is bisected, within [0.05, 20].

    Parameters
    ----------
    logits
        ``(N, K) float32``, of images that took no part in the training.
    codes
        ``(N,) int64``, the true class of each row; -1 is unknown and left out.
    """
    known = codes >= 0
    if not known.any():
        return 1.0
    scores, truth = logits[known].astype(np.float64), codes[known]
    target = scores[np.arange(len(truth)), truth].mean()

    def slope(inverse: float) -> float:
        expected = (softmax(scores, 1.0 / inverse) * scores).sum(axis=1).mean()
        return float(expected - target)

    low, high = 1.0 / _HOTTEST, 1.0 / _COLDEST
    if slope(low) >= 0:
        return _HOTTEST
    if slope(high) <= 0:
        return _COLDEST
    for _ in range(50):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1.0 / float((low * high) ** 0.5)


def calibrated_loss(logits: Sequence[NDArray[np.float32]], codes: NDArray[np.int64]) -> float:
    """Return the mean over attributes of the cross entropy at its best temperature, in nats.

    ``logits`` are A arrays ``(N, K_a)``, ``codes`` ``(N, A)``. Unlike the plain cross entropy it
    does not rise when a head only grows too sure of itself, which calibration mends afterwards.
    An attribute without a known row counts as 0.
    """
    losses: list[float] = []
    for column, scores in enumerate(logits):
        known = codes[:, column] >= 0
        if not known.any():
            losses.append(0.0)
            continue
        truth = codes[known, column]
        posteriors = softmax(scores[known], fit_temperature(scores[known], truth))
        likelihood = posteriors[np.arange(len(truth)), truth]
        losses.append(float(-np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)).mean()))
    return float(np.mean(losses))
