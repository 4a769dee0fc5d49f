"""Read TIFF directories from bytes: the header of TIFF files and the orientation in EXIF.

Sources: TIFF 6.0 (Adobe, 1992), the BigTIFF design (libtiff), Exif 2.32 (CIPA DC-008). Nothing here
trusts the bytes: whatever they are, the answer is a value or ``None``, after a bounded time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["TiffPicture", "exif_orientation", "read_tiff"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_COUNTS, _PLANAR = 273, 274, 277, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_EXTRA, _SAMPLE_FORMAT = 338, 339
_PICTURE_TAGS = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIP_OFFSETS, _SAMPLES, _STRIP_COUNTS}
    | {_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _EXTRA, _SAMPLE_FORMAT}
)

# Field type -> struct code and size; the other types hold nothing that is needed here.
_FIELD_TYPES = {1: ("B", 1), 3: ("H", 2), 4: ("L", 4), 16: ("Q", 8)}
# Enough for a strip per row, or a tile per 16 x 16 pixels, of any picture within the limits.
_MAX_VALUES = 1 << 21
# A tile is decoded whole, however small the picture: 4096 x 4096 pixels are 64 MB.
_MAX_TILE_PIXELS = 1 << 24

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
# Those that OpenCV converts to RGB as Pillow does: grey, RGB, palette, CMYK, YCbCr.
_KNOWN_PHOTOMETRIC = frozenset({_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, 3, 5, 6})
# None, CCITT (3), LZW, JPEG, Deflate (2), PackBits: what OpenCV's wheels are built with.
_KNOWN_COMPRESSION = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})

_Tags = dict[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPicture:
    """The first picture of a TIFF file, ``width`` and ``height`` in pixels as stored.

    ``alpha`` says what the fourth channel is after OpenCV's decoding: ``none`` (to be ignored),
    ``straight`` or ``premultiplied``. ``complete`` is false when bytes of the pixels, or of the
    tags that describe them, lie outside the file. ``refusal`` says why this variant cannot
    be shown faithfully, ``None`` where it can.
    """

    width: int
    height: int
    alpha: str
    complete: bool
    refusal: str | None


def exif_orientation(data: bytes) -> int:
    r"""Return the EXIF orientation, 1 to 8; 1 where ``data`` holds none that makes sense.

    ``data`` starts with the TIFF header; a leading ``Exif\0\0`` is skipped.
    """
    tags = _read_tags(data.removeprefix(b"Exif\0\0"), frozenset({_ORIENTATION}))
    if tags is None:
        return 1
    value = _first(tags, _ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def read_tiff(data: bytes) -> TiffPicture | None:
    """Describe the first picture of a TIFF or BigTIFF file, ``None`` when the header is damaged."""
    tags = _read_tags(data, _PICTURE_TAGS)
    if tags is None:
        return None
    width, height = _first(tags, _WIDTH, 0), _first(tags, _HEIGHT, 0)
    if width < 1 or height < 1:
        return None
    return TiffPicture(
        width=width,
        height=height,
        alpha=_alpha(tags),
        complete=() not in tags.values() and _pixels_lie_inside(tags, len(data)),
        refusal=_refusal(tags),
    )


def _read_tags(data: bytes, wanted: frozenset[int]) -> _Tags | None:
    """Return the wanted whole-number tags of the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    magic, start = struct.unpack_from(order + "HL", data, 2)
    big = magic == 43 and len(data) >= 16
    if big:
        (start,) = struct.unpack_from(order + "Q", data, 8)
    elif magic != 42:
        return None
    count_code, entry_code = ("Q", "HHQ") if big else ("H", "HHL")
    count_size = struct.calcsize(order + count_code)
    head = struct.calcsize(order + entry_code)
    inline = 8 if big else 4
    if start + count_size > len(data):
        return None
    (count,) = struct.unpack_from(order + count_code, data, start)
    first = start + count_size
    tags: _Tags = {}
    # A directory that claims more entries than the file has room for is read as far as it goes.
    for index in range(min(count, (len(data) - first) // (head + inline))):
        at = first + index * (head + inline)
        tag, kind, values = struct.unpack_from(order + entry_code, data, at)
        if tag not in wanted or tag in tags:
            continue
        code, size = _FIELD_TYPES.get(kind, ("B", 0))
        at += head
        if values * size > inline:
            (at,) = struct.unpack_from(order + ("Q" if big else "L"), data, at)
        readable = size > 0 and values <= _MAX_VALUES and at + values * size <= len(data)
        # An unreadable tag counts as empty and not as absent: libtiff may understand it, and what
        # a later duplicate says would then not be what libtiff goes by.
        tags[tag] = struct.unpack_from(f"{order}{values}{code}", data, at) if readable else ()
    return tags


def _first(tags: _Tags, tag: int, default: int) -> int:
    values = tags.get(tag)
    return values[0] if values else default


def _alpha(tags: _Tags) -> str:
    """Say what the fourth channel is once OpenCV has decoded the picture.

    Without the tag ExtraSamples (OpenCV's own writer leaves it out) a fourth channel of RGB is read
    as straight alpha, with the value "unspecified" as filler: both as Pillow reads them.
    """
    if _first(tags, _PHOTOMETRIC, _RGB) != _RGB or _first(tags, _SAMPLES, 1) != 4:
        return "none"
    extra = _first(tags, _EXTRA, -1)
    if extra == 2:
        # libtiff multiplies 8-bit colours by their alpha as it reads; 16-bit ones come raw.
        return "premultiplied" if _first(tags, _BITS, 1) <= 8 else "straight"
    return {-1: "straight", 1: "premultiplied"}.get(extra, "none")


def _refusal(tags: _Tags) -> str | None:
    """Say why OpenCV would fail, guess or show other colours, ``None`` when it does well."""
    bits, samples = set(tags.get(_BITS, (1,))), _first(tags, _SAMPLES, 1)
    photometric = _first(tags, _PHOTOMETRIC, _RGB)
    if not set(tags.get(_SAMPLE_FORMAT, (1,))) <= {1, 4}:
        return "its samples are not unsigned whole numbers"
    if len(bits) != 1 or not bits <= {1, 4, 8, 16}:
        return f"it has {'/'.join(map(str, sorted(bits)))} bits per sample"
    if _first(tags, _COMPRESSION, 1) not in _KNOWN_COMPRESSION:
        return f"its compression has the number {_first(tags, _COMPRESSION, 1)}"
    if photometric not in _KNOWN_PHOTOMETRIC:
        return f"its colour space has the number {photometric}"
    deep = bits == {16}
    if deep and (photometric not in {_BLACK_IS_ZERO, _RGB} or _first(tags, _PLANAR, 1) != 1):
        return "its 16-bit samples are neither grey nor interleaved RGB"
    if _first(tags, _TILE_WIDTH, 0) * _first(tags, _TILE_HEIGHT, 0) > _MAX_TILE_PIXELS:
        return f"its tiles have over {_MAX_TILE_PIXELS:,} pixels"
    if samples > 4:
        return f"it has {samples} channels"
    if samples == 2 and _first(tags, _EXTRA, 0) in {1, 2}:
        return "it is grey with transparency"
    return None


def _pixels_lie_inside(tags: _Tags, length: int) -> bool:
    """Tell whether every strip and tile ends within ``length`` bytes."""
    for offsets_tag, counts_tag in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        offsets = tags.get(offsets_tag)
        if offsets:
            counts = tags.get(counts_tag, (0,) * len(offsets))
            return all(at + size <= length for at, size in zip(offsets, counts, strict=False))
    return False
