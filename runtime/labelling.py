"""Say what a model predicts of any number of images, and leave open what it is not sure of.

Images are found as they are needed, and no more than two batches of them are held.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.argument_types import real_number
from boost_edge.runtime.crawl import find_images, require_paths
from boost_edge.runtime.encoder import DEFAULT_MIN_P, Encoder, Prediction
from boost_edge.runtime.encodings import encodings_of
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.manifest import Attribute
from boost_edge.runtime.progress import Progress
from boost_edge.runtime.selection import EVERYTHING, Selection

__all__ = [
    "DEFAULT_MIN_P",
    "Labelled",
    "Posteriors",
    "check_min_p",
    "label_images",
    "labelled",
    "posteriors_of",
    "require_attributes",
    "split_posteriors",
]

# A file and the posteriors ``(sum K_a,) float32`` of its attributes.
Posteriors: TypeAlias = tuple[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One image, and what the model says about it.

    ``path`` is how it was found. ``attributes`` has the likeliest value of every attribute, with
    its calibrated probability; ``labels`` has those of these values that are likely enough.
    """

    path: str
    attributes: dict[str, Prediction]
    labels: dict[str, str]


def label_images(
    encoder: Encoder,
    paths: Iterable[str | os.PathLike[str]],
    *,
    min_p: float | Mapping[str, float] = DEFAULT_MIN_P,
    selection: Selection = EVERYTHING,
    progress: Progress | None = None,
) -> Generator[Labelled | ImageError]:
    """Yield each image under some paths with its predicted attributes, as soon as it is known.

    Close the iterator (`contextlib.closing`) where its reader may stop early.

    Parameters
    ----------
    encoder
        The model; it must predict attributes.
    paths
        Images, and folders that are searched for images, as for ``Gallery.index``.
    min_p
        Probability in [0, 1] from which on a value is a label; by attribute where it is a mapping,
        with the default for those that it does not name.
    selection
        Which of the images below the folders are wanted.
    progress
        Called in this thread with (``label``, done, total); the images are counted first.

    Yields
    ------
    Labelled | ImageError
        Each image in the order of ``find_images``; an error for one that cannot be read.

    Raises
    ------
    UsageError
        At once, when a path does not exist, the model has no attributes, or ``min_p`` makes no
        sense.
    """
    least = check_min_p(encoder, min_p)
    given = require_paths(paths)
    return _label_images(encoder, given, least, selection, progress)


def labelled(
    encoder: Encoder, path: str, posteriors: NDArray[np.float32], least: Mapping[str, float]
) -> Labelled:
    """Return what the posteriors ``(sum K_a,) float32`` of an image say; see `check_min_p`."""
    attributes = encoder.describe(posteriors)
    return Labelled(
        path=path,
        attributes=attributes,
        labels={name: best.value for name, best in attributes.items() if best.p >= least[name]},
    )


def check_min_p(encoder: Encoder, min_p: float | Mapping[str, float]) -> dict[str, float]:
    """Return the least probability for each attribute of a model.

    Raises
    ------
    UsageError
        When one is not in [0, 1], is for no attribute of the model, or the model has none.
    """
    require_attributes(encoder)
    names = [attribute.name for attribute in encoder.manifest.attributes]
    if not isinstance(min_p, Mapping):
        return dict.fromkeys(names, _probability("min_p", min_p))
    if unknown := [name for name in min_p if name not in names]:
        raise UsageError(
            f"a least probability is given for {unknown[0]!r}, which is no attribute of "
            f"{encoder.path}: it has {', '.join(names)}"
        )
    least = dict.fromkeys(names, DEFAULT_MIN_P)
    return least | {name: _probability(f"min_p of {name}", p) for name, p in min_p.items()}


def require_attributes(encoder: Encoder) -> None:
    """Raise a UsageError, which says what to do, where a model predicts no attributes."""
    if not encoder.manifest.attributes:
        raise UsageError(
            f"{encoder.path}: has the readout {encoder.manifest.readout}, which predicts no "
            "attributes: give a model that was trained and exported with another --readout"
        )


def posteriors_of(encoder: Encoder, files: Iterable[str]) -> Generator[Posteriors | ImageError]:
    """Yield what a model with attributes says of each file, in order, as soon as it is known.

    Close the iterator where its reader may stop early.

    Raises
    ------
    UsageError
        When the model predicts no attributes.
    """
    require_attributes(encoder)
    return _posteriors(encoder, files)


def split_posteriors(
    schema: Sequence[Attribute], posteriors: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return the posteriors of each attribute, ``(N, K_a)``, of those of all, ``(N, sum K_a)``."""
    ends = np.cumsum([len(attribute.values) for attribute in schema])[:-1]
    return np.split(posteriors, ends, axis=1)


def _posteriors(encoder: Encoder, files: Iterable[str]) -> Generator[Posteriors | ImageError]:
    with closing(encodings_of(encoder, files)) as found:
        for each in found:
            if isinstance(each, ImageError):
                yield each
            else:
                # A model with attributes says something about every image.
                yield each.path, cast("NDArray[np.float32]", each.attributes)


def _label_images(
    encoder: Encoder,
    given: Iterable[str | os.PathLike[str]],
    least: Mapping[str, float],
    selection: Selection,
    progress: Progress | None,
) -> Generator[Labelled | ImageError]:
    # Looks at names only, which is much cheaper than what comes.
    total = sum(1 for _ in find_images(given, selection)) if progress else 0
    found = posteriors_of(encoder, find_images(given, selection))
    with closing(found):
        for done, each in enumerate(found, start=1):
            if isinstance(each, ImageError):
                yield each
            else:
                yield labelled(encoder, *each, least)
            if progress is not None:
                # Files may have come since they were counted.
                progress("label", done, max(total, done))


def _probability(name: str, value: object) -> float:
    p = real_number(name, value)
    if not 0 <= p <= 1:
        raise UsageError(f"{name} is {p}, but must be in [0, 1]")
    return p
