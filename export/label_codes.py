"""Read the cells of a label table as values of a model's attributes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.label_attributes import SPLIT_COLUMN, is_unknown
from boost_edge.export.label_files import Table
from boost_edge.export.label_images import Located, check_column
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import LabelTableError, UsageError
from boost_edge.runtime.manifest import Attribute

__all__ = ["Schema", "UnknownValue", "choose_known", "encode_labels"]

_MOST_NAMED = 10
# As difflib's default: below, two words are rarely meant to be the same.
_ALIKE = 0.6

# An attribute, and where its values begin among those of all attributes.
Schema: TypeAlias = tuple[tuple[int, Attribute], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownValue:
    """A value that the table has and the model has not, so that it cannot be judged.

    ``count`` rows have it, of which ``file_names`` are the first ten. ``nearest`` is the value of
    the model that is spelt most alike, if any is.
    """

    attribute: str
    value: str
    count: int
    nearest: str | None
    file_names: tuple[str, ...]


def choose_known(
    table: Table, image_column: str, encoder: Encoder, requested: Sequence[str] | None
) -> Schema:
    """Return the attributes to judge, in the order asked for, else in that of the model.

    ``requested`` are columns; ``None`` is all that are attributes of the model.

    Raises
    ------
    LabelTableError
        When a requested column is absent, or no column is an attribute of the model.
    UsageError
        When a requested column is no attribute of the model, or none is requested.
    """
    known: dict[str, tuple[int, Attribute]] = {}
    start = 0
    for attribute in encoder.manifest.attributes:
        known[attribute.name] = (start, attribute)
        start += len(attribute.values)
    if requested is None:
        columns = set(table.columns) - {image_column, SPLIT_COLUMN}
        chosen = tuple(each for name, each in known.items() if name in columns)
        if not chosen:
            raise LabelTableError(
                f"{table.path}: none of its columns ({', '.join(table.columns)}) is an attribute "
                f"of {encoder.path} ({', '.join(known)}): give the model of these labels"
            )
        return chosen
    if not requested:
        raise UsageError("--attributes names no column: name at least one")
    for position, name in enumerate(requested):
        check_column(table, name, "--attributes")
        if name not in known:
            raise UsageError(
                f"{encoder.path}: has no attribute {name} (--attributes): it has {', '.join(known)}"
            )
        if name in requested[:position]:
            raise UsageError(f"--attributes names {name} twice: leave it out")
    return tuple(known[name] for name in requested)


def encode_labels(
    table: Table, located: Located, schema: Schema
) -> tuple[NDArray[np.int64], tuple[UnknownValue, ...]]:
    """Return each label's place among the model's values, and the values that have none.

    Places are ``(rows, A) int64``: -1 where the cell is unknown, the model does not know the value,
    or the image is missing. Values are sorted, the most frequent first.
    """
    codes = np.full((len(table), len(schema)), -1, np.int64)
    unknown: list[UnknownValue] = []
    for column, (_, attribute) in enumerate(schema):
        code = {value: number for number, value in enumerate(attribute.values)}
        names_of: dict[str, list[str]] = {}
        for row, cell in enumerate(table.column(attribute.name)):
            if located.files[row] is None:
                continue
            if cell in code:
                codes[row, column] = code[cell]
            elif not is_unknown(cell):
                names_of.setdefault(cell, []).append(located.names[row])
        unknown += [
            UnknownValue(
                attribute=attribute.name,
                value=value,
                count=len(names),
                nearest=_nearest(value, attribute.values),
                file_names=tuple(names[:_MOST_NAMED]),
            )
            for value, names in names_of.items()
        ]
    return codes, tuple(sorted(unknown, key=lambda each: -each.count))


def _nearest(value: str, known: Iterable[str]) -> str | None:
    by_folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(value.casefold(), by_folded, n=1, cutoff=_ALIKE)
    return by_folded[near[0]] if near else None
