"""Read an image file's header: format, dimensions, orientation, and whether the file is whole.

Everything that must be known before a decoder is let loose on the bytes: the pixel limit is checked
against these dimensions, and a file that was cut short is told apart from a whole one. Formats:
JPEG, PNG, GIF, BMP, WebP, TIFF. Sources: ITU-T T.81, PNG (W3C, third edition), GIF89a (CompuServe),
Microsoft's bitmap headers, RFC 9649 (WebP); TIFF in ``tiff_header``.

Nothing here trusts the bytes: any input gives an answer or ``None``, in time linear in its length.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from boost_edge.runtime.tiff_header import exif_orientation, read_tiff

__all__ = ["ImageHeader", "identify_format", "picture_bytes", "read_header"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What makes the picture. Everything else (colour profiles, text, further frames) is kept from
# libpng, which complains about much of it on stderr.
_PNG_PICTURE_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# Not stuffing (00), fill (FF), TEM (01) or a restart (D0-D7): a marker that changes the state.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_MAGIC: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(re.escape(_PNG_SIGNATURE)), "png"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "tiff"),
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "bmp"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What the header of an image file says.

    ``format`` is ``jpeg``, ``png``, ``gif``, ``webp``, ``tiff`` or ``bmp``. ``width`` and
    ``height`` are in pixels, as stored, both at least 1. ``orientation`` is the EXIF orientation
    (1 to 8) that a decoder leaves to its caller: always 1 for TIFF, where OpenCV applies it.
    ``alpha`` says what a decoded fourth channel is: ``none`` (filler), ``straight`` or
    ``premultiplied``. ``transparent_grey`` is the grey level, in the file's own depth of 8 or 16
    bits, that a grey PNG declares transparent. ``complete`` is false when the file ends early or a
    checksum is wrong. ``refusal`` says why this variant of the format is not decoded, ``None``
    where it is. ``spans`` are the byte ranges that make the picture, empty for the whole file.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    alpha: str = "straight"
    transparent_grey: int | None = None
    complete: bool = True
    refusal: str | None = None
    spans: tuple[tuple[int, int], ...] = ()


def identify_format(data: bytes) -> str | None:
    """Return the format that the first bytes announce, ``None`` when it is none of ours."""
    return next((name for pattern, name in _MAGIC if pattern.match(data)), None)


def read_header(data: bytes) -> ImageHeader | None:
    """Describe an image file from its bytes.

    Parameters
    ----------
    data
        The whole file: a part of it gives a header that is not ``complete``, or ``None``.

    Returns
    -------
    ImageHeader or None
        ``None`` when the format is not known or the header is damaged; never an exception.
    """
    kind = identify_format(data)
    if kind is None:
        return None
    try:
        header = _READERS[kind](data)
    except (struct.error, IndexError):
        # Reading past the end is how all of these find out that a file ends within its header.
        return None
    return header if header and header.width > 0 and header.height > 0 else None


def picture_bytes(data: bytes, header: ImageHeader) -> bytes:
    """Return a file with the (first) picture of ``data`` alone, for a decoder.

    PNG loses every chunk that does not make the picture, GIF every frame but the first; a GIF's
    canvas shrinks to that frame. Other formats, and files with nothing to lose, come back as is.
    """
    kept = b"".join(data[start:end] for start, end in header.spans)
    if header.format == "gif":
        descriptor = header.spans[-1][0] - header.spans[0][0]
        canvas = struct.pack("<HH", header.width, header.height)
        offset_zero = b",\0\0\0\0"
        return kept[:6] + canvas + kept[10:descriptor] + offset_zero + kept[descriptor + 5 :] + b";"
    if header.format == "png" and len(kept) + len(_PNG_SIGNATURE) < len(data):
        return _PNG_SIGNATURE + kept
    return data


def _read_jpeg(data: bytes) -> ImageHeader | None:
    """Walk the segments to the end marker, jumping over entropy-coded data."""
    frame: tuple[int, int, int, int] | None = None
    orientation, complete, position = 1, False, 2
    while not complete and (found := _JPEG_MARKER.search(data, position)):
        marker, position = found[1][0], found.end()
        if marker in {0xD8, 0xD9}:
            complete = marker == 0xD9
            continue
        (length,) = struct.unpack_from(">H", data, position) if position + 2 <= len(data) else (0,)
        if marker in _JPEG_FRAMES and frame is None:
            frame = struct.unpack_from(">BHHB", data, position + 2)
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", position + 2) and orientation == 1:
            orientation = exif_orientation(data[position + 2 : position + length])
        position += max(length, 2)
    if frame is None:
        return None
    depth, height, width, channels = frame
    refusal = None
    if depth != 8:
        refusal = f"it has {depth} bits per sample"
    elif channels not in {1, 3, 4}:
        refusal = f"it has {channels} channels"
    return ImageHeader(
        format="jpeg",
        width=width,
        height=height,
        orientation=orientation,
        alpha="none",
        complete=complete,
        refusal=refusal,
    )


def _read_png(data: bytes) -> ImageHeader | None:
    """Walk the chunks to IEND, checking the checksums of those that make the picture."""
    if data[12:16] != b"IHDR":
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    orientation, transparent_grey, complete, position = 1, None, False, len(_PNG_SIGNATURE)
    spans: list[tuple[int, int]] = []
    while not complete and position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + length + 12
        if end > len(data):
            break
        if kind in _PNG_PICTURE_CHUNKS:
            checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
            if checksum != int.from_bytes(data[end - 4 : end], "big"):
                break
            spans.append((position, end))
        if kind == b"eXIf":
            orientation = exif_orientation(data[position + 8 : end - 4])
        elif kind == b"tRNS" and colour == 0 and length == 2 and depth in {1, 2, 4, 8, 16}:
            level = int.from_bytes(data[position + 8 : end - 4], "big")
            transparent_grey = level if depth >= 8 else level * 255 // (2**depth - 1)
        complete = kind == b"IEND"
        position = end
    return ImageHeader(
        format="png",
        width=width,
        height=height,
        orientation=orientation,
        transparent_grey=transparent_grey,
        complete=complete,
        spans=tuple(spans),
    )


def _read_gif(data: bytes) -> ImageHeader | None:
    """Skip the extensions before the first frame, then find where that frame ends."""
    flags = data[10]
    position = 13 + _gif_palette_bytes(flags)
    while data[position] == 0x21:
        position = _gif_sub_blocks_end(data, position + 2)
    if data[position] != 0x2C:
        return None
    width, height, frame_flags = struct.unpack_from("<HHB", data, position + 5)
    pixels = position + 10 + _gif_palette_bytes(frame_flags) + 1
    try:
        end, complete = _gif_sub_blocks_end(data, pixels), True
    except IndexError:
        end, complete = len(data), False
    return ImageHeader(
        format="gif",
        width=width,
        height=height,
        complete=complete,
        spans=((0, position), (position, end)),
    )


def _gif_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_sub_blocks_end(data: bytes, position: int) -> int:
    while size := data[position]:
        position += size + 1
    return position + 1


def _read_webp(data: bytes) -> ImageHeader | None:
    """Read the dimensions of the first chunk, and the orientation from the EXIF chunk if any."""
    kind = data[12:16]
    orientation = 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (edge & 0x3FFF for edge in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        orientation = _webp_orientation(data)
    else:
        return None
    return ImageHeader(
        format="webp",
        width=width,
        height=height,
        orientation=orientation,
        complete=int.from_bytes(data[4:8], "little") + 8 <= len(data),
    )


def _webp_orientation(data: bytes) -> int:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return exif_orientation(data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return 1


def _read_bmp(data: bytes) -> ImageHeader | None:
    """Read the OS/2 (12 bytes) or Windows (40 bytes and more) header; rows may go top-down."""
    (start, header_bytes) = struct.unpack_from("<II", data, 10)
    compression = 0
    if header_bytes == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    row_bytes = (width * depth + 31) // 32 * 4
    # Only uncompressed pixels (0: plain, 3: with bit masks) have a length that can be foretold.
    end = start + row_bytes * abs(height) if compression in {0, 3} else start
    return ImageHeader(format="bmp", width=width, height=abs(height), complete=end <= len(data))


def _read_tiff(data: bytes) -> ImageHeader | None:
    picture = read_tiff(data)
    if picture is None:
        return None
    return ImageHeader(
        format="tiff",
        width=picture.width,
        height=picture.height,
        alpha=picture.alpha,
        complete=picture.complete,
        refusal=picture.refusal,
    )


_READERS: dict[str, Callable[[bytes], ImageHeader | None]] = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "gif": _read_gif,
    "webp": _read_webp,
    "tiff": _read_tiff,
    "bmp": _read_bmp,
}
