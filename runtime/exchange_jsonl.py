"""Exchange files as JSON lines: a header, a row on each line, and an end with a checksum."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

import numpy as np

from boost_edge.runtime.exchange import (
    BATCH_ROWS,
    Batch,
    End,
    HashingWriter,
    Header,
    header_from_json,
    not_readable,
)
from boost_edge.runtime.exchange_rows import check_rows, row_from_json, row_to_json
from boost_edge.runtime.records import record_from_json

__all__ = ["read_jsonl", "read_jsonl_header", "write_jsonl"]

# No row is longer, unless it is damaged: as much as may be held in memory.
_MOST_LINE = 2**26


def write_jsonl(file: IO[bytes], header: Header, batches: Iterable[Batch]) -> None:
    """Write a whole exchange file; raises OSError."""
    sink = HashingWriter(file)
    sink.write(_line(dataclasses.asdict(header)))
    for batch in batches:
        for row, vector in batch:
            sink.write(row_to_json(row, vector).encode("ascii") + b"\n")
    file.write(_line({"end": dataclasses.asdict(sink.end)}))


def read_jsonl_header(file: IO[bytes], source: str) -> Header:
    """Return the header, from the beginning of the file.

    Raises
    ------
    ExchangeFileError
        When there is none, or it is of a version that is not known.
    """
    file.seek(0)
    line = file.readline(_MOST_LINE)
    return header_from_json(_object(line, source, 1), source)


def read_jsonl(file: IO[bytes], source: str) -> Iterator[Batch]:
    """Yield all rows, checked, in batches; what was read is good only if no error ends it.

    Raises
    ------
    ExchangeFileError
        When anything is wrong with the file: a row, their number, or a single bit.
    """
    header = read_jsonl_header(file, source)
    file.seek(0)
    seen = hashlib.sha256()
    done, batch = 0, Batch()
    number = 0
    while True:
        number += 1
        line = file.readline(_MOST_LINE)
        record = _object(line, source, number)
        if set(record) == {"end"}:
            break
        seen.update(line)
        if number == 1:
            continue
        try:
            batch.append(row_from_json(record, dimensions=header.dimensions))
        except (TypeError, ValueError) as error:
            raise not_readable(source, f"line {number}: {error}") from error
        done += 1
        if len(batch) == BATCH_ROWS:
            yield _checked(batch, source, number)
            batch = Batch()
    _check_end(record, End(bytes=file.tell() - len(line), sha256=seen.hexdigest()), source)
    if file.read(1):
        raise not_readable(source, "something follows its end")
    if done != header.count:
        raise not_readable(source, f"{done} rows, not {header.count}")
    yield _checked(batch, source, number - 1)


def _checked(batch: Batch, source: str, last: int) -> Batch:
    """Return a batch if its rows are sound; ``last`` is the line of the last one."""
    if batch:
        rows, vectors = zip(*batch, strict=True)
        wrong = check_rows(list(rows), np.stack(vectors))
        if wrong:
            place, flaw = wrong
            raise not_readable(source, f"line {last - len(batch) + 1 + place}: {flaw}")
    return batch


def _check_end(record: dict[str, Any], found: End, source: str) -> None:
    try:
        said = record_from_json(End, record["end"], "its end")
    except ValueError as error:
        raise not_readable(source, str(error)) from error
    if said != found:
        raise not_readable(source, "its checksum is wrong")


def _object(line: bytes, source: str, number: int) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise not_readable(source, f"it is cut off in line {number}" if line else "it is cut off")
    try:
        # Text in any other encoding would be guessed at.
        raw: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise not_readable(source, f"line {number} is not JSON") from error
    if not isinstance(raw, dict):
        raise not_readable(source, f"line {number} is not a JSON object")
    return cast("dict[str, Any]", raw)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
