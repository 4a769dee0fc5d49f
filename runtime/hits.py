"""What a search returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.image_rows import Shown
from boost_edge.runtime.search import Scored

if TYPE_CHECKING:
    from boost_edge.runtime.facets import Facet

__all__ = ["Hit", "QueryResult", "make_hits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One image that was found.

    ``rank`` counts from 1. ``id`` is stable: an image keeps it when its file is renamed or changes,
    and ``Gallery.query_examples`` takes it for an example; in JSON it is text. ``path`` is
    absolute, with links as they were given (bytes that are not UTF-8 as surrogate escapes;
    ``os.fsencode`` gives them back). ``score`` is the cosine, in [-1, 1]; ``preference`` is what
    preferences add to it, and hits are in the order of the sum (0.0 without preferences).
    ``attributes`` are the predicted values, ``labels`` what the user gave; ``agrees`` names the
    attributes whose predicted value is the query's.
    """

    rank: int
    id: int
    path: str
    score: float
    preference: float
    attributes: dict[str, str]
    labels: dict[str, str]
    agrees: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The answer to one query; iterable and sized over its hits, best first.

    ``query`` is the path of the query image as given, or ``"<array>"``; ``model`` is the model's
    sha256; ``took_ms`` are milliseconds by step (``decode``, ``encode``, ``search``);
    ``attributes`` are what the model predicts of the query image. For a query by several examples
    ``query`` is ``"<examples>"``, ``like`` and ``unlike`` name them, and ``attributes`` are the
    predicted values that all examples of ``like`` share, with the means of their probabilities.
    """

    query: str
    model: str
    took_ms: dict[str, float]
    attributes: dict[str, Prediction]
    hits: tuple[Hit, ...]
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def facets(self) -> dict[str, Facet]:
        """Return how often each value of an attribute occurs among the hits."""
        from boost_edge.runtime.facets import count_values

        return count_values(((hit.labels, hit.attributes) for hit in self.hits), self.attributes)


def make_hits(
    scored: Scored,
    rows: Mapping[int, Shown],
    predicted: Mapping[str, Prediction],
    bonuses: NDArray[np.float64],
) -> tuple[Hit, ...]:
    """Return hits for ids, scores and bonuses, best first, against what the query is predicted."""
    ids, scores = scored
    hits: list[Hit] = []
    for identity, score, bonus in zip(ids.tolist(), scores.tolist(), bonuses.tolist(), strict=True):
        row = rows[identity]
        hits.append(
            Hit(
                rank=len(hits) + 1,
                id=identity,
                path=row.path,
                # Rounding can carry a unit vector's score past 1.
                score=min(1.0, max(-1.0, score)),
                preference=bonus,
                attributes=row.predicted,
                labels=row.labels,
                agrees=tuple(
                    name
                    for name, each in predicted.items()
                    if row.predicted.get(name) == each.value
                ),
            )
        )
    return tuple(hits)
