"""The measure of the gate: the same as a loop over queries, attributes and hits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.export.retrieval import average_precisions


def naive(embeddings: NDArray[np.float32], codes: list[list[int]], k: int) -> list[float]:
    """Return the same by the definition, one query and one attribute after another."""
    found: list[float] = []
    for query, values in enumerate(codes):
        cosines = [float(embeddings[query].astype(float) @ other) for other in embeddings]
        others = [other for other in range(len(codes)) if other != query]
        others.sort(key=lambda other: -cosines[other])
        precisions: list[float] = []
        for attribute, value in enumerate(values):
            known = [other for other in others if codes[other][attribute] >= 0]
            relevant = [other for other in known if codes[other][attribute] == value]
            if value < 0 or not relevant:
                continue
            total = 0.0
            for place, other in enumerate(known[:k], 1):
                if other in relevant:
                    total += sum(each in relevant for each in known[:place]) / place
            precisions.append(total / min(k, len(relevant)))
        found.append(sum(precisions) / len(precisions) if precisions else math.nan)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 14), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_matches_the_definition(count: int, attributes: int, k: int, seed: int) -> None:
    """Any labels, with gaps, and any embeddings give what the loop gives."""
    generator = np.random.default_rng(seed)
    embeddings = generator.normal(size=(count, 4)).astype(np.float32)
    codes = generator.integers(-1, 3, (count, attributes))
    found = average_precisions(embeddings, codes, k=k)
    np.testing.assert_allclose(found, naive(embeddings, codes.tolist(), k), atol=1e-12)


def test_perfect_and_useless() -> None:
    """Embeddings that are the labels find all; a query that nothing is like has no value."""
    codes = np.repeat(np.arange(4), 5)[:, None]
    embeddings = np.eye(4, dtype=np.float32)[codes[:, 0]]
    np.testing.assert_array_equal(average_precisions(embeddings, codes), 1.0)
    alone = np.arange(20)[:, None]
    assert np.isnan(average_precisions(embeddings, alone)).all()
