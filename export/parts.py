"""The labelled, readable rows of each part of a split, coded for training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.fit import Rows
from boost_edge.export.labels import LabelTable
from boost_edge.export.splits import Split
from boost_edge.export.temperature import UNKNOWN
from boost_edge.runtime.errors import LabelTableError
from boost_edge.runtime.manifest import Attribute

__all__ = ["NEVER_SEEN", "Encoded", "Part", "images_digest", "make_parts"]

# A value that the training part never shows: no prediction of it can be right.
NEVER_SEEN = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One image that could be read: the sha256 of its bytes, and its features ``(F,) float32``."""

    digest: str
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rows of one part: names as in the table, files, content hashes, features and codes."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    rows: Rows

    def __len__(self) -> int:
        return len(self.names)


def make_parts(
    table: LabelTable, split: Split, encoded: Mapping[int, Encoded]
) -> tuple[tuple[Attribute, ...], dict[str, Part]]:
    """Return the attribute schema that the training part supports, and the three parts.

    Rows whose image could not be read (not in ``encoded``, which is by row of the table) are left
    out, and so are test rows whose image also stands, byte for byte, in the training or
    validation part. A value that the training part never shows is no output of the head: its
    code is `NEVER_SEEN` in the test part and unknown in the validation part.

    Raises
    ------
    LabelTableError
        When nothing is left to train on, or an attribute has one value only in that part.
    """
    train = [row for row in split.train.tolist() if row in encoded]
    val = [row for row in split.val.tolist() if row in encoded]
    known = {encoded[row].digest for row in train + val}
    test = [
        row for row in split.test.tolist() if row in encoded and encoded[row].digest not in known
    ]
    if not train:
        raise LabelTableError(f"{table.path}: no image of the training part could be read")
    schema, recode = _schema(table, np.array(train))
    codes = np.stack(
        [recode[column][table.codes[:, column]] for column in range(len(schema))], axis=1
    )
    masked = np.where(codes == NEVER_SEEN, UNKNOWN, codes)
    return schema, {
        "train": _part(table, train, encoded, codes),
        "val": _part(table, val, encoded, masked),
        "test": _part(table, test, encoded, codes),
    }


def images_digest(parts: Mapping[str, Part]) -> str:
    """Return the sha256 of the sorted content hashes of all images."""
    digests = sorted(digest for part in parts.values() for digest in part.digests)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _schema(
    table: LabelTable, train: NDArray[np.int64]
) -> tuple[tuple[Attribute, ...], list[NDArray[np.int64]]]:
    """Keep the values that the training rows show, with a look-up from old to new codes.

    The last entry of a look-up is for the code -1, which Python reads as "the last".
    """
    schema: list[Attribute] = []
    recode: list[NDArray[np.int64]] = []
    for column, attribute in enumerate(table.attributes):
        codes = table.codes[train, column]
        seen = np.unique(codes[codes != UNKNOWN])
        if len(seen) < 2:
            raise LabelTableError(
                f"{table.path}: attribute {attribute.name} has {len(seen)} value(s) in the "
                f"{len(train)} training rows: leave it out with --attributes, or use more rows"
            )
        look_up = np.full(len(attribute.values) + 1, NEVER_SEEN, dtype=np.int64)
        look_up[seen] = np.arange(len(seen))
        look_up[UNKNOWN] = UNKNOWN
        recode.append(look_up)
        kept: list[int] = seen.tolist()
        schema.append(
            Attribute(name=attribute.name, values=tuple(attribute.values[code] for code in kept))
        )
    return tuple(schema), recode


def _part(
    table: LabelTable,
    rows: Sequence[int],
    encoded: Mapping[int, Encoded],
    codes: NDArray[np.int64],
) -> Part:
    width = len(next(iter(encoded.values())).features)
    matrix = np.array([encoded[row].features for row in rows], dtype=np.float32)
    return Part(
        names=tuple(table.names[row] for row in rows),
        paths=tuple(table.paths[row] for row in rows),
        digests=tuple(encoded[row].digest for row in rows),
        rows=Rows(
            features=matrix.reshape(len(rows), width), codes=codes[np.array(rows, dtype=int)]
        ),
    )
