"""Vectors as networks make them, to search among: seeded, written once into the work folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.progress import Progress
from boost_edge.runtime.replace import replacing
from boost_edge.runtime.synthetic_gallery import scatter, unit

__all__ = [
    "KINDS",
    "SHARES",
    "DataKind",
    "DataPlan",
    "Matrix",
    "buckets_of",
    "draw_queries",
    "draw_vectors",
    "label_names",
    "load_vectors",
    "make_vectors",
]

Matrix: TypeAlias = NDArray[np.float32]
DataKind: TypeAlias = Literal["clustered", "posterior"]
KINDS: tuple[DataKind, ...] = ("clustered", "posterior")

# Of so many images one passes a filter.
SHARES = (10_000, 1_000, 100, 10, 2)

_BLOCK = 20_000
_VECTORS = "vectors.f32"
# What a stream of random numbers is for; each has its own.
_CENTRES, _ROWS, _QUERIES = range(3)
_ATTRIBUTES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """What to draw. ``clustered``: positive unit vectors around centres, a hundred to each.

    ``posterior``: square roots of the softmax posteriors of seven attributes, a thousand images to
    each combination of values, some of them so sure that many are nearly equal.
    """

    rows: int
    dimensions: int
    seed: int
    kind: DataKind

    @property
    def clusters(self) -> int:
        """How many centres there are."""
        return max(2, self.rows // (100 if self.kind == "clustered" else 1000))


def make_vectors(plan: DataPlan, folder: Path, progress: Progress) -> None:
    """Write the vectors, and the cluster of each, unless they are there."""
    path = folder / _VECTORS
    if path.exists():
        return
    drawn = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        for some in draw_vectors(plan):
            file.write(some.tobytes())
            drawn += len(some)
            progress("drawing vectors", drawn, plan.rows)


def draw_vectors(plan: DataPlan) -> Iterator[Matrix]:
    """Yield the vectors in blocks ``(n, D) float32``."""
    clusters, centres = _clusters(plan), _centres(plan)
    for start in range(0, plan.rows, _BLOCK):
        some = clusters[start : start + _BLOCK]
        yield _around(plan, centres[some], _random(plan, _ROWS, start))


def load_vectors(plan: DataPlan, folder: Path) -> Matrix:
    """Map the vectors ``(rows, D) float32`` into memory."""
    return np.memmap(folder / _VECTORS, np.float32, "r", shape=(plan.rows, plan.dimensions))


def draw_queries(plan: DataPlan, count: int) -> Matrix:
    """Return ``(count, D) float32`` new vectors from the same centres."""
    random = _random(plan, _QUERIES, 0)
    return _around(plan, _centres(plan)[random.integers(plan.clusters, size=count)], random)


def label_names() -> list[str]:
    """Return the names of the labels that filters ask for: ``any...`` and ``near...``."""
    return [f"{kind}{share}" for share in SHARES for kind in ("any", "near")]


def buckets_of(plan: DataPlan) -> dict[str, NDArray[np.int64]]:
    """Return the value of each label for each row, ``(rows,) int64``.

    ``any100`` is one of a hundred values by chance; ``near100`` the same for a whole cluster.
    """
    random = _random(plan, _ROWS, plan.rows + 1)
    chance = random.integers(max(SHARES), size=plan.rows)
    clusters = _clusters(plan)
    groups = {"any": chance, "near": clusters}
    return {f"{name}{share}": groups[name] % share for share in SHARES for name in groups}


def _random(plan: DataPlan, purpose: int, number: int) -> np.random.Generator:
    return np.random.default_rng([plan.seed, purpose, number])


def _clusters(plan: DataPlan) -> NDArray[np.int64]:
    return _random(plan, _ROWS, plan.rows).integers(plan.clusters, size=plan.rows)


def _centres(plan: DataPlan) -> Matrix:
    random = _random(plan, _CENTRES, 0)
    return random.standard_normal((plan.clusters, plan.dimensions), np.float32)


def _around(plan: DataPlan, centres: Matrix, random: np.random.Generator) -> Matrix:
    if plan.kind == "clustered":
        return scatter(centres, random)
    noise = random.standard_normal(centres.shape, np.float32)
    sure = np.exp(0.3 * random.standard_normal((len(centres), 1), np.float32) + 0.3)
    logits = (6 * centres + noise) * sure
    return unit(np.concatenate(list(_roots(logits)), axis=1))


def _roots(logits: Matrix) -> Iterator[Matrix]:
    """Yield the square roots of the softmax of each attribute's part of some logits."""
    for part in np.array_split(logits, min(_ATTRIBUTES, logits.shape[1]), axis=1):
        powers = np.exp(part - part.max(axis=1, keepdims=True))
        yield np.sqrt(powers / powers.sum(axis=1, keepdims=True))
