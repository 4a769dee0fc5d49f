"""Read a label file as it stands: names of columns and cells of text, nothing interpreted.

CSV (RFC 4180, UTF-8), JSON Lines and Parquet give the same `Table`. This module needs neither
torch nor, but for Parquet, anything beyond the standard library, so the base install can use it.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import importlib
import io
import json
import math
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from boost_edge.runtime.errors import LabelTableError, MissingExtraError

__all__ = ["SUFFIXES", "Table", "read_table"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
# Byte order marks that give away an encoding which is not UTF-8; the longer ones first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MOST_NAMED = 5
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A label file's cells.

    ``rows`` have one cell of text per column, without blanks around it; an absent cell (JSON
    null, a key that is not there) is empty. ``numbers`` says where each row starts, counted from
    1 in ``unit``: the ``line`` of a text file or the ``row`` of a Parquet file. ``sha256`` is of
    the file's bytes, in hexadecimal.
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    unit: str

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of one column, by row; the column must exist."""
        index = self.columns.index(name)
        return tuple(row[index] for row in self.rows)

    def where(self, row: int) -> str:
        """Name the place of a row (from 0) for a message, such as ``line 7``."""
        return f"{self.unit} {self.numbers[row]}"


def read_table(path: Path) -> Table:
    """Read a label file; the suffix (.csv, .jsonl, .parquet, in any case) names its format.

    Raises
    ------
    LabelTableError
        When the file is absent, not a regular file, of an unknown format, not UTF-8, empty,
        without rows, or when its header or a row is malformed. Names the line.
    MissingExtraError
        When a Parquet file is given and pyarrow is not installed.
    """
    data = _read_bytes(path)
    match path.suffix.lower():
        case ".csv":
            columns, rows, numbers = _parse_csv(path, _decode(path, data))
        case ".jsonl":
            columns, rows, numbers = _parse_jsonl(path, _decode(path, data))
        case _:
            columns, rows, numbers = _parse_parquet(path, data)
    if not rows:
        raise LabelTableError(f"{path}: has no rows below its header: add one row per image")
    return Table(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        columns=columns,
        rows=tuple(rows),
        numbers=tuple(numbers),
        unit="row" if path.suffix.lower() == ".parquet" else "line",
    )


_Parsed = tuple[tuple[str, ...], list[tuple[str, ...]], list[int]]


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise LabelTableError(f"{path}: is a folder: name the label file itself")
        if not stat.S_ISREG(status.st_mode):
            raise LabelTableError(f"{path}: is not a regular file: save the table to one first")
        if path.suffix.lower() not in SUFFIXES:
            raise LabelTableError(
                f"{path}: the format is taken from the suffix, which must be one of "
                f"{', '.join(SUFFIXES)}"
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise LabelTableError(f"{path}: there is no such file: check the path") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LabelTableError(f"{path}: cannot be read ({reason})") from error
    if not data.strip():
        raise LabelTableError(f"{path}: is empty: add a header and one row per image")
    return data


def _decode(path: Path, data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise LabelTableError(f"{path}: is {encoding}: save the table as UTF-8")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LabelTableError(
            f"{path}: line {line} is not UTF-8 (byte {data[error.start]:#04x} at offset "
            f"{error.start}): save the table as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise LabelTableError(
            f"{path}: line {line} holds a NUL character, as UTF-16 without a mark does: save the "
            "table as UTF-8"
        )
    return text


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    for position, name in enumerate(columns, start=1):
        if not name:
            raise LabelTableError(
                f"{path}: column {position} of the header has no name: name it or remove it "
                "(pandas writes such a column unless told index=False)"
            )
        if not name.isprintable():
            raise LabelTableError(
                f"{path}: the name of column {position}, {name!a}, holds a character that "
                "cannot be shown: rename it"
            )
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise LabelTableError(f"{path}: column {twice} stands twice in the header: rename one")


def _parse_csv(path: Path, text: str) -> _Parsed:
    records = _csv_records(path, text)
    first = next(records, None)
    if first is None:
        raise LabelTableError(f"{path}: is empty: add a header and one row per image")
    columns = first[1]
    if len(columns) == 1 and (other := next((c for c in ";\t|" if c in columns[0]), None)):
        raise LabelTableError(
            f"{path}: its columns are separated by {other!r}: save it with commas instead"
        )
    _check_columns(path, columns)
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    ragged: list[tuple[int, int]] = []
    for number, cells in records:
        if len(cells) == len(columns):
            rows.append(cells)
            numbers.append(number)
        else:
            ragged.append((number, len(cells)))
    if ragged:
        raise LabelTableError(_ragged_message(path, ragged, len(columns)))
    return columns, rows, numbers


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Give each record that is not blank with the line it starts on; cells are stripped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, tuple(cell.strip() for cell in cells)
            start = reader.line_num + 1
    except csv.Error as error:
        raise LabelTableError(
            f"{path}: the row that starts on line {start} is not valid CSV ({error}): close its "
            'quotes, and double a quote inside a quoted cell ("")'
        ) from error


def _ragged_message(path: Path, ragged: Sequence[tuple[int, int]], columns: int) -> str:
    (number, cells), *rest = ragged
    named = [str(line) for line, _ in rest[:_MOST_NAMED]] + ["..."] * (len(rest) > _MOST_NAMED)
    others = f" (and {len(rest)} more rows: {', '.join(named)})" if rest else ""
    return (
        f"{path}: line {number} has {cells} cells, but the header has {columns}{others}: put "
        "cells with commas in double quotes, or remove the row"
    )


def _parse_jsonl(path: Path, text: str) -> _Parsed:
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    # Not splitlines: JSON text may hold line separators that are not line feeds.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            records.append(_json_record(path, number, line))
            numbers.append(number)
    # A dictionary keeps the order in which the names first appear.
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    _check_columns(path, columns)
    rows = [tuple(record.get(name, "") for name in columns) for record in records]
    return columns, rows, numbers


def _json_record(path: Path, number: int, line: str) -> dict[str, str]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record: dict[str, Any] = {name.strip(): value for name, value in pairs}
        if len(record) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return record

    try:
        raw: Any = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise LabelTableError(
            f"{path}: line {number} is not one JSON object ({error}): correct or remove it"
        ) from error
    if not isinstance(raw, dict):
        raise LabelTableError(
            f"{path}: line {number} is not a JSON object: write one object per line, such as "
            '{"file_name": "1.jpg", "colour": "red"}'
        )
    return _texts(path, f"line {number}", cast("dict[str, Any]", raw))


def _parse_parquet(path: Path, data: bytes) -> _Parsed:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError("reading a Parquet label table", "train", "pyarrow") from error
    try:
        table = parquet.read_table(arrow.BufferReader(data))
        columns = tuple(str(name).strip() for name in table.column_names)
        _check_columns(path, columns)
        records: list[dict[str, Any]] = table.rename_columns(list(columns)).to_pylist()
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise LabelTableError(
            f"{path}: is not a Parquet file that can be read ({reason}): write it again"
        ) from error
    numbers = list(range(1, len(records) + 1))
    rows = [
        tuple(_texts(path, f"row {number}", record).values())
        for number, record in zip(numbers, records, strict=True)
    ]
    return columns, rows, numbers


def _texts(path: Path, where: str, record: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(path, where, name, value) for name, value in record.items()}


def _text(path: Path, where: str, name: str, value: Any) -> str:
    """Turn one value into the text that the same table would hold as CSV."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        # A column of whole numbers with a gap comes out of pandas as floats.
        return str(int(value))
    if isinstance(value, (bytes, list, tuple, dict)):
        raise LabelTableError(
            f"{path}: {where}: column {name} holds a list, an object or bytes, not a plain value: "
            "write text or a number"
        )
    text = str(value).strip()
    if _NO_TEXT.search(text):
        raise LabelTableError(
            f"{path}: {where}: column {name} holds a character that no text has (NUL or half of "
            "a surrogate pair): remove it"
        )
    return text
