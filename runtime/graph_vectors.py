"""How the search graph holds vectors: as float32, as float16, or as 8-bit integers.

A graph only proposes, so its vectors may be coarse: what it finds is scored again on the embeddings
in the database. Coarse ones take less memory and less time to compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.store import Vectors

__all__ = ["GraphVectors"]

_BYTES: dict[GraphDtype, int] = {"f32": 4, "f16": 2, "i8": 1}
_MOST = 127
# All rows but one in a thousand have no entry beyond half of what 8 bits can hold, or no row has
# one beyond all of it: a single row of another kind must not cost the others their precision.
_USUAL = 0.999
_ROOM = 2
# So many standard deviations of the rounding of two inner products are allowed for.
_DEVIATIONS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphVectors:
    """A way to hold vectors of norm 1; for ``i8`` entries are multiplied by ``scale`` and rounded.

    Larger entries than fit become the largest that do.
    """

    dtype: GraphDtype
    scale: float = 1.0

    @classmethod
    def fitting(cls, dtype: GraphDtype, chunks: Iterable[Vectors]) -> GraphVectors:
        """Choose the scale for some vectors; they are looked at for ``i8`` only."""
        if dtype != "i8":
            return cls(dtype=dtype)
        peaks = [np.abs(matrix).max(axis=1, initial=0) for _, matrix in chunks]
        every = np.concatenate(peaks) if peaks else np.empty(0, np.float32)
        if not every.any():
            return cls(dtype=dtype)
        top = min(float(every.max()), _ROOM * float(np.quantile(every, _USUAL)))
        return cls(dtype=dtype, scale=_MOST / (top or float(every.max())))

    @property
    def itemsize(self) -> int:
        """Bytes of one entry."""
        return _BYTES[self.dtype]

    def encode(self, matrix: NDArray[np.float32]) -> NDArray[Any]:
        """Return rows ``(n, D) float32`` as the graph takes them."""
        return _rounded(matrix, self.scale) if self.dtype == "i8" else matrix

    def encode_query(self, query: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        """Return a query ``(D,) float32`` for the graph, and what multiplies its scores.

        A query has the whole range for itself.
        """
        if self.dtype != "i8":
            return query, 1.0
        scale = _MOST / (float(np.abs(query).max()) or 1.0)
        # Nothing is beyond the range that it has for itself.
        return np.rint(query * np.float32(scale)).astype(np.int8), scale * self.scale

    def margin(self, query: NDArray[np.float32]) -> float:
        """Return by how much two coarse scores may be in the wrong order, but for rare cases.

        Entries are taken to be rounded evenly and independently: an error then has a standard
        deviation of a step / sqrt(12). The norms are 1.
        """
        if self.dtype == "f32":
            return 1e-5
        if self.dtype == "f16":
            # Eleven bits, relative to each entry.
            return _DEVIATIONS * math.sqrt(2 / 12) * 2.0**-10
        mine = float(np.abs(query).max()) / _MOST
        return _DEVIATIONS * math.sqrt(2 / 12) * math.hypot(1 / self.scale, mine)


def _rounded(values: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    scaled = np.clip(np.rint(values * np.float32(scale)), -_MOST, _MOST)
    rounded: NDArray[np.int8] = scaled.astype(np.int8)
    return rounded
