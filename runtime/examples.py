"""Queries by several examples, wanted and unwanted: Rocchio's method.

The query is the mean of the wanted embeddings less a share of the mean of the unwanted ones, after
J. J. Rocchio, "Relevance feedback in information retrieval" (1971), without an initial query.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.argument_types import as_list, real_number
from boost_edge.runtime.encoder import Encoder, ImageLike, Prediction
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.store import Store

__all__ = [
    "UNLIKE_WEIGHT",
    "Described",
    "ExampleLike",
    "check_examples",
    "combine",
    "encode_example",
    "in_common",
    "stored_example",
]

# The ratio of gamma = 0.15 to beta = 0.75, which C. D. Manning, P. Raghavan and H. Schuetze,
# "Introduction to Information Retrieval" (2008), section 9.1.1, call reasonable.
UNLIKE_WEIGHT = 0.2

# What is left where examples cancel each other out: the rounding of float32.
_NOTHING = 1e-6

# An image, or the id of one in the gallery.
ExampleLike: TypeAlias = ImageLike | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One example: its name, what is predicted of it, and its embedding ``(D,) float32``."""

    name: str
    predicted: dict[str, Prediction]
    vector: NDArray[np.float32]


def check_examples(
    like: Iterable[ExampleLike], unlike: Iterable[ExampleLike], unlike_weight: float
) -> tuple[list[ExampleLike], list[ExampleLike], float]:
    """Return what is asked for, where it makes a query.

    Raises
    ------
    UsageError
        When there is no wanted example, or the weight is negative or not finite.
    """
    wanted = as_list("like", like, one="example")
    unwanted = as_list("unlike", unlike, one="example")
    if not wanted:
        raise UsageError("there is no example to be like: give at least one, also beside unlike")
    weight = real_number("the weight of unlike", unlike_weight)
    if not 0 <= weight < float("inf"):
        raise UsageError(f"the weight of unlike is {unlike_weight}, but must be at least 0")
    return wanted, unwanted, weight


def encode_example(encoder: Encoder, image: ImageLike, took: dict[str, float]) -> Described:
    """Return an image as a model sees it; adds the milliseconds to ``decode`` and ``encode``.

    Raises
    ------
    ImageError
        When it cannot be read.
    UsageError
        When it is no image.
    """
    started = time.perf_counter()
    pixels = encoder.load(image)
    decoded = time.perf_counter()
    encoding = encoder.run(pixels[None])
    predicted: dict[str, Prediction] = {}
    if encoding.attributes is not None:
        predicted = encoder.describe(encoding.attributes[0])
    took["decode"] += (decoded - started) * 1e3
    took["encode"] += (time.perf_counter() - decoded) * 1e3
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else "<array>"
    return Described(name=name, predicted=predicted, vector=encoding.embeddings[0])


def stored_example(store: Store, identity: int) -> Described:
    """Return an image of the gallery, as it was when it was indexed.

    Raises
    ------
    UsageError
        When no live image has this id.
    """
    with store.snapshot():
        row = store.images([identity]).get(identity)
        if row is None:
            raise UsageError(f"id {identity}: the gallery has no such image")
        [vector] = store.vectors_of([identity])
    return Described(name=row.path, predicted=row.predicted, vector=vector)


def combine(
    like: NDArray[np.float32], unlike: NDArray[np.float32], unlike_weight: float
) -> NDArray[np.float32]:
    """Return the query ``(D,) float32`` for wanted ``(n, D)`` and unwanted ``(m, D)`` embeddings.

    It is ``mean(like) - unlike_weight * mean(unlike)``; ``m`` may be 0. One wanted embedding alone
    comes back bit for bit.

    Raises
    ------
    UsageError
        When nothing is left of it.
    """
    query = like.mean(axis=0, dtype=np.float64)
    if len(unlike):
        query -= unlike_weight * unlike.mean(axis=0, dtype=np.float64)
    if np.linalg.norm(query) <= _NOTHING:
        raise UsageError("the examples cancel each other out, which leaves nothing to look for")
    combined: NDArray[np.float32] = query.astype(np.float32)
    return combined


def in_common(examples: Sequence[dict[str, Prediction]]) -> dict[str, Prediction]:
    """Return the predicted values that all examples share, with the mean of their probabilities."""
    first, *others = examples
    return {
        name: Prediction(value=each.value, p=sum(one[name].p for one in examples) / len(examples))
        for name, each in first.items()
        if all(name in other and other[name].value == each.value for other in others)
    }
