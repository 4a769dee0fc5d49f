"""Encode any number of files: read ahead in a few threads, given to the network in batches.

No more than four batches of images are held, however many files there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Encoding
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.prefetch import batched, prefetch
from boost_edge.runtime.spread import Spread, images_at_once

__all__ = ["FileEncoding", "encodings_of"]

_Loaded: TypeAlias = tuple[str, NDArray[np.uint8]] | ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEncoding:
    """What the network says of one file.

    ``embedding`` is ``(D,) float32`` of norm 1, ``attributes`` the posteriors
    ``(sum K_a,) float32`` in the manifest's order; None where the model has no head.
    """

    path: str
    embedding: NDArray[np.float32]
    attributes: NDArray[np.float32] | None


def encodings_of(encoder: Encoder, files: Iterable[str]) -> Generator[FileEncoding | ImageError]:
    """Yield what a model says of each file, in order, as soon as it is known.

    Close the iterator (`contextlib.closing`) where its reader may stop early.

    Yields
    ------
    FileEncoding | ImageError
        An error for a file that cannot be read as an image.
    """
    size = images_at_once(encoder.manifest.image.size, encoder.threads)
    with closing(Spread(encoder)) as spread:
        loaded = prefetch(files, partial(_load, encoder), workers=spread.pool, ahead=2 * size)
        # Read once: the network sees the pixels of what can be read, the reader all of it.
        batches, again = itertools.tee(batched(loaded, size))
        with closing(loaded):
            encoded = spread.each(_pixels(encoder, batch) for batch in again)
            for batch, found in zip(batches, encoded, strict=True):
                rows = itertools.count()
                for each in batch:
                    yield each if isinstance(each, ImageError) else _row(each[0], found, next(rows))


def _load(encoder: Encoder, path: str) -> _Loaded:
    try:
        return path, encoder.load(path)
    except ImageError as error:
        return error


def _pixels(encoder: Encoder, batch: Sequence[_Loaded]) -> NDArray[np.uint8]:
    """Return the images of a batch, ready resized; there may be none."""
    size = encoder.manifest.image.size
    read = [each[1] for each in batch if not isinstance(each, ImageError)]
    return np.stack(read) if read else np.empty((0, size, size, 3), np.uint8)


def _row(path: str, found: Encoding, row: int) -> FileEncoding:
    return FileEncoding(
        path=path,
        embedding=found.embeddings[row],
        attributes=None if found.attributes is None else found.attributes[row],
    )
