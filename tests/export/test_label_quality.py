"""Scores of labels: a naive reference beside each, and what must hold for any probabilities."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.export.label_quality import (
    NOT_CONFIDENT,
    confident_thresholds,
    confident_values,
    normalised_margin,
    self_confidence,
)

Case = tuple[list[int], list[list[float]]]


def rows_of(values: int) -> st.SearchStrategy[Case]:
    """Draw labels and the probabilities of their values, some of them 0, 1 or equal."""
    weights = st.tuples(*[st.integers(0, 8)] * values)
    rows = st.lists(st.tuples(st.integers(0, values - 1), weights), min_size=1, max_size=8)
    return rows.map(
        lambda drawn: (
            [label for label, _ in drawn],
            # A row of nothing but zeros becomes certain of its first value.
            [
                [each / (sum(row) or 1) for each in (row if any(row) else (1, *row[1:]))]
                for _, row in drawn
            ],
        )
    )


CASES = st.integers(2, 5).flatmap(rows_of)


def arrays(case: Case) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a case as the functions take it."""
    return np.array(case[0], np.int64), np.array(case[1])


def naive_threshold(value: int, case: Case) -> float:
    """Return the mean probability of a value over the images that were given it."""
    own = [row[value] for label, row in zip(*case, strict=True) if label == value]
    return sum(own) / len(own) if own else math.inf


@settings(deadline=None)
@given(CASES)
def test_scores_are_those_of_the_naive_reference(case: Case) -> None:
    """Image by image, in plain Python."""
    labels, posteriors = arrays(case)
    given, margin = self_confidence(labels, posteriors), normalised_margin(labels, posteriors)
    for place, (label, row) in enumerate(zip(*case, strict=True)):
        others = [p for value, p in enumerate(row) if value != label]
        assert given[place] == row[label]
        assert math.isclose(margin[place], (row[label] - max(others) + 1) / 2, abs_tol=1e-12)


@settings(deadline=None)
@given(CASES)
def test_the_margin_says_which_value_is_preferred(case: Case) -> None:
    """Below one half another value is likelier, above it the given one is the likeliest."""
    labels, posteriors = arrays(case)
    margin = normalised_margin(labels, posteriors)
    assert ((margin >= 0) & (margin <= 1)).all()
    best = posteriors.argmax(axis=1)
    assert (best[margin > 0.5] == labels[margin > 0.5]).all()
    assert (best[margin < 0.5] != labels[margin < 0.5]).all()


@settings(deadline=None)
@given(CASES)
def test_the_confident_joint_is_that_of_the_naive_reference(case: Case) -> None:
    """Thresholds are means by class; an image counts for its likeliest value above them."""
    labels, posteriors = arrays(case)
    thresholds = confident_thresholds(labels, posteriors)
    for value in range(posteriors.shape[1]):
        expected = naive_threshold(value, case)
        assert math.isclose(thresholds[value], expected, abs_tol=1e-12)
    found = confident_values(posteriors, thresholds)
    for place, row in enumerate(case[1]):
        reached = [(-p, value) for value, p in enumerate(row) if p >= thresholds[value]]
        assert found[place] == (min(reached)[1] if reached else NOT_CONFIDENT)


def test_a_worked_example() -> None:
    """Three images labelled 0, one labelled 1, none labelled 2: numbers worked out by hand."""
    labels = np.array([0, 0, 0, 1])
    posteriors = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]])
    assert np.allclose(self_confidence(labels, posteriors), [0.9, 0.6, 0.0, 0.1])
    assert np.allclose(normalised_margin(labels, posteriors), [0.9, 0.6, 0.0, 0.15])
    thresholds = confident_thresholds(labels, posteriors)
    assert np.allclose(thresholds, [0.5, 0.1, np.inf])
    # The last is nearest to a value that nobody gave, which cannot be predicted confidently.
    assert confident_values(posteriors, thresholds).tolist() == [0, 0, 1, 1]


def test_no_labels() -> None:
    """Without images there are no scores, and no value is confident."""
    labels, posteriors = np.empty(0, np.int64), np.empty((0, 3))
    assert self_confidence(labels, posteriors).shape == (0,)
    assert normalised_margin(labels, posteriors).shape == (0,)
    thresholds = confident_thresholds(labels, posteriors)
    assert thresholds.tolist() == [math.inf] * 3
    assert confident_values(posteriors, thresholds).shape == (0,)
