"""The split: disjoint, deterministic, independent of the order of the table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.labels import LabelTable
from boost_edge.export.splits import Split, split_rows
from boost_edge.runtime.errors import LabelTableError, UsageError
from boost_edge.runtime.manifest import Attribute

_NAMES = st.lists(st.text(min_size=1, max_size=5), min_size=10, max_size=60, unique=True)
_PARTS = st.lists(st.sampled_from(["train", "val", "test"]), min_size=60, max_size=60)
_LIMITS = st.none() | st.integers(2, 80)
_SEEDS = st.integers()

_GOLDEN = [
    [
        "11.jpg",
        "0.jpg",
        "13.jpg",
        "14.jpg",
        "1.jpg",
        "5.jpg",
        "9.jpg",
        "28.jpg",
        "20.jpg",
        "19.jpg",
        "7.jpg",
    ],
    ["4.jpg"],
    ["16.jpg", "8.jpg", "27.jpg"],
]


def _table(names: list[str], parts: list[str] | None = None) -> LabelTable:
    return LabelTable(
        path=Path("labels.csv"),
        sha256="",
        image_column="file_name",
        names=tuple(names),
        paths=tuple(Path(name) for name in names),
        attributes=(Attribute(name="a", values=("x", "y")),),
        codes=np.zeros((len(names), 1), dtype=np.int64),
        split=None if parts is None else tuple(parts),
        missing=(),
        duplicates=0,
        columns={},
    )


def _named(split: Split, names: list[str]) -> list[list[str]]:
    """Return train, val and test as lists of names."""
    return [[names[row] for row in part] for part in (split.train, split.val, split.test)]


def _naive(names: list[str], seed: int, limit: int | None) -> list[list[str]]:
    """Do what the documentation says, in the dullest way."""
    hashed = {hashlib.sha256(bytes(f"{seed}:{name}", "utf-8")).digest(): name for name in names}
    ordered = [hashed[key] for key in sorted(hashed)]
    test: list[str] = []
    while len(test) < min(1000, len(names) // 10):
        test.append(ordered.pop(0))
    fitted = ordered if limit is None else ordered[0:limit]
    val: list[str] = [fitted[0]]
    while len(val) < min(1000, len(fitted) // 10):
        val.append(fitted[len(val)])
    return [[name for name in fitted if name not in val], val, test]


@given(names=_NAMES, seed=_SEEDS, limit=_LIMITS)
def test_split_is_what_the_documentation_says(
    names: list[str], seed: int, limit: int | None
) -> None:
    """The parts and their order equal the naive ones."""
    split = split_rows(_table(names), seed=seed, limit=limit)
    assert _named(split, names) == _naive(names, seed, limit)
    assert {part.dtype for part in (split.train, split.val, split.test)} == {np.dtype(np.int64)}


@given(names=_NAMES, parts=st.none() | _PARTS, seed=_SEEDS, limit=_LIMITS)
def test_parts_are_disjoint_and_complete(
    names: list[str], parts: list[str] | None, seed: int, limit: int | None
) -> None:
    """No row stands in two parts; without a limit every row stands in one."""
    table = _table(names, None if parts is None else parts[: len(names)])
    try:
        split = split_rows(table, seed=seed, limit=limit)
    except LabelTableError:
        assert table.split is not None
        return
    rows = np.concatenate([split.train, split.val, split.test]).tolist()
    assert len(set(rows)) == len(rows)
    assert len(split.train) >= 1
    assert len(split.val) >= 1
    if limit is None:
        assert set(rows) == set(range(len(names)))
    else:
        assert len(split.train) + len(split.val) <= limit


@given(
    names=_NAMES,
    parts=st.none() | _PARTS,
    seed=_SEEDS,
    limit=_LIMITS,
    order=st.permutations(range(60)),
)
def test_row_order_does_not_matter(
    names: list[str], parts: list[str] | None, seed: int, limit: int | None, order: list[int]
) -> None:
    """A shuffled table gives the same names in the same order, or the same refusal."""
    order = [row for row in order if row < len(names)]
    shuffled = [names[row] for row in order]
    table = _table(names, None if parts is None else parts[: len(names)])
    other = _table(shuffled, None if parts is None else [parts[row] for row in order])
    try:
        expected = _named(split_rows(table, seed=seed, limit=limit), names)
    except LabelTableError:
        with pytest.raises(LabelTableError):
            split_rows(other, seed=seed, limit=limit)
        return
    assert _named(split_rows(other, seed=seed, limit=limit), shuffled) == expected


@given(names=_NAMES, parts=_PARTS, seed=_SEEDS)
def test_a_split_column_is_obeyed(names: list[str], parts: list[str], seed: int) -> None:
    """Test rows are the marked ones; so are val rows, where there are any."""
    parts = parts[: len(names)]
    try:
        split = split_rows(_table(names, parts), seed=seed, limit=None)
    except LabelTableError:
        assert parts.count("train") < 2
        return
    assert sorted(split.test) == [row for row, part in enumerate(parts) if part == "test"]
    if "val" in parts:
        assert sorted(split.val) == [row for row, part in enumerate(parts) if part == "val"]
    else:
        assert len(split.val) == max(1, parts.count("train") // 10)


def test_golden_split() -> None:
    """The split below comes out on every machine, for ever: runs refer to it."""
    names = [f"{number}.jpg" for number in range(30)]
    split = split_rows(_table(names), seed=7, limit=12)
    assert _named(split, names) == _GOLDEN == _naive(names, 7, 12)


def test_another_seed_gives_another_split() -> None:
    """The seed decides."""
    table = _table([f"{number}.jpg" for number in range(100)])
    first, second = (split_rows(table, seed=seed).test.tolist() for seed in (0, 1))
    assert first != second


def test_held_out_parts_are_at_most_a_thousand() -> None:
    """However many rows there are, 1,000 are enough to test and to validate on."""
    split = split_rows(_table([str(number) for number in range(25_000)]), seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (23_000, 1000, 1000)


def test_a_smaller_limit_keeps_the_test_part_and_takes_from_the_same_rows() -> None:
    """Fits on fewer images are tested on the same ones and see a subset."""
    table = _table([str(number) for number in range(200)])
    small, large = (split_rows(table, seed=0, limit=limit) for limit in (20, 100))
    assert small.test.tolist() == large.test.tolist()
    assert set(_fitted(small)) < set(_fitted(large))


def _fitted(split: Split) -> list[int]:
    rows: list[int] = np.concatenate([split.train, split.val]).tolist()
    return rows


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (None, "9 images are too few to split: label at least 10"),
        (["test"] * 9, "no row to train on"),
        (["val"] * 8 + ["test"], "no row to train on"),
        (["train"] + ["test"] * 8, "no row to train on"),
    ],
)
def test_too_few_rows_are_refused(parts: list[str] | None, expected: str) -> None:
    """Where there is nothing to train on, the message names the table and what to do."""
    with pytest.raises(LabelTableError, match=expected) as caught:
        split_rows(_table([str(number) for number in range(9)], parts), seed=0)
    assert str(caught.value).startswith("labels.csv: ")


@pytest.mark.parametrize("limit", [1, 0, -5])
def test_a_limit_without_rows_is_refused(limit: int) -> None:
    """A limit must leave a row to train on and one to validate on."""
    with pytest.raises(UsageError, match=f"--limit {limit} "):
        split_rows(_table([str(number) for number in range(20)]), seed=0, limit=limit)
