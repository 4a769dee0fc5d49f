"""The rows of a gallery: what is known about one image, and how it is written to a table."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Prediction

__all__ = [
    "STATES",
    "Changes",
    "ImageRow",
    "Shown",
    "State",
    "check_norms",
    "row_from_values",
    "row_to_values",
    "shown_from_values",
    "vector_key",
]

# Only ``live`` rows are searched. A ``deleted`` row is what pruning leaves of an image whose file
# is gone, until the gallery is compacted.
State: TypeAlias = Literal["live", "deleted"]
STATES: tuple[State, ...] = ("live", "deleted")
# Far more than 32-bit arithmetic, or a model in 16 bits, leaves.
_NORM_TOLERANCE = 1e-2


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
    """What a search shows of an image; the fields are those of `ImageRow`."""

    path: str
    predicted: dict[str, Prediction]
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
    predicted = json.dumps({name: asdict(value) for name, value in row.predicted.items()})
    stamp = (row.size, row.mtime_ns, row.width, row.height)
    return (os.fsencode(row.path), *stamp, predicted, json.dumps(row.labels))


def row_from_values(values: Sequence[Any]) -> ImageRow:
    """Return a row that ``schema.SELECT`` gave; ValueError where it is damaged."""
    identity, path, digest, size, mtime_ns, width, height, predicted, labels, state = values
    try:
        if state not in STATES:
            raise ValueError(f"its state is {state!r}")
        if not isinstance(digest, str):
            raise TypeError("it has no embedding")
        return ImageRow(
            id=identity,
            path=os.fsdecode(path),
            digest=digest,
            size=size,
            mtime_ns=mtime_ns,
            width=width,
            height=height,
            predicted=_predicted(predicted),
            labels=_object(labels),
            state=state,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the row of image {identity}: {error}") from error


def shown_from_values(values: Sequence[Any]) -> Shown:
    """Return what ``schema.SHOWN`` gave; ValueError where it is damaged."""
    identity, path, predicted, labels = values
    try:
        return Shown(
            path=os.fsdecode(path), predicted=_predicted(predicted), labels=_object(labels)
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the row of image {identity}: {error}") from error


def _predicted(text: str) -> dict[str, Prediction]:
    return {name: Prediction(**each) for name, each in _object(text).items()}


def _object(text: str) -> dict[str, Any]:
    # Most images have no labels of their own.
    return {} if text == "{}" else json.loads(text)


def check_norms(
    matrix: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which embeddings ``(n, D) float32`` are finite, and which have norm 1 or 0.

    A network may answer nothing at all, which search takes for a vector like no other.
    """
    wide = matrix.astype(np.float64)
    norms = np.sqrt(np.vecdot(wide, wide))
    unit: NDArray[np.bool_] = (np.abs(norms - 1) <= _NORM_TOLERANCE) | (norms == 0)
    return np.isfinite(norms), unit


def vector_key(data: bytes) -> int:
    """Return a number that stands for an embedding's bytes, in [0, 2**63).

    Equal embeddings have equal keys. Two different ones out of ten million share a key with a
    probability of 5e-6.
    """
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
