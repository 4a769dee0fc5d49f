"""Encode any number of files: read ahead in a few threads, given to the network in batches.

No more than two batches of images are held, however many files there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Encoding
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.prefetch import batched, decoders, prefetch
from boost_edge.runtime.spread import Spread, images_at_once

__all__ = ["FileEncoding", "encodings_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEncoding:
    """What the network says of one file.

    ``embedding`` is ``(D,) float32`` of norm 1, ``attributes`` the posteriors
    ``(sum K_a,) float32`` in the manifest's order; None where the model has no head.
    """

    path: str
    embedding: NDArray[np.float32]
    attributes: NDArray[np.float32] | None


def encodings_of(encoder: Encoder, files: Iterable[str]) -> Iterator[FileEncoding | ImageError]:
    """Yield what a model says of each file, in order, as soon as it is known.

    Close the iterator (`contextlib.closing`) where its reader may stop early.

    Yields
    ------
    FileEncoding | ImageError
        An error for a file that cannot be read as an image.
    """
    size = images_at_once(encoder.manifest.image.size, encoder.threads)
    loaded = prefetch(
        files, partial(_load, encoder), workers=decoders(encoder.threads), ahead=2 * size
    )
    with closing(cast("Any", loaded)), closing(Spread(encoder)) as spread:
        for batch in batched(loaded, size):
            read = [each for each in batch if not isinstance(each, ImageError)]
            rows = iter(_encode(spread, read))
            for each in batch:
                yield each if isinstance(each, ImageError) else next(rows)


def _load(encoder: Encoder, path: str) -> tuple[str, NDArray[np.uint8]] | ImageError:
    try:
        return path, encoder.load(path)
    except ImageError as error:
        return error


def _encode(spread: Spread, read: list[tuple[str, NDArray[np.uint8]]]) -> Iterator[FileEncoding]:
    """Yield what the network says of images, ready resized; there may be none."""
    if not read:
        return
    found: Encoding = spread.run(np.stack([pixels for _, pixels in read]))
    for row, (path, _) in enumerate(read):
        yield FileEncoding(
            path=path,
            embedding=found.embeddings[row],
            attributes=None if found.attributes is None else found.attributes[row],
        )
