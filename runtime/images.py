"""Read images: the only decode and resize path, for training as for serving.

What a picture becomes is fixed here, whatever the format:

- RGB, 8 bits. Grey and palette are expanded, CMYK and YCCK JPEG converted (with inverted inks, as
  Adobe writes them and everybody reads them), 16 bits scaled by 1/257. Colour profiles are ignored.
- The EXIF orientation is applied. Transparency is laid on white.
- Of an animation the first frame is taken (of an animated PNG the picture that viewers without
  animation show), of a TIFF file the first page.
- Refused with reason ``unsupported``: floating point, signed and 32-bit samples, 12-bit JPEG,
  unusual TIFF variants, and every format beyond JPEG, PNG, GIF, BMP, WebP and TIFF.
- Refused with reason ``damaged``: a file that ends early, even when a part of it could be shown (a
  JPEG without its end marker, an uncompressed bitmap short of one row); a PNG with a wrong
  checksum; whatever OpenCV cannot decode. Damage within a JPEG, WebP or TIFF that the decoder
  repairs goes unnoticed: these formats have no checksums.

The bytes are read here and handed to ``cv2.imdecode``, so any file name works. OpenCV, libpng and
libjpeg write warnings straight to the process's stderr, and silencing them takes global state, so
a library must not; instead, what is known to make them complain is recognised or taken out first.
"""

from __future__ import annotations

import os

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.image_file import MAX_BYTES, content_digest, read_bytes
from boost_edge.runtime.image_header import (
    ImageHeader,
    identify_format,
    picture_bytes,
    read_header,
)
from boost_edge.runtime.manifest import ImageSpec
from boost_edge.runtime.reduction import reduction

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGES_VERSION",
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "REASONS",
    "content_digest",
    "decode_image",
    "fit_image",
    "load_image",
    "read_bytes",
    "resize_image",
]

REASONS: tuple[str, ...] = (
    "missing",
    "not_a_file",
    "permission",
    "unreadable",
    "empty",
    "unsupported",
    "damaged",
    "too_large",
)
"""Codes of ``ImageError.reason``.

``missing``: nothing has this name. ``not_a_file``: a folder, FIFO, socket or device.
``permission``: it may not be read. ``unreadable``: the system failed to read it. ``empty``: no
bytes. ``unsupported``: not an image, or a kind that is not decoded. ``damaged``: cut short, or
cannot be decoded. ``too_large``: over the limit of pixels or bytes.
"""

IMAGES_VERSION = 1
"""Raise it when an image is decoded or resized differently: cached features are then made anew."""

DEFAULT_MAX_PIXELS = 100_000_000
"""Largest width x height that is decoded: 300 MB as RGB, more than any product photograph."""

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
"""Suffixes, in lower case, by which files in a folder are taken for images."""

# OpenCV's own limit for either edge (CV_IO_MAX_IMAGE_WIDTH), which it reports as an exception.
_MAX_EDGE = 1 << 20
# How a picture smaller than the network's input is enlarged. Shrinking is always by area.
_ENLARGE = cv2.INTER_LINEAR
_WHITE = 255
# Pictures of up to so many samples, a megapixel, are shrunk in float32: 12 MB.
_FLOAT_SAMPLES = 3_000_000
# By what a JPEG's edges are divided -> how OpenCV is asked for it.
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
}

_KNOWN_AS = "JPEG, PNG, WebP, GIF, BMP and TIFF are"


def decode_image(
    data: bytes,
    *,
    source: str,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    spec: ImageSpec | None = None,
) -> NDArray[np.uint8]:
    """Decode an image file from its bytes.

    Parameters
    ----------
    data
        The whole file.
    source
        The name to give in errors.
    max_pixels
        Largest width x height; checked against the header, before anything is decoded.
    spec
        What the picture is for: where it says so, a JPEG that is much larger than the network's
        input comes at half or a quarter of its size (``reduction``).

    Returns
    -------
    NDArray[np.uint8]
        ``(H, W, 3)`` RGB, contiguous, upright, laid on white; see the module's docstring.

    Raises
    ------
    ImageError
        With reason ``unsupported``, ``damaged``, ``too_large`` or ``empty``.
    """
    header = _checked_header(data, source, max_pixels)
    return _red_first(_decoded(data, header, source, _divisor(header, spec)))


def fit_image(
    data: bytes, spec: ImageSpec, *, source: str, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image file from its bytes and bring it to the network's square input.

    The one way from a file to a network, in training and in serving.

    Returns
    -------
    tuple
        ``(S, S, 3) uint8`` RGB, contiguous, and the file's width and height in pixels, upright.

    Raises
    ------
    ImageError
        As `decode_image`.
    """
    header = _checked_header(data, source, max_pixels)
    divisor = _divisor(header, spec)
    image = _decoded(data, header, source, divisor)
    height, width = image.shape[:2]
    if divisor > 1:
        sideways = header.orientation >= 5
        height, width = (header.height, header.width)[:: -1 if sideways else 1]
    # Mostly there are fewer pixels to turn round now.
    return _red_first(_fitted(image, spec, width, height)), (width, height)


def _divisor(header: ImageHeader, spec: ImageSpec | None) -> int:
    """Return by what the edges of a picture are divided when it is decoded."""
    if spec is None or header.format != "jpeg":
        return 1
    return reduction(header.width, header.height, spec)


def _decoded(data: bytes, header: ImageHeader, source: str, divisor: int) -> NDArray[np.uint8]:
    """Return a file's picture upright and laid on white, a JPEG's edges divided by ``divisor``.

    ``(H, W, 3)``, contiguous, in OpenCV's order of channels: blue, green, red.
    """
    picture = np.frombuffer(picture_bytes(data, header), np.uint8)
    # With IMREAD_UNCHANGED alpha and depth are kept; a JPEG has neither, but may be CMYK.
    flags = _JPEG_FLAGS[divisor] if header.format == "jpeg" else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(picture, flags)
        if pixels is None:
            raise _undecodable(source, header)
        return _upright(_on_white(_eight_bits(pixels, header, source), header), header.orientation)
    except cv2.error as error:
        raise _undecodable(source, header) from error


def _undecodable(source: str, header: ImageHeader) -> ImageError:
    detail = f"this {header.format.upper()} file is damaged: OpenCV cannot decode it"
    return ImageError(source, "damaged", detail)


def _checked_header(data: bytes, source: str, max_pixels: int) -> ImageHeader:
    """Return the header of a file that is whole, supported and within the limits."""
    if not data:
        raise ImageError(source, "empty", "the file is empty")
    kind = identify_format(data)
    if kind is None:
        detail = f"it is not an image in a supported format: {_KNOWN_AS}"
        raise ImageError(source, "unsupported", detail)
    header = read_header(data)
    if header is None:
        raise ImageError(source, "damaged", f"the header of this {kind.upper()} file is damaged")
    if header.width * header.height > max_pixels:
        size = f"{header.width} x {header.height} pixels"
        raise ImageError(source, "too_large", f"{size} are over the limit of {max_pixels:,}")
    if max(header.width, header.height) > _MAX_EDGE:
        detail = f"its longer edge has over {_MAX_EDGE:,} pixels, which OpenCV does not decode"
        raise ImageError(source, "too_large", detail)
    if not header.complete:
        detail = f"this {kind.upper()} file ends early or is damaged: copy it again"
        raise ImageError(source, "damaged", detail)
    if header.refusal is not None:
        detail = f"this variant of {kind.upper()} is not supported: {header.refusal}"
        raise ImageError(source, "unsupported", detail)
    return header


def _eight_bits(pixels: MatLike, header: ImageHeader, source: str) -> MatLike:
    """Return 8-bit samples, with an alpha channel where a grey PNG declares one level clear."""
    clear = None if header.transparent_grey is None else pixels == header.transparent_grey
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    elif pixels.dtype != np.uint8:
        raise ImageError(source, "unsupported", f"its samples are {pixels.dtype}, not 8 or 16 bits")
    if clear is None or pixels.ndim != 2:
        return pixels
    alpha = np.where(clear, np.uint8(0), np.uint8(_WHITE))
    return cv2.merge((pixels, pixels, pixels, alpha))


def _on_white(pixels: MatLike, header: ImageHeader) -> MatLike:
    """Turn grey, BGR or BGRA into BGR, laid on white."""
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    if pixels.shape[2] == 3:
        return pixels
    if header.alpha == "none" or int(pixels[:, :, 3].min()) == _WHITE:
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)
    alpha = cv2.cvtColor(cv2.extractChannel(pixels, 3), cv2.COLOR_GRAY2BGR)
    colour = cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)
    if header.alpha == "straight":
        colour = cv2.multiply(colour, alpha, dst=colour, scale=1 / _WHITE)
    return cv2.add(colour, cv2.bitwise_not(alpha, dst=alpha), dst=colour)


def _red_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn BGR into RGB, in the same memory."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), np.uint8)


def _upright(pixels: MatLike, orientation: int) -> NDArray[np.uint8]:
    """Undo the EXIF orientation (Exif 2.32, tag 274), 1 to 8."""
    if orientation in {5, 7}:
        pixels = cv2.transpose(pixels)
    if orientation == 2:
        pixels = cv2.flip(pixels, 1)
    elif orientation in {3, 7}:
        pixels = cv2.flip(pixels, -1)
    elif orientation == 4:
        pixels = cv2.flip(pixels, 0)
    elif orientation == 6:
        pixels = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    elif orientation == 8:
        pixels = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return np.ascontiguousarray(pixels, np.uint8)


def resize_image(image: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    """Bring an image to the network's square input.

    Parameters
    ----------
    image
        ``(H, W, 3)`` uint8 RGB, at least one pixel; not changed.
    spec
        The edge S and the policy: ``squash`` (both edges to S), ``crop`` (the largest centred
        square to S), ``letterbox`` (the long edge to S, the rest white, centred).

    Returns
    -------
    NDArray[np.uint8]
        ``(S, S, 3)`` RGB, contiguous. Shrinking averages over areas, enlarging is bilinear.

    Raises
    ------
    UsageError
        When the array is not an image of that shape and type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        found = f"{image.shape} {image.dtype}"
        raise UsageError(f"an image is an array of shape (H, W, 3) and type uint8, not {found}")
    height, width = image.shape[:2]
    return _fitted(image, spec, width, height)


def _fitted(
    image: NDArray[np.uint8], spec: ImageSpec, full_width: int, full_height: int
) -> NDArray[np.uint8]:
    """Resize as `resize_image` does; the full size decides on letterbox's margins.

    The edges of a picture that was decoded in part are rounded up, and no longer as one to another.
    """
    height, width = image.shape[:2]
    size = spec.size
    if spec.resize == "squash":
        return _scaled(image, size, size)
    if spec.resize == "crop":
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        return _scaled(image[top : top + edge, left : left + edge], size, size)
    longest = max(full_height, full_width)
    inner_height = max(1, round(full_height * size / longest))
    inner_width = max(1, round(full_width * size / longest))
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    canvas = np.full((size, size, 3), _WHITE, np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = _scaled(
        image, inner_height, inner_width
    )
    return canvas


def _scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale to ``(height, width, 3)``, each edge by what suits it.

    INTER_AREA only averages when both edges shrink, so an image that shrinks along one edge and
    grows along the other takes two steps.
    """
    result: MatLike = image
    shrunk = (min(image.shape[0], height), min(image.shape[1], width))
    if shrunk != image.shape[:2]:
        result = _averaged(result, *shrunk)
    if shrunk != (height, width):
        result = cv2.resize(result, (width, height), interpolation=_ENLARGE)
    return np.ascontiguousarray(result, np.uint8)


def _averaged(image: MatLike, height: int, width: int) -> MatLike:
    """Shrink to ``(height, width, 3)``, each pixel the mean of the area that it takes the place of.

    OpenCV adds up in float32 whatever it is given, and is faster where the pixels are float32
    already, to the same bits; not where both edges shrink by whole numbers, for which it has
    another way. Of the largest pictures the copy takes longer than that saves.
    """
    whole = image.shape[0] % height == 0 and image.shape[1] % width == 0
    if whole or image.size > _FLOAT_SAMPLES:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    means = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    # To the nearest integer, the even one of two.
    return cv2.convertScaleAbs(means)


def load_image(
    path: str | os.PathLike[str], spec: ImageSpec, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> NDArray[np.uint8]:
    """Read, decode and resize one image file.

    Returns
    -------
    NDArray[np.uint8]
        ``(S, S, 3)`` RGB, contiguous: the network's input for this file.

    Raises
    ------
    ImageError
        Whatever ``read_bytes`` and ``decode_image`` raise.
    """
    return fit_image(read_bytes(path), spec, source=os.fspath(path), max_pixels=max_pixels)[0]
