"""Divide the labelled rows into the parts for training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.labels import LabelTable
from boost_edge.runtime.errors import LabelTableError, UsageError

__all__ = ["Split", "split_rows"]

_MOST_HELD_OUT = 1000
_FEWEST_ROWS = 10
_FEWEST_FITTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows of a label table by part, each ``(n,) int64`` and in the order of the hashes.

    No row stands in two parts. ``train`` and ``val`` are never empty; ``test`` is where the
    table's own split has no such part.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def fitted(self) -> NDArray[np.int64]:
        """Return the rows of both parts that are fitted: the training part and then ``val``."""
        return np.concatenate([self.train, self.val])


def split_rows(table: LabelTable, *, seed: int, limit: int | None = None) -> Split:
    """Divide the rows of a table, as its split column says or else by hashes of their names.

    Rows are ordered by sha256 of ``"<seed>:<name>"``, so neither the order of the table nor the
    machine matters. Without a split column the first 10% (at most 1,000) are the test part. Of
    the others the first ``limit`` are fitted: 10% of them (at least 1, at most 1,000) are the
    validation part, the rest is trained on. With a split column the first ``limit`` rows of its
    train and val parts are fitted; where none of them is val, train gives up a validation part
    in the same way.

    Parameters
    ----------
    seed
        Any integer; another one gives another split.
    limit
        Most rows to fit, at least 2; ``None`` for all.

    Raises
    ------
    LabelTableError
        When there are fewer than 10 rows to split, or fewer than 2 to fit.
    UsageError
        When ``limit`` is less than 2.
    """
    if limit is not None and limit < _FEWEST_FITTED:
        raise UsageError(
            f"--limit {limit} leaves nothing to train on: it must be at least {_FEWEST_FITTED}"
        )
    order = _hash_order(table.names, seed)
    if table.split is None:
        test, fitted = _hold_out_test(table, order, limit)
        train, val = _hold_out_val(fitted)
    else:
        parts = table.split
        test = [row for row in order if parts[row] == "test"]
        fitted = [row for row in order if parts[row] != "test"][:limit]
        train = [row for row in fitted if parts[row] == "train"]
        val = [row for row in fitted if parts[row] == "val"]
        if not val:
            train, val = _hold_out_val(train)
        if not train:
            if limit is not None:
                raise LabelTableError(
                    f"{table.path}: the split column marks none of the {limit} rows that --limit "
                    "leaves as train: give a larger --limit, or mark more as train"
                )
            raise LabelTableError(
                f"{table.path}: the split column leaves no row to train on: mark more as train"
            )
    return Split(train=_indices(train), val=_indices(val), test=_indices(test))


def _hold_out_test(
    table: LabelTable, order: Sequence[int], limit: int | None
) -> tuple[Sequence[int], Sequence[int]]:
    if len(order) < _FEWEST_ROWS:
        raise LabelTableError(
            f"{table.path}: {len(order)} images are too few to split: label at least "
            f"{_FEWEST_ROWS}, or say which is which in a split column"
        )
    count = min(len(order) // 10, _MOST_HELD_OUT)
    return order[:count], order[count:][:limit]


def _hold_out_val(fitted: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    count = max(1, min(len(fitted) // 10, _MOST_HELD_OUT))
    return fitted[count:], fitted[:count]


def _hash_order(names: Sequence[str], seed: int) -> list[int]:
    def key(row: int) -> str:
        return hashlib.sha256(f"{seed}:{names[row]}".encode()).hexdigest()

    return sorted(range(len(names)), key=key)


def _indices(rows: Sequence[int]) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)
