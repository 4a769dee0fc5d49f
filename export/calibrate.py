"""Make a head's probabilities mean what they say, and measure how well they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.calibration_error import accuracy, expected_calibration_error
from boost_edge.export.fit import Rows, predict_logits
from boost_edge.export.temperature import UNKNOWN, fit_temperature
from boost_edge.models.fused import read_out
from boost_edge.models.head import BoostHead
from boost_edge.runtime.manifest import Attribute, AttributeQuality

__all__ = [
    "accuracy",
    "calibrate_head",
    "expected_calibration_error",
    "judge_posteriors",
    "measure_quality",
    "posteriors_of",
    "set_temperatures",
]

# Of images like those that were trained on, so many are typical.
_TYPICAL_SHARE = 0.95


def set_temperatures(head: BoostHead, val: Rows) -> None:
    """Set the temperature of each attribute on rows that took no part in the training."""
    logits = predict_logits(head, val.features)
    temperatures = [
        fit_temperature(each, val.codes[:, column]) for column, each in enumerate(logits)
    ]
    head.temperature.copy_(torch.tensor(temperatures))


def calibrate_head(head: BoostHead, val: Rows) -> None:
    """Set the temperatures, and how far from the training images is typical.

    The latter only where features are standardised.
    """
    set_temperatures(head, val)
    if head.standardise:
        with torch.inference_mode():
            distances = head.look(torch.from_numpy(val.features)).square().mean(dim=1)
        typical = float(np.quantile(distances.numpy(), _TYPICAL_SHARE))
        head.typical = torch.tensor(typical, dtype=torch.float32)


def posteriors_of(head: BoostHead, features: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return what a model file of this head says of each attribute, ``(n, K_a) float64``.

    That is calibrated, and in doubt where the features are unlike those of the training.
    """
    head.eval()
    with torch.inference_mode():
        _, said = read_out(head, torch.from_numpy(features), "hidden")
    return [part.double().numpy() for part in torch.split(said, list(head.classes), dim=1)]


def measure_quality(
    head: BoostHead, schema: Sequence[Attribute], train: Rows, test: Rows
) -> tuple[AttributeQuality, ...]:
    """Return the quality of each attribute on the test rows, where any has its label."""
    if not len(test.features):
        return ()
    said = posteriors_of(head, test.features)
    temperatures = [float(each) for each in head.temperature]
    return judge_posteriors(said, schema, train.codes, test.codes, temperatures)


def judge_posteriors(
    said: Sequence[NDArray[np.float64]],
    schema: Sequence[Attribute],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    temperatures: Sequence[float],
) -> tuple[AttributeQuality, ...]:
    """Return the quality of posteriors ``(n, K_a)``, one array for each attribute.

    ``train`` and ``test`` are labels ``(m, A)`` and ``(n, A)``, -1 where unknown.
    """
    qualities: list[AttributeQuality] = []
    for column, attribute in enumerate(schema):
        truth, seen = test[:, column], train[:, column]
        if not (truth != UNKNOWN).any():
            continue
        posteriors = said[column]
        commonest = np.bincount(seen[seen >= 0]).argmax()
        qualities.append(
            AttributeQuality(
                name=attribute.name,
                images=int((truth != UNKNOWN).sum()),
                accuracy=accuracy(posteriors, truth),
                majority=float((truth[truth != UNKNOWN] == commonest).mean()),
                calibration_error=expected_calibration_error(posteriors, truth),
                temperature=temperatures[column],
            )
        )
    return tuple(qualities)
