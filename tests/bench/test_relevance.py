"""The paper's protocol: groups, the sample, and who is relevant to whom."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.bench.relevance import (
    PAPER,
    Protocol,
    group_rows,
    name_words,
    relevance,
    relevance_matrix,
    sample_rows,
)
from boost_edge.runtime.errors import UsageError

ATTRIBUTES = (
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "usage",
)
SMALL = Protocol(groups=3, per_group=4, min_size=5, test=5)

WORDS = st.sampled_from(["a", "A", "b", "red", "&", "", "shirt", "bag"])
NAMES = st.lists(WORDS, max_size=5).map(" ".join)
ROWS = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1), NAMES), min_size=1, max_size=14)


def table() -> tuple[NDArray[np.int64], list[str]]:
    """Return codes of six groups of ten rows each, and the keys of the rows."""
    rows = np.arange(60)
    return np.stack([rows % 3, rows // 3 % 2], axis=1), [f"{row:03d}.jpg" for row in rows]


def naive_groups(codes: NDArray[np.int64], min_size: int) -> list[list[int]]:
    """Group rows with a dictionary."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, values in enumerate(codes.tolist()):
        if min(values) >= 0:
            groups.setdefault(tuple(values), []).append(row)
    return [groups[key] for key in sorted(groups) if len(groups[key]) >= min_size]


@given(ROWS, st.integers(1, 4))
def test_groups_match_naive(rows: list[tuple[int, int, str]], min_size: int) -> None:
    """Groups are the rows whose codes are known and equal, in the order of the codes."""
    codes = np.array([row[:2] for row in rows])
    found = [group.tolist() for group in group_rows(codes, min_size=min_size)]
    assert found == naive_groups(codes, min_size)


@given(ROWS)
def test_matrix_matches_definition(rows: list[tuple[int, int, str]]) -> None:
    """The fast matrix is the pairwise definition, except for a diagonal of 0."""
    codes = np.array([row[:2] for row in rows])
    names = [row[2] for row in rows]
    expected = np.array(
        [
            [
                0.0 if i == j else relevance(codes[i].tolist(), codes[j].tolist(), mine, other)
                for j, other in enumerate(names)
            ]
            for i, mine in enumerate(names)
        ]
    )
    found = relevance_matrix(codes, names)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected.astype(np.float32))


def test_definition_by_hand() -> None:
    """It is the share of the query's words that the other's name has, within a group only."""
    assert relevance([1, 2], [1, 2], "Red Cotton Shirt", "red shirt") == pytest.approx(2 / 3)
    assert relevance([1, 2], [1, 2], "red shirt", "Red Cotton Shirt") == 1
    assert relevance([1, 2], [1, 3], "red shirt", "red shirt") == 0
    assert relevance([1, -1], [1, -1], "red shirt", "red shirt") == 0
    assert relevance([1], [1], "very very red", "very") == pytest.approx(2 / 3)
    assert relevance([1], [1], "red  shirt", "red shirt") == pytest.approx(2 / 3)


def test_words_by_hand() -> None:
    """Names are cut as the paper's code cuts them."""
    assert name_words("Salt & Pepper Men Shirt ") == ["salt-pepper", "men", "shirt"]
    assert name_words("Two  Spaces") == ["two", "", "spaces"]
    assert name_words("A&B & c") == ["a&b-c"]
    assert name_words("") == [""]


def test_golden_sample() -> None:
    """One seed gives these very images, on any machine and with any library version."""
    codes, keys = table()
    sample = sample_rows(codes, keys, seed=7, protocol=SMALL)
    assert sample.train.tolist() == [42, 12, 9, 48, 51, 49, 15]
    assert sample.test.tolist() == [1, 37, 7, 33, 30]


def test_sample_follows_protocol() -> None:
    """The parts are disjoint, of the sizes asked for, and whole groups' shares make them up."""
    codes, keys = table()
    for seed in range(10):
        sample = sample_rows(codes, keys, seed=seed, protocol=SMALL)
        rows = np.concatenate([sample.train, sample.test])
        assert len(sample.test) == 5
        assert len(set(rows.tolist())) == len(rows) == 12
        _, counts = np.unique(codes[rows], axis=0, return_counts=True)
        assert counts.tolist() == [4, 4, 4]


def test_seeds_reach_all() -> None:
    """Over the seeds every group and every row is drawn, for training and for testing."""
    codes, keys = table()
    samples = [sample_rows(codes, keys, seed=seed, protocol=SMALL) for seed in range(60)]
    candidates = set(np.concatenate(group_rows(codes, min_size=5)).tolist())
    assert set(np.concatenate([sample.train for sample in samples]).tolist()) == candidates
    assert set(np.concatenate([sample.test for sample in samples]).tolist()) == candidates


@given(st.permutations(range(60)), st.integers(0, 5))
def test_row_order_does_not_matter(order: list[int], seed: int) -> None:
    """A table with its rows shuffled gives the same images in the same order."""
    codes, keys = table()
    straight = sample_rows(codes, keys, seed=seed, protocol=SMALL)
    moved_keys = [keys[row] for row in order]
    moved = sample_rows(codes[order], moved_keys, seed=seed, protocol=SMALL)
    assert [keys[row] for row in straight.train] == [moved_keys[row] for row in moved.train]
    assert [keys[row] for row in straight.test] == [moved_keys[row] for row in moved.test]


def test_unknown_values_are_never_drawn() -> None:
    """A row with an unknown value is in no group."""
    codes, keys = table()
    codes[::7, 1] = -1
    protocol = Protocol(groups=3, per_group=4, min_size=4, test=5)
    for seed in range(5):
        sample = sample_rows(codes, keys, seed=seed, protocol=protocol)
        assert (codes[np.concatenate([sample.train, sample.test])] >= 0).all()


def test_odd_keys_are_taken() -> None:
    """A key may hold any characters, even a lone surrogate from a damaged file name."""
    codes, keys = table()
    keys[0] = "\udcff.jpg"
    assert len(sample_rows(codes, keys, seed=0, protocol=SMALL).test) == 5


def test_too_little_data_is_explained() -> None:
    """Too few groups, unusable keys or an impossible protocol are refused in one line."""
    codes, keys = table()
    with pytest.raises(UsageError, match="only 6 groups have 5 images"):
        sample_rows(codes, keys, seed=0, protocol=replace(SMALL, groups=9))
    with pytest.raises(UsageError, match="distinct keys"):
        sample_rows(codes, ["same"] * len(codes), seed=0, protocol=SMALL)
    with pytest.raises(UsageError, match="distinct keys"):
        sample_rows(codes, keys[:-1], seed=0, protocol=SMALL)
    for protocol in (
        Protocol(groups=0),
        Protocol(per_group=50),
        Protocol(groups=2, per_group=2, min_size=2, test=4),
        Protocol(test=0),
    ):
        with pytest.raises(UsageError):
            sample_rows(codes, keys, seed=0, protocol=protocol)
    with pytest.raises(UsageError, match="attributes"):
        group_rows(np.zeros(4, np.int64))
    with pytest.raises(UsageError, match="names"):
        relevance_matrix(codes, ["one"])


def test_no_group_at_all() -> None:
    """A table without a known row has no groups, and nothing is relevant to anything."""
    codes = np.full((3, 2), -1)
    assert group_rows(codes) == []
    assert not relevance_matrix(codes, ["a", "a", "a"]).any()


@pytest.mark.shared
def test_paper_sample_of_paper_data(shared: Path) -> None:
    """The paper's data set has 164 groups, and the protocol splits 4,000 images 3,000 to 1,000."""
    styles = shared / "datasets" / "fashion-product-images-small" / "styles.csv"
    with styles.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns: list[list[int]] = []
    for attribute in ATTRIBUTES:
        values = sorted({row[attribute] for row in rows} - {"", "NA"})
        numbers = {value: number for number, value in enumerate(values)}
        columns.append([numbers.get(row[attribute], -1) for row in rows])
    codes = np.array(columns).T
    assert len(group_rows(codes, min_size=PAPER.min_size)) == 164
    sample = sample_rows(codes, [row["id"] for row in rows], seed=0)
    assert (len(sample.train), len(sample.test)) == (3000, 1000)
    names = [rows[int(row)]["productDisplayName"] for row in sample.test]
    matrix = relevance_matrix(codes[sample.test], names)
    assert 8 < (matrix > 0).sum(axis=1).mean() < 11
    for row, column in ((0, 1), (17, 400), *np.argwhere(matrix > 0)[::997].tolist()):
        assert matrix[row, column] == np.float32(
            relevance(
                codes[sample.test[row]].tolist(),
                codes[sample.test[column]].tolist(),
                names[row],
                names[column],
            )
        )
