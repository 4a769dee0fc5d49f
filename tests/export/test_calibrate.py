"""Temperature scaling and the figures of quality."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.export.calibrate import (
    accuracy,
    calibrate_head,
    expected_calibration_error,
    measure_quality,
    posteriors_of,
)
from boost_edge.export.fit import Rows
from boost_edge.export.parts import NEVER_SEEN
from boost_edge.export.temperature import calibrated_loss, fit_temperature, softmax
from boost_edge.models.head import BoostHead
from boost_edge.runtime.manifest import Attribute


def draw(
    seed: int, rows: int, classes: int, temperature: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return logits, and labels drawn from their posteriors at a temperature."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.0, size=(rows, classes)).astype(np.float32)
    posteriors = softmax(logits, temperature)
    draws = generator.random((rows, 1))
    codes = (posteriors.cumsum(axis=1) < draws).sum(axis=1).clip(max=classes - 1)
    return logits, codes.astype(np.int64)


def cross_entropy(
    logits: NDArray[np.float32], codes: NDArray[np.int64], temperature: float
) -> float:
    """Return the mean negative log likelihood, naively."""
    posteriors = softmax(logits, temperature)
    return -sum(
        float(np.log(row[code])) for row, code in zip(posteriors, codes, strict=True)
    ) / len(codes)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(temperature: float) -> None:
    """Labels drawn at a temperature give that temperature back."""
    logits, codes = draw(seed=1, rows=20_000, classes=5, temperature=temperature)
    assert fit_temperature(logits, codes) == pytest.approx(temperature, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(3, 60), classes=st.integers(2, 6))
def test_no_other_temperature_is_better(seed: int, rows: int, classes: int) -> None:
    """The fitted temperature has the lowest cross entropy of a grid of others."""
    logits, codes = draw(seed=seed, rows=rows, classes=classes, temperature=1.0)
    found = cross_entropy(logits, codes, fit_temperature(logits, codes))
    grid = [cross_entropy(logits, codes, each) for each in np.geomspace(0.06, 19.0, 40)]
    assert found <= min(grid) + 1e-6


def test_unknown_labels_do_not_count() -> None:
    """Rows whose label is unknown change neither temperature, accuracy nor calibration error."""
    logits, codes = draw(seed=2, rows=300, classes=3, temperature=2.0)
    noise = np.full((50, 3), 9.0, dtype=np.float32)
    padded = np.concatenate([logits, noise])
    masked = np.concatenate([codes, np.full(50, -1)])
    assert fit_temperature(padded, masked) == fit_temperature(logits, codes)
    assert accuracy(softmax(padded), masked) == accuracy(softmax(logits), codes)
    assert expected_calibration_error(softmax(padded), masked) == pytest.approx(
        expected_calibration_error(softmax(logits), codes)
    )
    assert fit_temperature(noise, np.full(50, -1)) == 1.0


def test_calibrated_loss_ignores_sharpness() -> None:
    """The calibrated loss is the plain one at the best temperature, however sharp the logits."""
    logits, codes = draw(seed=3, rows=400, classes=4, temperature=1.0)
    both = np.stack([codes, codes], axis=1)
    best = cross_entropy(logits, codes, fit_temperature(logits, codes))
    assert calibrated_loss([logits, 5 * logits], both) == pytest.approx(best, rel=1e-4)
    assert calibrated_loss([logits, logits], np.full_like(both, -1)) == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 80))
def test_calibration_error_agrees_with_naive_bins(seed: int, rows: int) -> None:
    """The expected calibration error is what a loop over 15 bins gives."""
    logits, codes = draw(seed=seed, rows=rows, classes=4, temperature=1.5)
    posteriors = softmax(logits)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, code in zip(posteriors, codes, strict=True):
        confidence = float(row.max())
        place = min(int(confidence * 15), 14)
        bins.setdefault(place, []).append((confidence, int(row.argmax()) == code))
    naive = sum(
        len(each)
        / rows
        * abs(sum(right for _, right in each) - sum(sure for sure, _ in each))
        / len(each)
        for each in bins.values()
    )
    assert expected_calibration_error(posteriors, codes) == pytest.approx(naive)


def test_value_never_seen_in_training_counts_as_wrong() -> None:
    """A held-out value that the head cannot predict lowers the accuracy, and is in the count."""
    head = BoostHead(3, 4, [2], standardise=False)
    features = np.ones((4, 3), dtype=np.float32)
    train = Rows(features=features, codes=np.array([[0], [0], [1], [0]]))
    test = Rows(features=features, codes=np.full((4, 1), NEVER_SEEN))
    schema = [Attribute(name="type", values=("a", "b"))]
    (quality,) = measure_quality(head, schema, train, test)
    assert (quality.images, quality.accuracy, quality.majority) == (4, 0.0, 0.0)


def test_attribute_without_held_out_labels_is_left_out() -> None:
    """No figure is given for an attribute that no held-out row has, nor without such rows."""
    head = BoostHead(3, 4, [2], standardise=False)
    features = np.ones((2, 3), dtype=np.float32)
    rows = Rows(features=features, codes=np.array([[0], [1]]))
    unknown = Rows(features=features, codes=np.array([[-1], [-1]]))
    empty = Rows(features=features[:0], codes=rows.codes[:0])
    schema = [Attribute(name="type", values=("a", "b"))]
    assert measure_quality(head, schema, rows, unknown) == ()
    assert measure_quality(head, schema, rows, empty) == ()


def _calibrated(*, standardise: bool) -> tuple[BoostHead, Rows]:
    """Return a head, and the rows it was calibrated on."""
    generator = np.random.default_rng(4)
    table = generator.normal(1.0, 2.0, size=(400, 6)).astype(np.float32)
    codes = generator.integers(0, 2, size=(400, 1))
    head = BoostHead(6, 8, [2], standardise=standardise, components=6 if standardise else None)
    head.fit_standardisation(torch.from_numpy(table[:200]))
    val = Rows(features=table[200:], codes=codes[200:])
    calibrate_head(head, val)
    return head, val


def test_one_in_twenty_of_the_validation_rows_is_not_typical() -> None:
    """The typical distance is that which 95% of rows stay below that were not trained on."""
    head, val = _calibrated(standardise=True)
    assert head.typical is not None
    with torch.inference_mode():
        looks = head.look(torch.from_numpy(val.features)).numpy()
    assert int(((looks**2).mean(axis=1) > float(head.typical)).sum()) == 10


def test_features_that_are_not_standardised_have_no_typical_distance() -> None:
    """Such features have no scale to measure by: everything is believed."""
    head, _ = _calibrated(standardise=False)
    assert head.typical is None


def test_quality_is_that_of_what_is_served() -> None:
    """Posteriors of unfamiliar rows are in doubt here as in the model file, and so judged."""
    head, val = _calibrated(standardise=True)
    far = np.concatenate([val.features[:50], 30 * val.features[50:100]])
    _, logits = head(torch.from_numpy(far))
    plain = softmax(logits[0].detach().numpy(), float(head.temperature[0]))
    (found,) = posteriors_of(head, far)
    assert found[50:].max() <= 0.51 < plain[50:].max()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), plain.argmax(axis=1))
    test = Rows(features=far, codes=val.codes[:100])
    schema = [Attribute(name="type", values=("a", "b"))]
    (quality,) = measure_quality(head, schema, val, test)
    assert quality.accuracy == accuracy(plain, test.codes[:, 0])
    assert quality.calibration_error == expected_calibration_error(found, test.codes[:, 0])
