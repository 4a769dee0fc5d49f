"""The pixels of a training, decoded once and kept on disk while it lasts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.images import content_digest, fit_image, read_bytes
from boost_edge.runtime.manifest import ImageSpec

__all__ = ["LoadedPictures", "load_pictures"]

_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPictures:
    """N images as the network will get them.

    ``pixels`` is ``(N, S, S, 3) uint8``, backed by a file and zero where an image was skipped;
    ``digests`` are the sha256 of the files, empty for those; ``skipped`` says which, and why.
    """

    pixels: NDArray[np.uint8]
    digests: tuple[str, ...]
    skipped: tuple[tuple[int, ImageError], ...]


def load_pictures(
    paths: Sequence[Path],
    spec: ImageSpec,
    file: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedPictures:
    """Decode images into the file, which is overwritten; whoever asks deletes it in the end."""
    shape = (len(paths), spec.size, spec.size, 3)
    pixels = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    digests = [""] * len(paths)
    skipped: list[tuple[int, ImageError]] = []

    def load(row: int) -> ImageError | None:
        try:
            data = read_bytes(paths[row])
            pixels[row], _ = fit_image(data, spec, source=str(paths[row]))
        except ImageError as error:
            return error
        digests[row] = content_digest(data)
        return None

    with ThreadPoolExecutor(os.cpu_count() or 1, "boost-edge-load") as pool:
        for start in range(0, len(paths), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(paths)))
            for row, error in zip(rows, pool.map(load, rows), strict=True):
                if error is not None:
                    skipped.append((row, error))
            if progress is not None:
                progress(rows.stop, len(paths))
    return LoadedPictures(pixels=pixels, digests=tuple(digests), skipped=tuple(skipped))
