"""The SQL that reads an attribute of an image and compares it; values only ever are parameters."""

from __future__ import annotations

import json
import re
from typing import TypeAlias

__all__ = ["EITHER", "LABEL", "PREDICTED", "Sql", "Value", "as_number", "compare", "json_path"]

# The value of an attribute, or NULL where it is not known. Paths into the JSON are parameters.
LABEL = "json_extract(labels, ?)"
PREDICTED = "json_extract(predicted, ?)"
EITHER = f"coalesce({LABEL}, {PREDICTED})"

# A text is compared as text, a number as a number.
Value: TypeAlias = str | int | float
# A piece of SQL and the values of its parameters.
Sql: TypeAlias = tuple[str, tuple[Value, ...]]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
# SQLite reads a text beside a number as a number where it is one, and else takes it for greater
# than every number (sqlite.org/datatype3.html, section 4.2); then it is not known to be either.
_ORDERED = "CASE WHEN {0} <= CAST(9e999 AS REAL) THEN {0} {1} CAST(? AS NUMERIC) END"


def as_number(word: str) -> int | float | None:
    """Return the number that a bare word is, infinite where it is too large; None: it is none."""
    if not _NUMBER.fullmatch(word):
        return None
    return int(word) if _INTEGER.fullmatch(word) else float(word)


def compare(attribute: Sql, sign: str, value: Value, *, number: bool = False) -> Sql:
    """Return the comparison of an attribute with a value: 1, 0, or NULL where it is not known.

    ``number`` says that the attribute is never a text.
    """
    sql, paths = attribute
    if isinstance(value, str):
        return f"({sql} {sign} ?)", (*paths, value)
    if number or sign in ("=", "!="):
        # Reading the attribute once is twice as fast.
        return f"({sql} {sign} CAST(? AS NUMERIC))", (*paths, value)
    return _ORDERED.format(sql, sign), (*paths, *paths, value)


def json_path(name: str) -> str:
    """Return where a name's entry is; escaped as in the JSON, which old SQLite compares raw."""
    return f"$.{json.dumps(name)}"
