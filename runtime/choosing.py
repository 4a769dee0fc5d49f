"""Choose which images a person should label next: those that the model doubts, no two alike.

Labels cost a person's time, so they should go where they tell most. An image is drawn with a
probability that grows with the square of the model's doubt and with the squared distance to what
is labelled or chosen already: doubt alone would ask for the same hard case again and again.

Least confidence is of D. D. Lewis and W. A. Gale, "A sequential algorithm for training text
classifiers" (1994); drawing by squared distance is how k-means++ begins (D. Arthur and
S. Vassilvitskii, 2007), and J. T. Ash et al. choose labels by it ("Deep batch active learning by
diverse, uncertain gradient lower bounds", 2020).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.argument_types import whole_number
from boost_edge.runtime.crawl import absolute, find_images, require_paths
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.encodings import FileEncoding, encodings_of
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.labelling import (
    DEFAULT_MIN_P,
    Labelled,
    check_min_p,
    labelled,
    split_posteriors,
)
from boost_edge.runtime.progress import Progress
from boost_edge.runtime.selection import EVERYTHING, Selection

__all__ = ["Choice", "choose_images", "choose_rows", "doubts", "entropy"]

# The squared distance of opposite rows of norm 1: so far is all from nothing.
_FARTHEST = 4.0
# Rows whose cosines to all others are held at once.
_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The images to label, in the order in which they were drawn, and what was looked at.

    ``images`` have the model's guesses, which a person corrects; none where it has no attributes.
    ``candidates`` counts the images that were readable, ``labelled`` those left out because they
    have labels, and ``skipped`` are those that could not be read.
    """

    images: tuple[Labelled, ...]
    candidates: int
    labelled: int
    skipped: tuple[ImageError, ...]


def choose_images(
    encoder: Encoder,
    paths: Iterable[str | os.PathLike[str]],
    *,
    count: int,
    done: Collection[str] = (),
    doubts_of: Sequence[str] | None = None,
    seed: int = 0,
    selection: Selection = EVERYTHING,
    progress: Progress | None = None,
) -> Choice:
    """Choose images under some paths for labelling; all of them where there are no more.

    The embeddings and posteriors of all images are held twice: for the shipped model some 8 KB for
    each image.

    Parameters
    ----------
    encoder
        The model. One without attributes has no doubts: then images are chosen by how they look.
    paths
        Images, and folders that are searched for images, as for ``Gallery.index``.
    count
        How many to choose, at least 1.
    done
        Paths of the images that have labels already: what is chosen is unlike them too.
    doubts_of
        The attributes that matter; None for all.
    seed
        Not negative. The same images, model and seed give the same choice.

    Raises
    ------
    UsageError
        When a path does not exist, a number makes no sense, or an attribute is not the model's.
    """
    wanted = whole_number("count", count, least=1)
    start = whole_number("seed", seed, least=0)
    columns = _columns(encoder, doubts_of)
    known = frozenset(map(absolute, done))
    # In an order of their own: the same images may be found in another.
    files = sorted(find_images(require_paths(paths), selection))
    candidates: list[FileEncoding] = []
    labelled_too: list[FileEncoding] = []
    skipped: list[ImageError] = []
    with closing(encodings_of(encoder, files)) as encoded:
        for number_done, each in enumerate(encoded, start=1):
            if isinstance(each, ImageError):
                skipped.append(each)
            else:
                (labelled_too if absolute(each.path) in known else candidates).append(each)
            if progress is not None:
                progress("encode", number_done, len(files))
    chosen: list[FileEncoding] = []
    if candidates:
        rows = choose_rows(
            _embeddings(candidates),
            _doubts_of(encoder, candidates, columns),
            wanted,
            labelled=_embeddings(labelled_too) if labelled_too else None,
            seed=start,
        )
        chosen = [candidates[row] for row in rows]
    return Choice(
        images=tuple(_guesses(encoder, chosen)),
        candidates=len(candidates),
        labelled=len(labelled_too),
        skipped=tuple(skipped),
    )


def doubts(posteriors: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Return how much a model doubts what it says of N images, ``(N,)`` in [0, 1].

    For each attribute that is the probability that its likeliest value is wrong. The attributes
    are weighted as in the readout ``match``, by the squared entropy of their values, for which the
    mean of the posteriors stands: those with many values tell most of what is alike.

    Parameters
    ----------
    posteriors
        A matrices ``(N, K_a)``, rows of which sum to 1; N and A are at least 1.
    """
    weights = np.array([entropy(each.mean(axis=0, dtype=np.float64)) ** 2 for each in posteriors])
    if not weights.any():
        weights += 1.0
    unsure = np.stack([1.0 - each.max(axis=1) for each in posteriors]).astype(np.float64)
    doubt: NDArray[np.float64] = np.clip(weights @ unsure / weights.sum(), 0.0, 1.0)
    return doubt


def entropy(probabilities: NDArray[np.float64]) -> float:
    """Return the entropy of a distribution ``(K,)``, in nats."""
    known = probabilities[probabilities > 0]
    return float(-(known * np.log(known)).sum())


def choose_rows(
    embeddings: NDArray[np.float32],
    doubt: NDArray[np.float64],
    count: int,
    *,
    labelled: NDArray[np.float32] | None = None,
    seed: int,
) -> NDArray[np.int64]:
    """Return ``min(count, N)`` different rows, in the order in which they were drawn.

    Parameters
    ----------
    embeddings
        ``(N, D)`` with rows of norm 1.
    doubt
        ``(N,)``, not negative; all equal where nothing is known.
    labelled
        ``(L, D)``, what is labelled already; None for nothing.
    """
    rng = np.random.default_rng(seed)
    # Of what is chosen both become 0.
    squared, left = doubt**2, np.ones(len(doubt))
    distance = np.full(len(doubt), _FARTHEST)
    if labelled is not None:
        for block in np.array_split(labelled, len(labelled) // _AT_ONCE + 1):
            distance = _nearer(distance, (embeddings @ block.T).max(axis=1, initial=-1.0))
    chosen: list[int] = []
    for _ in range(min(count, len(doubt))):
        weights = squared * distance
        if not weights.any():
            weights = squared if squared.any() else left
        row = int(rng.choice(len(weights), p=weights / weights.sum()))
        chosen.append(row)
        squared[row] = left[row] = 0.0
        distance = _nearer(distance, embeddings @ embeddings[row])
    return np.array(chosen, np.int64)


def _nearer(distance: NDArray[np.float64], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the lesser of squared distances and those of cosines to something else."""
    nearer: NDArray[np.float64] = np.minimum(distance, np.clip(2.0 - 2.0 * cosines, 0.0, None))
    return nearer


def _columns(encoder: Encoder, names: Sequence[str] | None) -> list[int]:
    """Return which attributes of the model are meant, in its order."""
    known = [attribute.name for attribute in encoder.manifest.attributes]
    if names is None:
        return list(range(len(known)))
    if not names:
        raise UsageError("doubts_of names no attribute: leave it out for all of them")
    if unknown := [name for name in names if name not in known]:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{unknown[0]!r} is no attribute of {encoder.path}: {has}")
    return [column for column, name in enumerate(known) if name in names]


def _embeddings(images: Sequence[FileEncoding]) -> NDArray[np.float32]:
    return np.stack([each.embedding for each in images])


def _doubts_of(
    encoder: Encoder, images: Sequence[FileEncoding], columns: Sequence[int]
) -> NDArray[np.float64]:
    rows = [each.attributes for each in images if each.attributes is not None]
    if not rows:
        return np.ones(len(images))
    parts = split_posteriors(encoder.manifest.attributes, np.stack(rows))
    return doubts([parts[column] for column in columns])


def _guesses(encoder: Encoder, images: Sequence[FileEncoding]) -> list[Labelled]:
    if not encoder.manifest.attributes:
        return [Labelled(path=each.path, attributes={}, labels={}) for each in images]
    least = check_min_p(encoder, DEFAULT_MIN_P)
    return [
        labelled(encoder, each.path, each.attributes, least)
        for each in images
        if each.attributes is not None
    ]
