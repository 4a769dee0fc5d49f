"""The tests of honesty, on drawings: each is what it says, and what hurts is listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from boost_edge.bench.honesty import HonestyPlan, measure_honesty
from boost_edge.bench.relevance import unseen_groups
from boost_edge.bench.subject import Setup, Subject
from boost_edge.runtime.errors import UsageError

CODES = hnp.arrays(np.int64, st.tuples(st.integers(2, 40), st.just(2)), elements=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(CODES, st.integers(1, 30), st.integers(0, 9), st.randoms(use_true_random=False))
def test_no_group_stands_on_both_sides(
    codes: NDArray[np.int64], test: int, seed: int, random: Any
) -> None:
    """Every row is on one side, groups are whole, and the order of rows changes no side."""
    rows = np.arange(len(codes))
    groups = {tuple(row) for row in codes.tolist()}
    if len(groups) < 2:
        with pytest.raises(UsageError, match="two groups at least"):
            unseen_groups(codes, rows, test=test, seed=seed)
        return
    fitted, held = unseen_groups(codes, rows, test=test, seed=seed)
    assert sorted([*fitted.tolist(), *held.tolist()]) == rows.tolist()
    sides = [{tuple(row) for row in codes[side].tolist()} for side in (fitted, held)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == groups
    assert len(held) >= test or len(sides[0]) == 1
    shuffled = rows.copy()
    random.shuffle(shuffled)
    _, again = unseen_groups(codes, shuffled, test=test, seed=seed)
    assert set(again.tolist()) == set(held.tolist())


def test_a_row_without_a_group_is_refused() -> None:
    """An unknown label belongs to no side."""
    with pytest.raises(UsageError, match="every row needs a group"):
        unseen_groups(np.array([[0], [1], [-1]]), np.arange(3), test=1, seed=0)


@pytest.fixture(scope="module")
def result(setup: Setup, on_catalogue: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a small plan."""
    plan = HonestyPlan(
        setup=setup, recipe="boost", readouts=("raw", "attributes"), edits=("flip", "jpeg")
    )
    return measure_honesty(plan=plan, **on_catalogue)


def test_every_test_has_a_row_of_each_readout(result: dict[str, Any]) -> None:
    """Raw has no gain, the others have one over raw in the same test; all fits JSON."""
    tests = [
        "seen", "names_only", "copies:flip", "copies:jpeg", "unseen_groups", "without:type",
        "without:background",
    ]  # fmt: skip
    assert [(row["test"], row["readout"]) for row in result["rows"]] == [
        (test, readout) for test in tests for readout in ("raw", "attributes")
    ]
    for raw, row in zip(result["rows"][::2], result["rows"][1::2], strict=True):
        metric = row["metric"]
        assert metric == ("mrr" if row["test"].startswith("copies:") else "map10")
        assert "gain" not in raw
        assert row["gain"]["mean"] == pytest.approx(row[metric]["mean"] - raw[metric]["mean"])
    json.dumps(result, allow_nan=False)


def test_what_hurts_is_listed(result: dict[str, Any]) -> None:
    """The list holds the rows whose interval and both seeds lie below 0, and no others."""
    below = [
        (row["test"], row["readout"])
        for row in result["rows"]
        if "gain" in row and row["gain"]["high"] < 0 and max(row["gain"]["by_seed"]) < 0
    ]
    assert [(row["test"], row["readout"]) for row in result["hurts"]] == below


def test_raw_does_not_depend_on_the_labels_trained_on(result: dict[str, Any]) -> None:
    """Leaving an attribute out of the training leaves raw as it was."""
    raw = {row["test"]: row["map10"] for row in result["rows"][::2] if row["metric"] == "map10"}
    assert raw["without:type"] == raw["without:background"] == raw["seen"]
    assert raw["names_only"] != raw["seen"]


def test_names_alone_reach_over_the_groups(
    setup: Setup, subject: Callable[[Setup], Subject]
) -> None:
    """By words alone, an image of another group can be relevant; by all, it cannot."""
    from boost_edge.bench.relevance import relevance_matrix

    found = subject(setup)
    rows = found.draw(0).test
    codes = found.table.codes[rows]
    words = relevance_matrix(np.zeros((len(rows), 1), np.int64), found.names_of(rows))
    other = (codes[:, None] != codes[None]).any(axis=2)
    assert (words[other] > 0).any()
    assert not (found.relevance(rows)[other] > 0).any()
