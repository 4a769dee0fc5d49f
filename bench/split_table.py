"""Write a label table whose column ``split`` says which rows are to train on, and which to test."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from boost_edge.runtime.errors import BoostEdgeError, UsageError
from boost_edge.runtime.replace import replacing

__all__ = ["check_split_table", "write_split_table"]


def check_split_table(out: Path, labels: Path) -> None:
    """Raise UsageError when ``out`` cannot be written as CSV beside the table it is made from."""
    if out.suffix.lower() != ".csv":
        raise UsageError(f"{out}: the new table is CSV: let its name end in .csv")
    if out.resolve() == labels.resolve():
        raise UsageError(f"{out}: is the table to split: write the new one to another file")


def write_split_table(out: Path, columns: Mapping[str, Sequence[str]], parts: Sequence[str]) -> str:
    """Write columns of equal length and each row's part, and return the sha256 of the file.

    A column ``split`` that is there is replaced.

    Raises
    ------
    BoostEdgeError
        When the file cannot be written.
    """
    from boost_edge.export.label_attributes import SPLIT_COLUMN

    kept = {name: cells for name, cells in columns.items() if name != SPLIT_COLUMN}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([*kept, SPLIT_COLUMN])
                writer.writerows(zip(*kept.values(), parts, strict=True))
            return hashlib.sha256(temporary.read_bytes()).hexdigest()
    except OSError as error:
        raise BoostEdgeError(f"{out}: cannot be written: {error.strerror or error}") from error
