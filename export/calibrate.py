"""Make a head's probabilities mean what they say, and measure how well they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.fit import Rows, predict_logits
from boost_edge.export.temperature import UNKNOWN, fit_temperature, softmax
from boost_edge.models.head import BoostHead
from boost_edge.runtime.manifest import Attribute, AttributeQuality

__all__ = [
    "accuracy",
    "calibrate_head",
    "expected_calibration_error",
    "measure_quality",
]

_BINS = 15


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
