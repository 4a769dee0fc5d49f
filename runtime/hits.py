"""What a search returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.search import Scored

__all__ = ["Hit", "QueryResult", "make_hits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One image that was found.

    ``rank`` counts from 1. ``id`` is stable: an image keeps it when its file is renamed or changes.
    ``path`` is absolute, with links as they were given (bytes that are not UTF-8 as surrogate
    escapes; ``os.fsencode`` gives them back). ``score`` is the cosine, in [-1, 1]. ``attributes``
    are the predicted values, ``labels`` what the user gave; ``agrees`` names the attributes whose
    predicted value is the query's.
    """

    rank: int
    id: str
    path: str
    score: float
    attributes: dict[str, str]
    labels: dict[str, str]
    agrees: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The answer to one query image; iterable and sized over its hits, best first.

    ``query`` is the path as given, or ``"<array>"``; ``model`` is the model's sha256; ``took_ms``
    are milliseconds by step (``decode``, ``encode``, ``search``); ``attributes`` are what the model
    predicts of the query image.
    """

    query: str
    model: str
    took_ms: dict[str, float]
    attributes: dict[str, Prediction]
    hits: tuple[Hit, ...]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


def make_hits(
    scored: Scored, rows: Mapping[int, ImageRow], predicted: Mapping[str, Prediction]
) -> tuple[Hit, ...]:
    """Return hits for ids and scores, best first, against the query's predicted attributes."""
    ids, scores = scored
    hits: list[Hit] = []
    for identity, score in zip(ids.tolist(), scores.tolist(), strict=True):
        row = rows[identity]
        attributes = {name: each.value for name, each in row.predicted.items()}
        hits.append(
            Hit(
                rank=len(hits) + 1,
                id=str(identity),
                path=row.path,
                # Rounding can carry a unit vector's score past 1.
                score=min(1.0, max(-1.0, score)),
                attributes=attributes,
                labels=row.labels,
                agrees=tuple(
                    name for name, each in predicted.items() if attributes.get(name) == each.value
                ),
            )
        )
    return tuple(hits)
