"""Small changes to a photo that leave it the same photo: crop, mirror, blur, JPEG, brightness.

What is changed is the square that the network would see, so that every edit is the same for all
backbones of one image size. An edit depends on the image's content and the seed, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.images import IMAGES_VERSION, content_digest, fit_image, read_bytes
from boost_edge.runtime.manifest import DEFAULT_DECODE, ImageSpec, ResizePolicy

if TYPE_CHECKING:
    from boost_edge.bench.subject import Subject
    from boost_edge.models.backbones import Backbone

__all__ = ["EDITS", "edit_pixels", "edited_features"]

_EDITS_VERSION = 1
_BATCH = 32

Pixels = NDArray[np.uint8]


def _crop(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Keep a square of 80% of the edge, anywhere, and enlarge it again."""
    size = len(pixels)
    edge = max(1, round(0.8 * size))
    top, left = rng.integers(0, size - edge + 1, 2).tolist()
    part = np.ascontiguousarray(pixels[top : top + edge, left : left + edge])
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _flip(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur by a Gaussian whose deviation is 0.5% to 1.5% of the edge."""
    sigma = float(rng.uniform(0.005, 0.015)) * len(pixels)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def _jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Compress at a quality of 10 to 40."""
    quality = int(rng.integers(10, 41))
    # Both steps take blue first, so the colours come back as they went in.
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _brightness(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Multiply by 0.6 to 0.85 or by 1.15 to 1.4."""
    factor = float(rng.uniform(0.6, 0.85) if rng.random() < 0.5 else rng.uniform(1.15, 1.4))
    return np.asarray(np.clip(np.rint(pixels * factor), 0, 255), np.uint8)


EDITS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = MappingProxyType(
    {"crop": _crop, "flip": _flip, "blur": _blur, "jpeg": _jpeg, "brightness": _brightness}
)
"""By name; each maps ``(S, S, 3) uint8`` RGB to the same shape."""


def edit_pixels(name: str, pixels: Pixels, *, digest: str, seed: int) -> Pixels:
    """Return an edited copy; ``digest`` is the sha256 of the image's file."""
    text = f"{_EDITS_VERSION}:{seed}:{name}:{digest}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return EDITS[name](pixels, np.random.default_rng(number))


def edited_features(
    subject: Subject,
    backbone: Backbone,
    rows: NDArray[np.int64],
    edit: str,
    *,
    seed: int,
    resize: ResizePolicy,
) -> NDArray[np.float32]:
    """Return the features ``(n, F) float32`` of edited images; kept in the feature cache."""
    import torch

    from boost_edge.export.feature_cache import FeatureCache, cache_dir

    spec = ImageSpec(size=backbone.image_size, resize=resize, decode=DEFAULT_DECODE)
    how = (spec.size, spec.resize, spec.decode)
    parts = (_EDITS_VERSION, IMAGES_VERSION, backbone.digest(), *how, edit, seed)
    folder = cache_dir() / "features" if subject.cache is None else subject.cache
    name = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    matrix = np.empty((len(rows), backbone.width), np.float32)
    waiting: list[tuple[int, str, Pixels]] = []
    report = partial(subject.report, f"features ({edit})")
    with FeatureCache(folder / f"{name}.sqlite", width=backbone.width) as store:

        def run() -> None:
            if not waiting:
                return
            with torch.inference_mode():
                batch = torch.as_tensor(np.stack([pixels for _, _, pixels in waiting]))
                vectors: NDArray[np.float32] = backbone(batch).numpy()
            matrix[[place for place, _, _ in waiting]] = vectors
            store.put([digest for _, digest, _ in waiting], vectors)
            waiting.clear()

        numbers: list[int] = rows.tolist()
        for place, row in enumerate(numbers):
            data = read_bytes(subject.table.paths[row])
            digest = content_digest(data)
            known = store.get(digest)
            if known is not None:
                matrix[place] = known
            else:
                source = str(subject.table.paths[row])
                pixels, _ = fit_image(data, spec, source=source)
                edited = edit_pixels(edit, pixels, digest=digest, seed=seed)
                waiting.append((place, digest, edited))
            if len(waiting) == _BATCH:
                run()
                report(place, len(numbers))
        run()
        report(len(numbers), len(numbers))
    return matrix
