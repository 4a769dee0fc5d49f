"""How much a model's probabilities speak for a given label: the scores of Confident Learning.

C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels" (JAIR 70, 2021); the scores are those that the library cleanlab calls self-confidence and
normalized margin (its module ``rank``).

All functions take ``labels``, ``(N,) int64``: the value that was given to each image, in [0, K),
and ``posteriors``, ``(N, K)``: its probabilities in the model, with rows that sum to 1.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NOT_CONFIDENT",
    "confident_thresholds",
    "confident_values",
    "normalised_margin",
    "self_confidence",
]

NOT_CONFIDENT = -1

Labels: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float64]


def self_confidence(labels: Labels, posteriors: NDArray[np.floating]) -> Numbers:
    """Return the probability of each given label, ``(N,) float64`` in [0, 1]."""
    return posteriors[np.arange(len(labels)), labels].astype(np.float64)


def normalised_margin(labels: Labels, posteriors: NDArray[np.floating]) -> Numbers:
    """Return how far each given label is ahead of all others, ``(N,) float64`` in [0, 1].

    It is ``(p(given) - max p(other) + 1) / 2``: 0 where the model is certain of another value, 0.5
    where it wavers, 1 where it is certain of the given one. Unlike self-confidence it tells a
    label that another value beats from one of an image that looks like nothing in particular.
    """
    given = self_confidence(labels, posteriors)
    others = posteriors.astype(np.float64)
    others[np.arange(len(labels)), labels] = 0
    margin: Numbers = (given - others.max(axis=1, initial=0) + 1) / 2
    return margin


def confident_thresholds(labels: Labels, posteriors: NDArray[np.floating]) -> Numbers:
    """Return from which probability on a value is confidently predicted, ``(K,) float64``.

    It is the mean self-confidence of the images that were given this value (equation 2 of the
    paper): a value that the model is seldom sure of needs less. Infinity where none was.
    """
    values = posteriors.shape[1]
    sums = np.bincount(labels, self_confidence(labels, posteriors), minlength=values)
    counts = np.bincount(labels, minlength=values)
    thresholds = np.full(values, np.inf)
    np.divide(sums, counts, out=thresholds, where=counts > 0)
    return thresholds


def confident_values(posteriors: NDArray[np.floating], thresholds: Numbers) -> Labels:
    """Return the value under which each image counts in the confident joint, ``(N,) int64``.

    It is the likeliest of the values that reach their threshold (equation 1 of the paper), and
    `NOT_CONFIDENT` where none does. An image whose value is not the given one is off the diagonal
    of the confident joint: its label is likely to be wrong.
    """
    reached = np.where(posteriors >= thresholds, posteriors, -1.0)
    values = reached.argmax(axis=1).astype(np.int64)
    return np.where(reached.max(axis=1, initial=-1.0) < 0, NOT_CONFIDENT, values)
