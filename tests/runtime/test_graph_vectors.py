"""Coarse vectors: what rounding does to scores, and how the scale is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.binding import GRAPH_DTYPES, GraphDtype
from boost_edge.runtime.graph_vectors import GraphVectors

Matrix = NDArray[np.float32]


def unit(points: NDArray[np.float64]) -> Matrix:
    """Return rows of norm 1."""
    rows: Matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return rows


def fitting(dtype: GraphDtype, *pieces: Matrix) -> GraphVectors:
    """Choose a scale for vectors that come in pieces."""
    return GraphVectors.fitting(dtype, [(np.arange(len(each)), each) for each in pieces])


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(16, 600),
    sharpness=st.floats(0.1, 3),
    positive=st.booleans(),
)
def test_rounded_scores_are_within_the_margin(
    seed: int, width: int, sharpness: float, positive: bool
) -> None:
    """Two inner products that differ by more than the margin keep their order in 8 bits."""
    random = np.random.default_rng(seed)
    points = np.sinh(sharpness * random.normal(size=(60, width)))
    rows = unit(np.abs(points) if positive else points)
    vectors = fitting("i8", rows)
    encoded = vectors.encode(rows).astype(np.int64)
    for query in rows[:10]:
        taken, factor = vectors.encode_query(query)
        coarse = (encoded @ taken.astype(np.int64)) / factor
        errors = coarse - rows @ query
        assert np.ptp(errors) <= 2 * vectors.margin(query)


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_a_zero_vector_is_a_vector(dtype: GraphDtype) -> None:
    """Nothing is divided by zero, and what is zero stays so."""
    zeros = np.zeros((3, 8), np.float32)
    vectors = fitting(dtype, zeros)
    assert not vectors.encode(zeros).any()
    taken, factor = vectors.encode_query(zeros[0])
    assert not taken.any()
    assert np.isfinite(factor)
    assert np.isfinite(vectors.margin(zeros[0]))


def test_the_range_is_used() -> None:
    """The largest entry becomes the largest integer, in whichever piece it comes."""
    pieces = [unit(np.random.default_rng(seed).normal(size=(50, 32))) for seed in range(3)]
    vectors = fitting("i8", *pieces)
    taken = np.concatenate([vectors.encode(each) for each in pieces])
    assert taken.dtype == np.int8
    assert np.abs(taken.astype(int)).max() == 127


def test_one_row_of_another_kind_costs_the_others_nothing() -> None:
    """A single row whose norm is all in one entry is cut short; the others keep their steps."""
    rows = unit(np.random.default_rng(0).normal(size=(5000, 512)))
    alone = fitting("i8", rows)
    odd = np.eye(1, 512, dtype=np.float32)
    among = fitting("i8", rows, odd)
    assert among.scale >= alone.scale / 2
    assert among.encode(odd).max() == 127


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_floating_vectors_go_as_they_are(dtype: GraphDtype) -> None:
    """USearch rounds to float16 itself, and no scale has to be found."""
    rows = unit(np.random.default_rng(0).normal(size=(5, 16)))
    vectors = fitting(dtype)
    assert vectors.scale == 1
    assert vectors.encode(rows) is rows
    taken, factor = vectors.encode_query(rows[0])
    assert (taken.tolist(), factor) == (rows[0].tolist(), 1)
