"""Make a head's probabilities mean what they say, and measure how well they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from boost_edge.export.calibration_error import accuracy, expected_calibration_error
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
