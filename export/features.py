"""Images in, pooled features of the frozen backbone out: computed once, then read from disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.feature_cache import FeatureCache, cache_dir
from boost_edge.models.backbones import Backbone
from boost_edge.models.devices import on_best_device
from boost_edge.runtime.errors import ImageError, UsageError, WeightsError
from boost_edge.runtime.images import (
    IMAGES_VERSION,
    content_digest,
    fit_image,
    read_bytes,
)
from boost_edge.runtime.manifest import DEFAULT_DECODE, DEFAULT_RESIZE, ImageSpec, ResizePolicy
from boost_edge.runtime.prefetch import prefetch

__all__ = ["Features", "extract_features"]

_MOST_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The features of N images, one row for each, in the order they were given.

    Parameters
    ----------
    matrix
        ``(N, F) float32``; NaN in the rows of skipped images, so that none is used unseen.
    digests
        Sha256 of each image file in hexadecimal, N of them; empty for a skipped image.
    skipped
        The rows whose image cannot be read, and why.
    """

    matrix: NDArray[np.float32]
    digests: tuple[str, ...]
    skipped: tuple[tuple[int, ImageError], ...]


def extract_features(
    backbone: Backbone,
    paths: Sequence[Path],
    *,
    resize: ResizePolicy = DEFAULT_RESIZE,
    cache: Path | None = None,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Return the features of images, computing those that the cache does not hold.

    Every batch is written to the cache at once, so after an interruption the next call goes on
    where this one stopped. Images of equal content are computed once.

    Parameters
    ----------
    backbone
        In evaluation mode, on the CPU; maps ``(N, S, S, 3)`` uint8 to ``(N, F)`` float32. Where
        there is a CUDA device it does so there.
    cache
        Folder of the cache files; ``None`` for ``features`` in
        `boost_edge.export.feature_cache.cache_dir`.
    batch_size
        Images that go through the network at once.
    progress
        Called with (images done, images in all), from this thread.

    Raises
    ------
    UsageError
        When ``batch_size`` is below 1, or there is no folder for the cache.
    WeightsError
        When the backbone gives a feature that is not finite.
    """
    if batch_size < 1:
        raise UsageError(f"a batch of {batch_size} images is not possible: give 1 or more")
    folder = cache_dir() / "features" if cache is None else cache
    spec = ImageSpec(size=backbone.image_size, resize=resize, decode=DEFAULT_DECODE)
    path = folder / f"{_cache_key(backbone, spec)}.sqlite"
    with (
        FeatureCache(path, width=backbone.width) as store,
        on_best_device(backbone) as device,
    ):
        work = _Extraction(backbone, device, store, len(paths), batch_size)
        loaded = prefetch(
            paths,
            partial(_load, spec=spec, store=store),
            workers=min(_MOST_THREADS, os.cpu_count() or 1),
            ahead=3 * batch_size,
        )
        with closing(loaded):
            for row, image in enumerate(loaded):
                work.take(row, image)
                if progress is not None and (row + 1) % batch_size == 0 and row + 1 < len(paths):
                    progress(row + 1, len(paths))
        features = work.finish()
    if progress is not None:
        progress(len(paths), len(paths))
    return features


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """One image file: its features if the cache has them, else its pixels ``(S, S, 3) uint8``."""

    digest: str
    vector: NDArray[np.float32] | None
    pixels: NDArray[np.uint8] | None


class _Extraction:
    """The state of one extraction: the matrix as it fills, and the batch that is waiting."""

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        store: FeatureCache,
        count: int,
        batch_size: int,
    ) -> None:
        self._backbone = backbone
        self._device = device
        self._store = store
        self._batch_size = batch_size
        self._matrix = np.full((count, backbone.width), np.nan, dtype=np.float32)
        self._digests = [""] * count
        self._first: dict[str, int] = {}
        self._waiting: list[tuple[int, NDArray[np.uint8]]] = []
        self._skipped: list[tuple[int, ImageError]] = []

    def take(self, row: int, loaded: _Loaded | ImageError) -> None:
        """Account for the next image, and run the network when a batch is full."""
        if isinstance(loaded, ImageError):
            self._skipped.append((row, loaded))
            return
        self._digests[row] = loaded.digest
        if self._first.setdefault(loaded.digest, row) != row:
            return
        if loaded.vector is not None:
            self._matrix[row] = loaded.vector
        elif loaded.pixels is not None:
            self._waiting.append((row, loaded.pixels))
            if len(self._waiting) == self._batch_size:
                self._run()

    def finish(self) -> Features:
        """Run what is waiting, and return everything."""
        if self._waiting:
            self._run()
        for row, digest in enumerate(self._digests):
            if digest and (first := self._first[digest]) != row:
                self._matrix[row] = self._matrix[first]
        return Features(
            matrix=self._matrix, digests=tuple(self._digests), skipped=tuple(self._skipped)
        )

    def _run(self) -> None:
        rows = [row for row, _ in self._waiting]
        batch = torch.as_tensor(np.stack([pixels for _, pixels in self._waiting]))
        with torch.inference_mode():
            vectors: NDArray[np.float32] = self._backbone(batch.to(self._device)).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise WeightsError(
                f"backbone {self._backbone.spec.name} gives features that are not finite: its "
                f"weights ({self._backbone.weights.source}) are damaged or do not fit"
            )
        self._matrix[rows] = vectors
        self._store.put([self._digests[row] for row in rows], vectors)
        self._waiting.clear()


def _cache_key(backbone: Backbone, spec: ImageSpec) -> str:
    parts = (str(IMAGES_VERSION), backbone.digest(), str(spec.size), spec.resize, str(spec.decode))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _load(path: Path, spec: ImageSpec, store: FeatureCache) -> _Loaded | ImageError:
    """Load one image, in any thread; an error is returned, not raised."""
    try:
        data = read_bytes(path)
        digest = content_digest(data)
        vector = store.get(digest)
        if vector is not None:
            return _Loaded(digest=digest, vector=vector, pixels=None)
        pixels, _ = fit_image(data, spec, source=str(path))
        return _Loaded(digest=digest, vector=None, pixels=pixels)
    except ImageError as error:
        return error
