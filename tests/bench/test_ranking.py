"""The library's metrics, beside slow and plain ones."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from boost_edge.bench.metrics import nearest_others
from boost_edge.bench.ranking import RANKING_METRICS, score_rankings
from boost_edge.runtime.errors import MissingExtraError, UsageError

# Few distinct grades, so that most rows have ties; some rows have nothing relevant.
GRADES = st.integers(2, 16).flatmap(
    lambda n: hnp.arrays(np.float32, (n, n), elements=st.sampled_from([0, 0, 0.25, 0.5, 1]))
)


def naive(relevance: list[float], ranked: list[int]) -> dict[str, float]:
    """Compute a query's metrics as trec_eval defines them, with linear gain."""
    relevant = sum(grade > 0 for grade in relevance)
    if not relevant:
        return dict.fromkeys(RANKING_METRICS, math.nan)
    hits, precisions = 0, 0.0
    for place, item in enumerate(ranked, start=1):
        if relevance[item] > 0:
            hits += 1
            precisions += hits / place
    gained = sum(relevance[item] / math.log2(2 + place) for place, item in enumerate(ranked[:10]))
    ideal = sorted(relevance, reverse=True)[:10]
    best = sum(grade / math.log2(2 + place) for place, grade in enumerate(ideal))
    return {
        "trec_map": precisions / relevant,
        "p10": sum(relevance[item] > 0 for item in ranked[:10]) / 10,
        "ndcg10": gained / best,
    }


@settings(max_examples=60, deadline=None)
@given(GRADES, st.integers(0, 99))
def test_matches_naive(relevance: NDArray[np.float32], seed: int) -> None:
    """On any grades and any ranking, the library's values are those of the definition."""
    np.fill_diagonal(relevance, 0)
    rng = np.random.default_rng(seed)
    ranked = np.argsort(rng.random(relevance.shape), axis=1)
    found = score_rankings(relevance, ranked)
    for query, (grades, order) in enumerate(zip(relevance.tolist(), ranked.tolist(), strict=True)):
        expected = naive(grades, order)
        for metric in RANKING_METRICS:
            assert found[metric][query] == pytest.approx(expected[metric], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.float32, (9, 2), elements=st.sampled_from([0, 1])),
    hnp.arrays(np.float32, (9, 9), elements=st.sampled_from([0, 0.5, 1])),
)
def test_tied_embeddings_are_ranked_as_given(
    vectors: NDArray[np.float32], relevance: NDArray[np.float32]
) -> None:
    """Where embeddings tie, ours is the order that is judged, the same every time."""
    np.fill_diagonal(relevance, 0)
    ranked = nearest_others(vectors, k=9)
    found = score_rankings(relevance, ranked)
    again = score_rankings(relevance, nearest_others(vectors.copy(), k=9))
    for query, (grades, order) in enumerate(zip(relevance.tolist(), ranked.tolist(), strict=True)):
        expected = naive(grades, order)
        for metric in RANKING_METRICS:
            assert found[metric][query] == pytest.approx(expected[metric], nan_ok=True)
            np.testing.assert_array_equal(found[metric], again[metric])


def test_a_perfect_ranking_has_the_best_values() -> None:
    """Ranked by relevance, mAP and nDCG are 1; the worst order of these has less."""
    relevance = np.array([[0.0, 1.0, 0.5, 0.25, 0.0, 0.0]])
    best = score_rankings(relevance, np.argsort(-relevance, axis=1, kind="stable"))
    assert (best["trec_map"][0], best["ndcg10"][0]) == (1, 1)
    worst = score_rankings(relevance, np.argsort(relevance, axis=1, kind="stable"))
    assert worst["trec_map"][0] < 1
    assert worst["ndcg10"][0] < 1


def test_tiny_relevance_counts() -> None:
    """The smallest share of a long name's words is relevant, too."""
    relevance = np.array([[0.0, 1 / 300, 0.0]])
    found = score_rankings(relevance, np.array([[1, 2]]))
    assert (found["trec_map"][0], found["ndcg10"][0], found["p10"][0]) == (1, 1, 0.1)


def test_nothing_relevant_or_ranked_has_no_value() -> None:
    """Without anything relevant there is no value; nor without a ranking."""
    some, none = np.array([[1, 2], [0, 2]]), np.zeros((2, 0), np.int64)
    for relevance, ranked in ((np.zeros((2, 3)), some), (np.ones((2, 3)), none)):
        found = score_rankings(relevance, ranked)
        assert all(np.isnan(values).all() for values in found.values())


def test_what_makes_no_sense_is_refused() -> None:
    """Other queries on both sides, or a relevance out of range."""
    with pytest.raises(UsageError, match="do not match"):
        score_rankings(np.zeros((2, 3)), np.zeros((3, 2), np.int64))
    with pytest.raises(UsageError, match=r"not in \[0, 1\]"):
        score_rankings(np.array([[2.0]]), np.array([[0]]))
    with pytest.raises(UsageError, match=r"not in \[0, 1\]"):
        score_rankings(np.array([[math.nan]]), np.array([[0]]))


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ranx, one line says what to install."""
    monkeypatch.setitem(sys.modules, "ranx", None)
    with pytest.raises(MissingExtraError, match=r"ranx.*'boost-edge\[bench\]'"):
        score_rankings(np.ones((1, 2)), np.array([[1]]))
