"""The rows of an exchange file: checked, and as JSON objects."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.predictions import predictions_of
from boost_edge.runtime.sound_rows import VECTOR_FLAWS, check_norms, flaw_of_row

__all__ = ["check_rows", "labels_of", "row_from_json", "row_to_json", "row_with"]

_PLAIN = ("digest", "size", "mtime_ns", "width", "height", "predicted", "labels", "state")
_KEYS = frozenset({*_PLAIN, "vector"})


def row_to_json(row: ImageRow, vector: NDArray[np.float32]) -> str:
    """Return a row and its embedding as one JSON object in ASCII, without a line break."""
    path = os.fsencode(row.path)
    try:
        where = {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        where = {"path_base64": base64.b64encode(path).decode("ascii")}
    record = {
        **where,
        **{name: getattr(row, name) for name in _PLAIN},
        "predicted": {name: asdict(each) for name, each in row.predicted.items()},
        "vector": base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii"),
    }
    return json.dumps(record, separators=(",", ":"))


def row_from_json(raw: Any, *, dimensions: int) -> tuple[ImageRow, NDArray[np.float32]]:
    """Return row and embedding that `row_to_json` wrote, not yet checked by `check_rows`.

    Raises
    ------
    ValueError
        When a key is missing or unknown, or a value is of another type.
    """
    if not isinstance(raw, dict):
        raise TypeError("it is not an object")
    record = cast("dict[str, Any]", raw)
    if "path_base64" in record:
        path = _base64(record.pop("path_base64"), "path_base64")
    else:
        path = _text(record.pop("path", None), "path").encode("utf-8")
    if wrong := sorted(record.keys() ^ _KEYS):
        raise ValueError(f"missing or unknown keys: {', '.join(wrong)}")
    data = _base64(record.pop("vector"), "vector")
    if len(data) != 4 * dimensions:
        raise ValueError(f"its vector has {len(data)} bytes, not {4 * dimensions}")
    record["predicted"] = predictions_of(record["predicted"])
    record["labels"] = labels_of(record["labels"])
    return row_with(path, record), np.frombuffer(data, "<f4")


def row_with(path: bytes, values: Mapping[str, Any]) -> ImageRow:
    """Return a row of a path as bytes and all other values, not yet checked."""
    return ImageRow(id=None, path=os.fsdecode(path), **values)


def labels_of(raw: Any) -> dict[str, str]:
    """Return labels that were decoded from JSON; ValueError where they are none."""
    if not isinstance(raw, dict):
        raise TypeError("labels is not an object")
    labels = cast("dict[str, Any]", raw)
    return {name: _text(each, f"labels.{name}") for name, each in labels.items()}


def check_rows(rows: list[ImageRow], matrix: NDArray[np.float32]) -> tuple[int, str] | None:
    """Return the place and the flaw of the first row that no gallery may hold; None: all may.

    ``matrix`` ``(n, D) float32`` holds the embeddings, which must have norm 1, or be 0 where a
    network answers nothing.
    """
    flaws = [flaw_of_row(row) for row in rows]
    finite, unit = check_norms(matrix)
    sound = finite & unit
    for place, (flaw, is_sound) in enumerate(zip(flaws, sound.tolist(), strict=True)):
        if flaw or not is_sound:
            return place, flaw or VECTOR_FLAWS["vector_not_unit"]
    return None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not text")
    return value


def _base64(value: Any, name: str) -> bytes:
    return base64.b64decode(_text(value, name), validate=True)
