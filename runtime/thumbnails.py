"""Pictures small enough to stand inside a page."""

from __future__ import annotations

import base64

import cv2

from boost_edge.runtime.images import decode_image, read_bytes

__all__ = ["thumbnail"]

_EDGE = 200
_QUALITY = 82


def thumbnail(path: str) -> str:
    """Return an image file as the address of a small JPEG copy, which holds the copy itself.

    Raises
    ------
    ImageError
        When the file cannot be read.
    """
    image = decode_image(read_bytes(path), source=path)
    scale = min(1.0, _EDGE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else image
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
