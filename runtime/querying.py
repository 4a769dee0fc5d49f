"""Queries of an open gallery: what is asked beside the example, and what answers it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.argument_types import optional_text, real_number, texts, whole_number
from boost_edge.runtime.encoder import Encoder, ImageLike, Prediction
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.examples import (
    Described,
    ExampleLike,
    check_examples,
    combine,
    encode_example,
    in_common,
    stored_example,
)
from boost_edge.runtime.hits import Hit, QueryResult, make_hits
from boost_edge.runtime.search import Searcher
from boost_edge.runtime.store import Store

if TYPE_CHECKING:
    # Most queries have no filter, no preferences and no facets, and start sooner without them.
    from boost_edge.runtime.facets import Facets
    from boost_edge.runtime.filtering import Filters
    from boost_edge.runtime.preferences import Preference
    from boost_edge.runtime.where import Where

__all__ = ["Querier", "Request"]

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``k`` hits at most that pass a filter, none below the cosine ``min_score`` but for rounding.

    With preferences, those come first whose cosine and bonus are the greatest together.
    """

    k: int
    min_score: float | None
    where: Where | None
    prefer: tuple[Preference, ...]


def _no_time() -> dict[str, float]:
    """Return the milliseconds of each step before any of them is done."""
    return {"decode": 0.0, "encode": 0.0, "search": 0.0}


class Querier:
    """Answers queries of one open store; ``turn`` is held while the store is used."""

    def __init__(
        self, store: Store, encoder: Encoder, searcher: Searcher, turn: threading.RLock
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._searcher = searcher
        self._known_filters: Filters | None = None
        self._turn = turn

    def request(
        self, k: int, min_score: float | None, where: str | None, prefer: Iterable[str]
    ) -> Request:
        """Check what is asked, and read its filter and its preferences.

        Raises
        ------
        UsageError
            When something makes no sense, or names what the gallery does not know.
        """
        count = whole_number("k", k, least=1)
        least = None if min_score is None else real_number("min_score", min_score)
        if least is not None:
            if math.isnan(least):
                raise UsageError("min_score is not a number")
            # The same image, encoded in two ways, has not quite a cosine of 1.
            least -= _ROUNDING
        text = optional_text("where", where)
        preferences = texts("prefer", prefer, one="preference")
        if text is None and not preferences:
            return Request(k=count, min_score=least, where=None, prefer=())
        with self._turn, self._store.snapshot():
            filters = self._filters()
            return Request(
                k=count,
                min_score=least,
                where=None if text is None else filters.read(self._store, text),
                prefer=filters.preferences(self._store, preferences),
            )

    def by_image(self, image: ImageLike, request: Request) -> QueryResult:
        """Answer one image; see ``Gallery.query``."""
        took = _no_time()
        described = encode_example(self._encoder, image, took)
        return self._result(described.name, described.vector, described.predicted, request, took)

    def by_examples(
        self,
        like: Sequence[ExampleLike],
        unlike: Sequence[ExampleLike],
        unlike_weight: float,
        request: Request,
    ) -> QueryResult:
        """Answer several examples together; see ``Gallery.query_examples``."""
        like, unlike, weight = check_examples(like, unlike, unlike_weight)
        took = _no_time()
        wanted = [self._describe(each, took) for each in like]
        unwanted = [self._describe(each, took) for each in unlike]
        vector = combine(
            np.array([each.vector for each in wanted], np.float32),
            np.array([each.vector for each in unwanted], np.float32),
            weight,
        )
        predicted = in_common([each.predicted for each in wanted])
        result = self._result("<examples>", vector, predicted, request, took)
        return replace(
            result,
            like=tuple(each.name for each in wanted),
            unlike=tuple(each.name for each in unwanted),
        )

    def by_vector(self, vector: NDArray[np.float32], request: Request) -> tuple[Hit, ...]:
        """Answer a vector; see ``Gallery.search``."""
        dimensions = self._store.binding.dimensions
        try:
            query = np.asarray(vector, np.float32)
        except (TypeError, ValueError) as error:
            raise UsageError(f"a query vector must be ({dimensions},) numbers: {error}") from error
        if query.shape != (dimensions,) or not np.isfinite(query).all():
            raise UsageError(f"a query vector must be ({dimensions},) and finite")
        return self._hits(query, {}, request)

    def facets(self, where: str | None, attributes: Sequence[str] | None, limit: int) -> Facets:
        """Count the values of attributes; see ``Gallery.facets``."""
        from boost_edge.runtime.gallery_facets import count_asked

        with self._turn:
            return count_asked(
                self._store, self._filters(), where=where, attributes=attributes, limit=limit
            )

    def _filters(self) -> Filters:
        if self._known_filters is None:
            from boost_edge.runtime.filtering import Filters

            self._known_filters = Filters([each.name for each in self._encoder.manifest.attributes])
        return self._known_filters

    def _describe(self, example: ExampleLike, took: dict[str, float]) -> Described:
        if not isinstance(example, int):
            return encode_example(self._encoder, example, took)
        started = time.perf_counter()
        with self._turn:
            stored = stored_example(self._store, example)
        took["search"] += (time.perf_counter() - started) * 1e3
        return stored

    def _result(
        self,
        name: str,
        vector: NDArray[np.float32],
        predicted: dict[str, Prediction],
        request: Request,
        took: dict[str, float],
    ) -> QueryResult:
        started = time.perf_counter()
        hits = self._hits(vector, predicted, request)
        took["search"] += (time.perf_counter() - started) * 1e3
        return QueryResult(
            query=name,
            model=self._store.binding.model_sha256,
            took_ms=took,
            attributes=predicted,
            hits=hits,
        )

    def _hits(
        self, vector: NDArray[np.float32], predicted: Mapping[str, Prediction], request: Request
    ) -> tuple[Hit, ...]:
        """Return the hits for a vector of any length, of which this is predicted."""
        # What np.linalg.norm gives, in fewer steps.
        length = np.float32(math.sqrt(vector.dot(vector)))
        query = vector / length if length > 0 else vector
        store = self._store
        with self._turn, store.snapshot():
            among = None if request.where is None else self._filters().ids(store, request.where)
            find = partial(self._searcher.find, store, query, among=among)
            if request.prefer:
                from boost_edge.runtime.preferences import (
                    best_preferred,
                    bonuses_of,
                    greatest_bonus,
                )

                (ids, cosines), bonuses = best_preferred(
                    find,
                    bonuses_of(store, request.prefer),
                    request.k,
                    most=greatest_bonus(request.prefer),
                    least=request.min_score,
                    scores=partial(self._searcher.scores, store, query, among),
                    reach=self._searcher.reach(store, among),
                )
            else:
                ids, cosines = find(request.k)
                if request.min_score is not None:
                    # In double precision, as the score is given and the bound was.
                    near = cosines.astype(np.float64) >= request.min_score
                    ids, cosines = ids[near], cosines[near]
                bonuses = np.zeros(len(ids))
            rows = store.shown(ids.tolist())
        return make_hits((ids, cosines), rows, predicted, bonuses)
