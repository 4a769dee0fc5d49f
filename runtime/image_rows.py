"""The rows of a gallery: what is known about one image, and how it is written to a table."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.predictions import predictions_of, values_of

__all__ = [
    "STATES",
    "Changes",
    "ImageRow",
    "Shown",
    "State",
    "row_from_values",
    "row_to_values",
    "shown_from_values",
    "vector_key",
]

# Only ``live`` rows are searched. A ``deleted`` row is what pruning leaves of an image whose file
# is gone, until the gallery is compacted.
State: TypeAlias = Literal["live", "deleted"]
STATES: tuple[State, ...] = ("live", "deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One image without its embedding; ``id`` is None until it is stored, and never changes.

    ``digest`` is the sha256 of the file's bytes, ``size`` is in bytes, ``mtime_ns`` in nanoseconds
    since 1970, ``width`` and ``height`` in pixels as shown (upright), ``predicted`` is what the
    model says, ``labels`` what the user says.
    """

    id: int | None
    path: str
    digest: str
    size: int
    mtime_ns: int
    width: int
    height: int
    predicted: dict[str, Prediction]
    labels: dict[str, str]
    state: State = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a search shows of an image: of its predictions the values alone."""

    path: str
    predicted: dict[str, str]
    labels: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one transaction writes.

    ``encoded`` are rows with a new embedding ``(D,) float32``; ``kept`` are stored rows whose
    bytes are the same, but whose path, time of change or labels are new, in the order in which
    they are written; ``restated`` are the ids
    of rows that are searched no more, or again, with their new state.
    """

    encoded: list[tuple[ImageRow, NDArray[np.float32]]] = field(
        default_factory=list[tuple[ImageRow, NDArray[np.float32]]]
    )
    kept: list[ImageRow] = field(default_factory=list[ImageRow])
    restated: dict[int, State] = field(default_factory=dict[int, State])

    def __len__(self) -> int:
        return len(self.encoded) + len(self.kept) + len(self.restated)


def row_to_values(row: ImageRow) -> tuple[object, ...]:
    """Return a row as ``schema.UPSERT`` takes it, up to the labels."""
    predicted = json.dumps(
        {name: {"value": each.value, "p": each.p} for name, each in row.predicted.items()}
    )
    stamp = (row.size, row.mtime_ns, row.width, row.height)
    return (os.fsencode(row.path), *stamp, predicted, json.dumps(row.labels))


def row_from_values(values: Sequence[Any]) -> ImageRow:
    """Return a row that ``schema.SELECT`` gave; ValueError where it is damaged."""
    identity, path, digest, size, mtime_ns, width, height, predicted, labels, state = values
    try:
        known = _text(state, "state")
        if known not in STATES:
            raise ValueError(f"its state is {known!r}")
        if digest is None:
            raise ValueError("it has no embedding")
        return ImageRow(
            id=identity,
            path=_path(path),
            digest=_text(digest, "digest"),
            size=size,
            mtime_ns=mtime_ns,
            width=width,
            height=height,
            predicted=predictions_of(_object(predicted, "predicted")),
            labels=_object(labels, "labels"),
            state=known,
        )
    except ValueError as error:
        raise _flawed(identity, path, error) from error


def shown_from_values(values: Sequence[Any]) -> Shown:
    """Return what ``schema.SHOWN`` gave; ValueError where it is damaged."""
    identity, path, predicted, labels = values
    try:
        return Shown(
            path=_path(path),
            predicted=values_of(_object(predicted, "predicted")),
            labels=_object(labels, "labels"),
        )
    except ValueError as error:
        raise _flawed(identity, path, error) from error


def _flawed(identity: int, path: bytes, error: ValueError) -> ValueError:
    name = f", {os.fsdecode(path)}" if path else ""
    return ValueError(f"the row of image {identity}{name}: {error}")


def _path(data: bytes) -> str:
    if not data:
        raise ValueError("its path is no BLOB, or empty")
    return os.fsdecode(data)


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"its {name} is not UTF-8") from error


def _object(data: bytes, name: str) -> dict[str, Any]:
    # Most images have no labels of their own.
    if data == b"{}":
        return {}
    text = _text(data, name)
    try:
        raw: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {name} is no JSON") from error
    if not isinstance(raw, dict):
        raise ValueError(f"its {name} is no JSON object")
    return cast("dict[str, Any]", raw)


def vector_key(data: bytes) -> int:
    """Return a number that stands for an embedding's bytes, in [0, 2**63).

    Equal embeddings have equal keys. Two different ones out of ten million share a key with a
    probability of 5e-6.
    """
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
