"""Choose the columns of a label file that are attributes, and count their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from boost_edge.export.label_files import Table
from boost_edge.export.label_images import check_column
from boost_edge.runtime.errors import LabelTableError

__all__ = [
    "MAX_VALUES",
    "SPLIT_COLUMN",
    "choose_attributes",
    "count_values",
    "is_probability",
    "is_unknown",
]

MAX_VALUES = 1000
SPLIT_COLUMN = "split"
_UNKNOWN_CELLS = frozenset({"", "na", "n/a", "nan", "null"})
# A column in which more of the rows than this stand alone with their value describes single
# images, not kinds of them. In samples of 20 to 40,000 rows of the Kaggle fashion set the
# attributes have at most 0.45, the product names at least 0.60.
_MOST_ALONE = 0.5


def is_unknown(cell: str) -> bool:
    """Tell whether a cell says nothing: blank, NA, N/A, NaN or null, in any case."""
    return cell.casefold() in _UNKNOWN_CELLS


def is_probability(table: Table, name: str) -> bool:
    """Tell whether a column is ``p(NAME)`` beside a column NAME: how sure it is, and no label.

    So ``boost-edge label`` writes them.
    """
    return name.startswith("p(") and name.endswith(")") and name[2:-1] in table.columns


def choose_attributes(
    table: Table,
    column: str,
    rows: Sequence[int],
    requested: Sequence[str] | None,
    max_values: int,
) -> tuple[str, ...]:
    """Return the attributes' columns: the requested ones, else all that look categorical.

    `boost_edge.export.labels.read_labels` says what that means. ``column`` names the images;
    ``rows`` are the ones that count.

    Raises
    ------
    LabelTableError
        When a requested column is absent or cannot be learnt from, or none is left to choose.
    """
    if requested is None:
        chosen = tuple(
            name
            for name in table.columns
            if name not in (column, SPLIT_COLUMN)
            and not is_probability(table, name)
            and _looks_categorical(count_values(table, name, rows), max_values)
        )
        if not chosen:
            raise LabelTableError(
                f"{table.path}: no column looks like an attribute: choose with --attributes "
                f"(columns: {', '.join(table.columns)})"
            )
        return chosen
    if not requested:
        raise LabelTableError(f"{table.path}: --attributes names no column: name at least one")
    for position, name in enumerate(requested):
        check_column(table, name, "--attributes")
        if name in (column, SPLIT_COLUMN) or name in requested[:position]:
            reason = "twice" if name in requested[:position] else "though it is no label"
            raise LabelTableError(f"{table.path}: --attributes names {name} {reason}: leave it out")
        _check_attribute(table, name, count_values(table, name, rows), max_values)
    return tuple(requested)


def count_values(table: Table, name: str, rows: Sequence[int]) -> Counter[str]:
    """Count the known values of a column over some rows."""
    index = table.columns.index(name)
    cells = Counter(table.rows[row][index] for row in rows)
    return Counter({cell: count for cell, count in cells.items() if not is_unknown(cell)})


def _looks_categorical(counts: Counter[str], max_values: int) -> bool:
    alone = sum(count for count in counts.values() if count == 1)
    return (
        2 <= len(counts) <= max_values
        and alone <= _MOST_ALONE * counts.total()
        and not all(_is_number(value) for value in counts)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_attribute(table: Table, name: str, counts: Counter[str], max_values: int) -> None:
    if not counts:
        raise LabelTableError(
            f"{table.path}: attribute {name} is unknown (blank or NA) in every row whose image "
            "exists: fill it in, or leave it out of --attributes"
        )
    if len(counts) == 1:
        raise LabelTableError(
            f"{table.path}: attribute {name} has one value only ({next(iter(counts))!r}), so there "
            "is nothing to learn: leave it out of --attributes"
        )
    if len(counts) > max_values:
        raise LabelTableError(
            f"{table.path}: attribute {name} has {len(counts)} values, more than {max_values}, "
            "as names and ids have: leave it out of --attributes"
        )
