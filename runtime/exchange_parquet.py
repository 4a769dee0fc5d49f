"""Exchange files as Parquet, with pyarrow from the extra ``parquet``.

This is the one module of the runtime that uses pyarrow, and it imports it only when a Parquet file
is read or written: so the same functions move galleries in both forms, from Python as from the
command line, and the base install stays as small as it is.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any

import numpy as np

from boost_edge.runtime.errors import MissingExtraError
from boost_edge.runtime.exchange import (
    BATCH_ROWS,
    Batch,
    End,
    HashingWriter,
    Header,
    header_from_json,
    not_readable,
)
from boost_edge.runtime.exchange_rows import check_rows, labels_of, row_with
from boost_edge.runtime.predictions import predictions_of
from boost_edge.runtime.records import record_from_json

__all__ = ["read_parquet", "read_parquet_header", "require_pyarrow", "write_parquet"]

_HEADER = b"boost_edge.exchange"
_END = b"boost_edge.end"
# A reader holds one group of rows in memory.
_GROUP_ROWS = 8 * BATCH_ROWS
_HASHED_BYTES = 2**20


def require_pyarrow(feature: str) -> Any:
    """Return the module ``pyarrow``, with ``pyarrow.parquet`` imported too.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise MissingExtraError(feature, "parquet", "pyarrow") from error


def write_parquet(file: IO[bytes], header: Header, batches: Iterable[Batch]) -> None:
    """Write a whole exchange file; raises OSError."""
    arrow = require_pyarrow("writing Parquet")
    schema = _schema(arrow, header.dimensions)
    sink = HashingWriter(file)
    writer = arrow.parquet.ParquetWriter(
        sink, schema, write_statistics=False, use_dictionary=False, write_page_checksum=True
    )
    with writer:
        for group in _regrouped(batches):
            columns = _columns(arrow, group, schema)
            writer.write_table(arrow.table(columns, schema=schema), row_group_size=_GROUP_ROWS)
        # All that follows is the footer, which holds this.
        said = {_HEADER: asdict(header), _END: asdict(sink.end)}
        writer.add_key_value_metadata({key: json.dumps(value) for key, value in said.items()})


def read_parquet_header(file: IO[bytes], source: str) -> Header:
    """Return the header.

    Raises
    ------
    ExchangeFileError
        When there is none, or it is of a version that is not known.
    MissingExtraError
        When pyarrow is not installed.
    """
    return _open(file, source)[1]


def read_parquet(file: IO[bytes], source: str) -> Iterator[Batch]:
    """Yield all rows, checked, in batches; what was read is good only if no error ends it.

    Raises
    ------
    ExchangeFileError
        When anything is wrong with the file: a row, their number, or a single bit of its data.
    MissingExtraError
        When pyarrow is not installed.
    """
    table, header, end = _open(file, source)
    # Before anything is decoded: decoders are no place to find damage.
    if _hash(file, end.bytes) != end:
        raise not_readable(source, "its checksum is wrong")
    done = 0
    with _reading(source):
        pieces = table.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
    while True:
        with _reading(source):
            piece = next(pieces, None)
            if piece is None:
                break
            batch = _batch(piece, header.dimensions)
            rows, vectors = zip(*batch, strict=True)
            if wrong := check_rows(list(rows), np.stack(vectors)):
                raise ValueError(f"row {done + wrong[0] + 1}: {wrong[1]}")
        done += len(batch)
        yield batch
    if done != header.count:
        raise not_readable(source, f"{done} rows, not {header.count}")


@contextmanager
def _reading(source: str) -> Generator[None]:
    """Raise whatever pyarrow, or a check, says about a file as an `ExchangeFileError`."""
    try:
        yield
    except Exception as error:
        # A wrong length may ask for all memory there is.
        known = (ValueError, TypeError, LookupError, ArithmeticError, OSError, MemoryError)
        if not isinstance(error, known) and not type(error).__module__.startswith("pyarrow"):
            raise
        raise not_readable(source, " ".join(str(error).split())) from error


def _open(file: IO[bytes], source: str) -> tuple[Any, Header, End]:
    arrow = require_pyarrow("reading Parquet")
    with _reading(source):
        file.seek(0)
        table = arrow.parquet.ParquetFile(file, page_checksum_verification=True)
        said: dict[bytes, bytes] = table.metadata.metadata or {}
        raw = json.loads(said.get(_HEADER, b"null"))
        end = record_from_json(End, json.loads(said.get(_END, b"null")), "its end")
        schema = table.schema_arrow
    header = header_from_json(raw, source)
    with _reading(source):
        expected = _schema(arrow, header.dimensions)
    if not schema.equals(expected):
        raise not_readable(source, "its columns are others")
    return table, header, end


def _schema(arrow: Any, dimensions: int) -> Any:
    """Return the columns; none may be null."""
    vector = arrow.list_(arrow.field("element", arrow.float32(), nullable=False), dimensions)
    types = {
        "path": arrow.binary(),
        "digest": arrow.string(),
        "size": arrow.int64(),
        "mtime_ns": arrow.int64(),
        "width": arrow.int64(),
        "height": arrow.int64(),
        "predicted": arrow.string(),
        "labels": arrow.string(),
        "state": arrow.string(),
        "vector": vector,
    }
    return arrow.schema([arrow.field(name, kind, nullable=False) for name, kind in types.items()])


def _columns(arrow: Any, batch: Batch, schema: Any) -> list[Any]:
    flat = np.concatenate([vector.astype("<f4", copy=False) for _, vector in batch])
    plain = {
        "path": [os.fsencode(row.path) for row, _ in batch],
        "predicted": [
            json.dumps({name: asdict(each) for name, each in row.predicted.items()})
            for row, _ in batch
        ],
        "labels": [json.dumps(row.labels) for row, _ in batch],
    }
    columns: list[Any] = []
    for field in schema:
        if field.name == "vector":
            values = arrow.array(flat, arrow.float32())
            columns.append(arrow.FixedSizeListArray.from_arrays(values, type=field.type))
        else:
            values = plain.get(field.name) or [getattr(row, field.name) for row, _ in batch]
            columns.append(arrow.array(values, field.type))
    return columns


def _batch(piece: Any, dimensions: int) -> Batch:
    """Return the rows of one of pyarrow's record batches."""
    flat = piece.column("vector").flatten().to_numpy(zero_copy_only=False)
    matrix = np.array(flat, np.float32).reshape(piece.num_rows, dimensions)
    names = [name for name in piece.schema.names if name != "vector"]
    batch = Batch()
    for record, vector in zip(piece.select(names).to_pylist(), matrix, strict=True):
        path = record.pop("path")
        record["predicted"] = predictions_of(json.loads(record["predicted"]))
        record["labels"] = labels_of(json.loads(record["labels"]))
        batch.append((row_with(path, record), vector))
    return batch


def _regrouped(batches: Iterable[Batch]) -> Iterator[Batch]:
    group = Batch()
    for batch in batches:
        group += batch
        if len(group) >= _GROUP_ROWS:
            yield group
            group = Batch()
    if group:
        yield group


def _hash(file: IO[bytes], size: int) -> End:
    """Return what is to be said of the first ``size`` bytes of a file."""
    file.seek(0)
    seen, left = hashlib.sha256(), size
    while left > 0 and (data := file.read(min(left, _HASHED_BYTES))):
        seen.update(data)
        left -= len(data)
    return End(bytes=size - left, sha256=seen.hexdigest())
