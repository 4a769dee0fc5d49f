"""What a sound row is, said once: for ``verify``, and for all that takes rows out or brings in.

So what ``verify`` calls sound can be exported and merged, and what they refuse ``verify`` finds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.image_rows import STATES, ImageRow, vector_key
from boost_edge.runtime.labels import flaw_of_labels
from boost_edge.runtime.predictions import flaw_of_predictions

__all__ = ["VECTOR_FLAWS", "check_norms", "flaw_of_row", "flaws_of_pages", "flaws_of_vectors"]

VECTOR_FLAWS = MappingProxyType(
    {
        "vector_length": "its vector is of the wrong length",
        "vector_changed": "its vector is not what was written",
        "vector_not_finite": "its vector is not finite and of norm 1 or 0",
        "vector_not_unit": "its vector is not finite and of norm 1 or 0",
    }
)
"""What each code of `flaws_of_vectors` means."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LIMIT = 2**63
_LOWEST: Mapping[str, int] = MappingProxyType(
    {"size": 0, "mtime_ns": -_LIMIT, "width": 1, "height": 1}
)
_MOST_MESSAGES = 20
# Far more than 32-bit arithmetic, or a model in 16 bits, leaves.
_NORM_TOLERANCE = 1e-2


def flaw_of_row(row: ImageRow) -> str:
    """Return what no gallery may hold in a row, its embedding apart; nothing where all is well."""
    path = os.fsencode(row.path)
    if not path.startswith(b"/") or b"\0" in path:
        return "its path is not absolute"
    # A row from a file may be of any type.
    if type(row.digest) is not str or not _DIGEST.fullmatch(row.digest):
        return "its digest is not 64 hexadecimal digits"
    for name, lowest in _LOWEST.items():
        number: object = getattr(row, name)
        if type(number) is not int or not lowest <= number < _LIMIT:
            return f"its {name} is {number!r}"
    if row.state not in STATES:
        return f"its state is {row.state!r}"
    return flaw_of_labels(row.labels) or flaw_of_predictions(row.predicted)


def flaws_of_vectors(stored: Sequence[tuple[Any, Any]], dimensions: int) -> list[list[str]]:
    """Return the codes of what is wrong with each embedding, as the database holds it.

    ``stored`` are pairs of ``vector`` and ``vector_key``, of any type.
    """
    found: list[list[str]] = [[] for _ in stored]
    whole: list[int] = []
    for place, (vector, key) in enumerate(stored):
        if not isinstance(vector, bytes) or len(vector) != 4 * dimensions:
            found[place].append("vector_length")
            continue
        whole.append(place)
        if vector_key(vector) != key:
            found[place].append("vector_changed")
    data = b"".join(stored[place][0] for place in whole)
    finite, unit = check_norms(np.frombuffer(data, "<f4").reshape(len(whole), dimensions))
    for at in np.flatnonzero(~(finite & unit)).tolist():
        found[whole[at]].append("vector_not_unit" if finite[at] else "vector_not_finite")
    return found


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


def flaws_of_pages(select: Callable[[str], Iterable[Any]]) -> Iterator[str]:
    """Let SQLite check its pages, records and indexes (sqlite.org/pragma.html); yield its words.

    ``select`` runs a statement on the database and returns its rows.
    """
    for (message,) in select(f"PRAGMA integrity_check({_MOST_MESSAGES:d})"):
        if message != "ok":
            yield " ".join(str(message).split())
