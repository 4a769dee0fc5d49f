"""Make a head's probabilities mean what they say, and measure how well they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.fit import UNKNOWN, Rows, predict_logits
from boost_edge.models.head import BoostHead
from boost_edge.runtime.manifest import Attribute, AttributeQuality

__all__ = [
    "accuracy",
    "calibrate_head",
    "expected_calibration_error",
    "fit_temperature",
    "measure_quality",
    "softmax",
]

_BINS = 15
# Beyond this range a temperature says that the validation part is too small, not that the head
# is that badly calibrated.
_COLDEST, _HOTTEST = 0.05, 20.0


def calibrate_head(head: BoostHead, val: Rows) -> None:
    """Set the temperature of each attribute on rows that took no part in the training."""
    logits = predict_logits(head, val.features)
    temperatures = [
        fit_temperature(each, val.codes[:, column]) for column, each in enumerate(logits)
    ]
    head.temperature.copy_(torch.tensor(temperatures))


def measure_quality(
    head: BoostHead, schema: Sequence[Attribute], train: Rows, test: Rows
) -> tuple[AttributeQuality, ...]:
    """Return the quality of each attribute on the test rows, where any has its label."""
    if not len(test.features):
        return ()
    logits = predict_logits(head, test.features)
    qualities: list[AttributeQuality] = []
    for column, attribute in enumerate(schema):
        truth, seen = test.codes[:, column], train.codes[:, column]
        if not (truth != UNKNOWN).any():
            continue
        temperature = float(head.temperature[column])
        posteriors = softmax(logits[column], temperature)
        commonest = np.bincount(seen[seen >= 0]).argmax()
        qualities.append(
            AttributeQuality(
                name=attribute.name,
                images=int((truth != UNKNOWN).sum()),
                accuracy=accuracy(posteriors, truth),
                majority=float((truth[truth != UNKNOWN] == commonest).mean()),
                calibration_error=expected_calibration_error(posteriors, truth),
                temperature=temperature,
            )
        )
    return tuple(qualities)


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
