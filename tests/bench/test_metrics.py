"""Rankings and their metrics, each beside a slow and plain one."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from boost_edge.bench.metrics import (
    agreement_at_k,
    average_precision_at_k,
    chance_agreement,
    chance_map_at_k,
    map_at_k,
    nearest_others,
    rank_others,
)
from boost_edge.runtime.errors import UsageError

ITEMS = st.integers(0, 14)
# Few distinct values, so that most rows have ties.
TIED = st.integers(0, 18).flatmap(
    lambda n: hnp.arrays(np.float32, (n, n), elements=st.sampled_from([0, 0, 0.25, 0.5, 1]))
)
TIED_VECTORS = st.tuples(st.integers(1, 18), st.integers(1, 3)).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.sampled_from([-1, 0, 0, 1, 2]))
)
LISTS = st.integers(1, 5).flatmap(
    lambda queries: st.tuples(
        hnp.arrays(np.int64, st.tuples(st.just(queries), st.integers(0, 12)), elements=ITEMS),
        hnp.arrays(np.int64, st.tuples(st.just(queries), st.integers(0, 12)), elements=ITEMS),
    )
)


RANX = """
import json, sys
from ranx import Qrels, Run, evaluate

def judged(name):
    return Qrels({f"q{q}": {f"d{i}": 1 for i in row} for q, row in enumerate(lists[name])})

lists = json.load(sys.stdin)
run = Run(
    {
        f"q{q}": {f"d{i}": 1 / rank for rank, i in enumerate(row, start=1)}
        for q, row in enumerate(lists["predicted"])
    }
)
print(float(evaluate(judged("actual"), run, "map@10")))
"""


def naive_ranking(scores: Sequence[float], own: int, k: int) -> list[int]:
    """Rank one row with Python's stable sort."""
    others = [column for column in range(len(scores)) if column != own]
    return sorted(others, key=lambda column: -scores[column])[:k]


def naive_average_precision(actual: Sequence[int], predicted: Sequence[int], k: int) -> float:
    """Compute it as the definition reads: the mean precision at the hits, over the list's length.

    Independent of the paper's code, which is not copied here; the same on its published cases.
    """
    if not actual:
        return 0.0
    found: set[int] = set()
    total = 0.0
    for rank, item in enumerate(predicted[:k], start=1):
        if item in actual and item not in found:
            found.add(item)
            total += len(found) / rank
    return total / min(len(actual), k)


@settings(max_examples=60, deadline=None)
@given(TIED, st.integers(1, 12))
def test_actual_lists_match_naive(scores: NDArray[np.float32], k: int) -> None:
    """The most relevant others come first, ties in the order of position, zeros included."""
    found = rank_others(scores, k)
    expected = [naive_ranking(row, own, k) for own, row in enumerate(scores.tolist())]
    assert found.shape == (len(scores), min(k, max(0, len(scores) - 1)))
    assert found.tolist() == expected


def test_lists_are_filled_with_zeros_in_order() -> None:
    """Where fewer than k are relevant, the first others with relevance 0 follow."""
    relevance = np.zeros((14, 14))
    relevance[3, 9] = 0.5
    assert rank_others(relevance)[3].tolist() == [9, 0, 1, 2, 4, 5, 6, 7, 8, 10]


def test_extreme_scores_are_ranked() -> None:
    """A row is never among its own others, even where others score minus infinity; ints work."""
    scores = np.full((3, 3), -np.inf)
    assert rank_others(scores).tolist() == [[1, 2], [0, 2], [0, 1]]
    counts: Any = np.array([[9, 0, 2], [1, 9, 1], [3, 4, 9]], np.uint8)
    assert rank_others(counts).tolist() == [[2, 1], [0, 2], [1, 0]]
    scores = np.array([[np.nan, 1.0], [1.0, np.nan]])
    assert rank_others(scores).tolist() == [[1], [0]]


@settings(max_examples=60, deadline=None)
@given(TIED_VECTORS, st.integers(1, 12))
def test_nearest_match_naive_scores(vectors: NDArray[np.float32], k: int) -> None:
    """The predictions have the k highest cosines, each other once, the row itself never."""
    found = nearest_others(vectors, k)
    for own, row in enumerate(found.tolist()):
        cosines = [cosine(vectors[own].tolist(), other) for other in vectors.tolist()]
        best = sorted((cosines[i] for i in range(len(vectors)) if i != own), reverse=True)
        assert [cosines[i] for i in row] == pytest.approx(best[:k], abs=1e-6)
        assert own not in row
        assert len(set(row)) == len(row) == min(k, len(vectors) - 1)


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine, 0 for a vector of zeros."""
    length = math.hypot(*first) * math.hypot(*second)
    return sum(a * b for a, b in zip(first, second, strict=True)) / length if length else 0.0


def test_nearest_match_naive_order() -> None:
    """Without ties, the order is exactly that of the cosines; more rows than fit in one block."""
    vectors = np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)
    units = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    expected = [naive_ranking(row, own, 10) for own, row in enumerate((units @ units.T).tolist())]
    assert nearest_others(vectors).tolist() == expected


def test_length_does_not_matter() -> None:
    """Cosine ignores length, from the smallest to the largest that float32 can hold."""
    vectors = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    scales = np.float32(10) ** np.linspace(-30, 30, 40, dtype=np.float32)[:, None]
    assert np.array_equal(nearest_others(vectors * scales), nearest_others(vectors))


@pytest.mark.parametrize("count", [60, 301])
def test_ties_are_not_rewarded(count: int) -> None:
    """A constant embedding predicts every image equally often, so it scores like chance."""
    constant = nearest_others(np.ones((count, 4), np.float32))
    assert np.bincount(constant.ravel()).tolist() == [10] * count
    actual = rank_others(np.zeros((count, count)))
    assert map_at_k(actual, actual) == 1, "all lists are filled with the first positions"
    assert map_at_k(actual, constant) == pytest.approx(chance_map_at_k(count), rel=0.5)


@settings(max_examples=100, deadline=None)
@given(LISTS, st.integers(1, 12))
def test_average_precision_matches_naive(
    lists: tuple[NDArray[np.int64], NDArray[np.int64]], k: int
) -> None:
    """Any lists, also with repeated items and of any lengths, score as the definition says."""
    actual, predicted = lists
    expected = [
        naive_average_precision(mine, theirs, k)
        for mine, theirs in zip(actual.tolist(), predicted.tolist(), strict=True)
    ]
    assert average_precision_at_k(actual, predicted, k) == pytest.approx(expected)
    assert map_at_k(actual, predicted, k) == pytest.approx(statistics.mean(expected))


@given(st.permutations(range(10)), st.permutations(range(10)))
def test_order_of_actual_does_not_matter(first: list[int], second: list[int]) -> None:
    """A perfect prediction scores 1 whatever the order of either list."""
    assert map_at_k(np.array([first]), np.array([second])) == pytest.approx(1)


def test_average_precision_by_hand() -> None:
    """Hits at the first and the third place of ten: (1/1 + 2/3) / 10."""
    actual = np.arange(10)[None]
    predicted = np.array([[4, 50, 7, 51, 52, 53, 54, 55, 56, 57]])
    assert map_at_k(actual, predicted) == pytest.approx((1 + 2 / 3) / 10)


@pytest.mark.parametrize(("count", "k"), [(2, 10), (4, 2), (5, 3), (6, 2), (6, 10)])
def test_chance_is_the_mean_over_all_rankings(count: int, k: int) -> None:
    """The expected value is that over every possible ranking of the others."""
    actual = list(range(1, min(k, count - 1) + 1))
    every = [
        naive_average_precision(actual, ranking, k)
        for ranking in itertools.permutations(range(1, count))
    ]
    assert chance_map_at_k(count, k) == pytest.approx(statistics.mean(every))


def test_chance_on_the_paper_protocol() -> None:
    """With 1,000 test images, guessing reaches an mAP@10 of 0.3 percent."""
    assert chance_map_at_k(1000) == pytest.approx(0.003, abs=1e-5)


@given(
    hnp.arrays(np.int64, st.integers(2, 12), elements=st.integers(-1, 2)),
    st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_agreement_matches_naive(codes: NDArray[np.int64], k: int) -> None:
    """It is the share of known hits with the query's value; NaN where there is none to judge."""
    hits = rank_others(np.random.default_rng(0).random((len(codes), len(codes))), 6)
    found = agreement_at_k(codes, codes[hits], k)
    for query, items in enumerate(hits.tolist()):
        known = [codes[item] for item in items[:k] if codes[item] >= 0]
        if codes[query] < 0 or not known:
            assert math.isnan(found[query])
        else:
            share = sum(code == codes[query] for code in known) / len(known)
            assert found[query] == pytest.approx(share)


@given(
    hnp.arrays(np.int64, st.integers(0, 6), elements=st.integers(-1, 1)),
    hnp.arrays(np.int64, st.integers(0, 3), elements=st.integers(-1, 2)),
)
@settings(max_examples=60, deadline=None)
def test_chance_agreement_is_the_share_among_all_others(
    codes: NDArray[np.int64], strangers: NDArray[np.int64]
) -> None:
    """Guessing agrees as often as all other images of the gallery do; a query may be outside."""
    queries = np.concatenate([codes, strangers])
    inside = np.arange(len(queries)) < len(codes)
    found = chance_agreement(queries, codes, inside)
    assert found.shape == queries.shape
    for query, code in enumerate(queries.tolist()):
        others = [each for place, each in enumerate(codes.tolist()) if place != query]
        known = [each for each in others if each >= 0]
        if code < 0 or not known:
            assert math.isnan(found[query])
        else:
            assert found[query] == pytest.approx(known.count(code) / len(known))


def test_same_as_ranx_where_definitions_coincide() -> None:
    """MAP@10 in ranx is over all that is relevant: the same where that is the ten actual ones."""
    if importlib.util.find_spec("ranx") is None:
        pytest.skip("ranx is not installed")
    rng = np.random.default_rng(0)
    relevance = (rng.random((30, 30)) < 0.4) * rng.random((30, 30))
    np.fill_diagonal(relevance, 0)
    actual, predicted = rank_others(relevance), rank_others(relevance + rng.random((30, 30)) / 2)
    lists = {
        "actual": actual.tolist(),
        "predicted": predicted.tolist(),
    }
    # Compiling ranx takes a minute; a process of its own can do without.
    done = subprocess.run(
        [sys.executable, "-c", RANX],
        input=json.dumps(lists),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    theirs = float(done.stdout.splitlines()[-1])
    ours = average_precision_at_k(actual, predicted)
    assert ours.mean() == pytest.approx(theirs)
    assert 0.2 < ours.mean() < 0.95


def test_wrong_shapes_are_refused() -> None:
    """What cannot be ranked or judged is refused in one line."""
    square, lists = np.zeros((3, 3)), np.zeros((3, 2), np.int64)
    for call in (
        lambda: rank_others(np.zeros((2, 3))),
        lambda: rank_others(square, 0),
        lambda: rank_others(np.array([[0, np.nan], [0, 0]])),
        lambda: nearest_others(np.zeros(3)),
        lambda: nearest_others(np.array([[np.inf]])),
        lambda: nearest_others(square, 0),
        lambda: average_precision_at_k(lists, lists[:2]),
        lambda: average_precision_at_k(lists, lists, 0),
        lambda: map_at_k(lists[:0], lists[:0]),
        lambda: agreement_at_k(np.zeros(2, np.int64), lists),
        lambda: chance_map_at_k(1),
        lambda: chance_map_at_k(5, 0),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_nothing_to_rank() -> None:
    """No image, or one alone, has no others."""
    assert rank_others(np.zeros((0, 0))).shape == (0, 0)
    assert nearest_others(np.zeros((0, 4))).shape == (0, 0)
    assert nearest_others(np.ones((1, 4))).shape == (1, 0)
