"""Pictures that cost as much to decode as photographs, drawn from a seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import BoostEdgeError

__all__ = ["draw_photo", "encode_jpeg"]

_GRAIN = 6.0


def draw_photo(width: int, height: int, *, seed: int) -> NDArray[np.uint8]:
    """Return noise at all scales with a photograph's spectrum, ``(height, width, 3) uint8``.

    Amplitudes fall with the frequency, as they do in photographs (Field, 1987); a picture of one
    colour, or of white noise, would be decoded faster or slower than any photograph.
    """
    rng = np.random.default_rng(seed)
    picture: NDArray[np.float32] = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells < max(width, height):
        rows, columns = max(2, cells * height // max(width, height)), cells
        layer = rng.normal(size=(rows, columns, 3)).astype(np.float32)
        smooth = np.asarray(
            cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC), np.float32
        )
        picture += smooth / np.float32(cells**0.7)
        cells *= 2
    picture -= picture.mean()
    picture *= 55.0 / max(float(picture.std()), 1e-6)
    picture += rng.normal(scale=_GRAIN, size=picture.shape).astype(np.float32) + 120.0
    return np.clip(picture, 0, 255).astype(np.uint8)


def encode_jpeg(picture: NDArray[np.uint8], *, quality: int = 88) -> bytes:
    """Return an RGB picture as the bytes of a JPEG file."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BoostEdgeError("OpenCV could not write a JPEG: please report this")
    return data.tobytes()
