"""What all exchange files have in common: their header, their end, what their rows are.

An exchange file carries a gallery, or a part of one, to another gallery of the same model or to
another program (docs/exchange-format.md). There are two forms with the same content: JSON lines and
Parquet.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import ExchangeFileError, UsageError
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.records import format_version_of, record_from_json

__all__ = [
    "BATCH_ROWS",
    "EXCHANGE_FORMATS",
    "EXCHANGE_VERSION",
    "Batch",
    "End",
    "ExchangeFormat",
    "HashingWriter",
    "Header",
    "format_of",
    "header_from_json",
    "not_readable",
]

EXCHANGE_VERSION = 1
# Rows that are read, checked and committed at once: what is held in memory.
BATCH_ROWS = 256

ExchangeFormat: TypeAlias = Literal["jsonl", "parquet"]
EXCHANGE_FORMATS: tuple[ExchangeFormat, ...] = get_args(ExchangeFormat)

Batch: TypeAlias = list[tuple[ImageRow, NDArray[np.float32]]]
"""Rows, each with its embedding ``(D,) float32``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an exchange file says of itself: whose embeddings, how wide, how many rows."""

    format: Literal["boost-edge gallery"] = "boost-edge gallery"
    format_version: int = EXCHANGE_VERSION
    created_with: str
    model_sha256: str
    dimensions: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The number and the sha256 of all bytes that come before it; without it a file is cut off."""

    bytes: int
    sha256: str


class HashingWriter:
    """A file open for writing that counts and hashes what goes through it."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._bytes = 0

    @property
    def end(self) -> End:
        """What was written until now."""
        return End(bytes=self._bytes, sha256=self._hash.hexdigest())

    def write(self, data: bytes) -> int:
        """Write all of some bytes."""
        # pyarrow gives its own buffers.
        data = bytes(data)
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._bytes

    def flush(self) -> None:
        """Write what Python still holds."""
        self._file.flush()

    def close(self) -> None:
        """Do nothing: the file belongs to who opened it."""


def format_of(name: str, given: ExchangeFormat | None) -> ExchangeFormat:
    """Return the format that was given, or else that of a file's suffix; JSON lines for ``-``.

    Raises
    ------
    UsageError
        When neither says it.
    """
    if given is not None:
        if given not in EXCHANGE_FORMATS:
            raise UsageError(f"{given!r} is not one of {', '.join(EXCHANGE_FORMATS)}")
        return given
    if name == "-":
        return "jsonl"
    suffix = Path(name).suffix.lower().removeprefix(".")
    for known in EXCHANGE_FORMATS:
        if suffix == known:
            return known
    raise UsageError(
        f"{name}: its name ends neither in .jsonl nor in .parquet: rename it, or say which it is "
        "(--format)"
    )


def header_from_json(raw: Any, source: str) -> Header:
    """Return a header that was decoded from JSON.

    Raises
    ------
    ExchangeFileError
        When it is none, or of a version that is not known.
    """
    version = format_version_of(raw)
    if isinstance(version, int) and version != EXCHANGE_VERSION:
        raise ExchangeFileError(
            f"{source}: exchange format {version} is not known to this version, which reads format "
            f"{EXCHANGE_VERSION}: update boost-edge"
        )
    try:
        header = record_from_json(Header, raw, "its header")
        if header.dimensions < 1 or header.count < 0:
            raise ValueError(f"{header.count} rows of width {header.dimensions}")
    except ValueError as error:
        raise not_readable(source, str(error)) from error
    return header


def not_readable(source: str, what: str) -> ExchangeFileError:
    """Return the error for a file that cannot be trusted; nothing of it is used."""
    return ExchangeFileError(
        f"{source}: is damaged, or no exchange file ({what}): nothing was written; export the "
        "gallery again"
    )
