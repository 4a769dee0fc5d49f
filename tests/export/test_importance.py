"""The attributes' importance: the square of what they tell."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.export.importance import information


def test_importance_goes_with_the_squared_entropy() -> None:
    """Four even values tell twice as much as two, and so weigh four times as much."""
    codes = np.array([[0, 0], [1, 1], [0, 2], [1, 3]])
    np.testing.assert_allclose(information(codes).numpy(), [0.2, 0.8], rtol=1e-6)


def test_unknown_labels_do_not_count() -> None:
    """Rows without a label change nothing."""
    codes = np.array([[0, 0], [1, 1], [0, 2], [1, 3]])
    more = np.concatenate([codes, np.full((50, 2), -1)])
    np.testing.assert_array_equal(information(codes).numpy(), information(more).numpy())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(0, 20), attributes=st.integers(1, 5))
def test_importance_is_always_a_distribution(seed: int, rows: int, attributes: int) -> None:
    """Whatever is known of the labels, importances are positive and sum to 1."""
    codes = np.random.default_rng(seed).integers(-1, 4, size=(rows, attributes))
    shares = information(codes).numpy()
    assert shares.shape == (attributes,)
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-5)
