"""The header parser: right on good files, silent on bad ones, and never slow."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from boost_edge.runtime.image_header import (
    ImageHeader,
    identify_format,
    picture_bytes,
    read_header,
)
from boost_edge.runtime.tiff_header import exif_orientation

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
MAGIC = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"GIF89a",
    b"GIF87a",
    b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x0c\0\0\0",
    b"RIFF\xff\0\0\0WEBPVP8 ",
    b"RIFF\xff\0\0\0WEBPVP8L",
    b"RIFF\xff\0\0\0WEBPVP8X",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
)


def encoded(kind: str, width: int = 13, height: int = 7, **options: object) -> bytes:
    """Write a grey ramp with Pillow."""
    ramp = np.arange(width * height, dtype=np.uint32).reshape(height, width).astype(np.uint8)
    buffer = io.BytesIO()
    mode = "L" if kind == "GIF" else "RGB"
    Image.fromarray(ramp).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def header_of(data: bytes) -> ImageHeader:
    """Return the header of a file that has one."""
    header = read_header(data)
    assert header is not None
    return header


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(FORMATS), width=st.integers(1, 400), height=st.integers(1, 400))
def test_dimensions_of_good_files(kind: str, width: int, height: int) -> None:
    """Any size that a writer writes is read back, and the file counts as whole."""
    data = encoded(kind, width, height)
    header = header_of(data)
    assert (header.format, header.width, header.height) == (kind.lower(), width, height)
    assert header.complete
    assert header.refusal is None
    assert identify_format(data) == kind.lower()


@pytest.mark.parametrize("quality", [{"lossless": True}, {"quality": 50}, {"exif": b"Exif\0\0"}])
def test_all_three_webp_headers(quality: dict[str, object]) -> None:
    """Lossless, lossy and extended WebP carry their dimensions in different places."""
    header = header_of(encoded("WEBP", 301, 17, **quality))
    assert (header.width, header.height, header.orientation) == (301, 17, 1)


def tiff_of(*entries: tuple[int, int, int], order: str = "<", big: bool = False) -> bytes:
    """Write a TIFF directory by the book: tag, field type (3 or 4) and the one value."""
    count, entry, next_one = ("Q", "HHQ", "Q") if big else ("H", "HHL", "L")
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 16)
    else:
        head = mark + struct.pack(f"{order}HL", 42, 8)
    body = struct.pack(order + count, len(entries))
    for tag, kind, value in entries:
        content = struct.pack(order + ("H" if kind == 3 else "L"), value)
        body += struct.pack(order + entry, tag, kind, 1) + content.ljust(8 if big else 4, b"\0")
    return head + body + struct.pack(order + next_one, 0)


GREY_TIFF = ((256, 4, 40), (257, 3, 30), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 0))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_in_both_orders_and_sizes(order: str, big: bool) -> None:
    """Little and big endian, classic and BigTIFF are read alike."""
    header = header_of(tiff_of(*GREY_TIFF, order=order, big=big))
    assert (header.width, header.height, header.complete) == (40, 30, True)
    assert (header.refusal, header.alpha, header.orientation) == (None, "none", 1)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ((339, 3, 3), "whole numbers"),
        ((258, 3, 12), "12 bits"),
        ((259, 3, 34925), "34925"),
        ((262, 3, 8), "colour space"),
        ((277, 3, 5), "5 channels"),
        ((322, 4, 1 << 20), "tiles"),
    ],
)
def test_tiff_variants_are_refused(entry: tuple[int, int, int], why: str) -> None:
    """Each variant that OpenCV fails at, or shows wrong, is named."""
    others = [other for other in GREY_TIFF if other[0] != entry[0]]
    header = header_of(tiff_of(*others, entry, (323, 4, 1 << 10)))
    assert header.refusal is not None
    assert why in header.refusal


@pytest.mark.parametrize("entry", [(284, 3, 2), (262, 3, 0)])
def test_deep_tiff_that_opencv_shows_wrong_is_refused(entry: tuple[int, int, int]) -> None:
    """Of 16 bits, separate planes and white-is-zero come out wrong, so they are refused."""
    deep = [(258, 3, 16), *(kept for kept in GREY_TIFF if kept[0] not in {258, entry[0]})]
    assert "16-bit" in (header_of(tiff_of(*deep, entry)).refusal or "")
    assert header_of(tiff_of(*deep, (262, 3, 1))).refusal is None


@pytest.mark.parametrize(
    ("bits", "extra", "alpha"),
    [
        (8, (), "straight"),
        (8, ((338, 3, 0),), "none"),
        (8, ((338, 3, 1),), "premultiplied"),
        (8, ((338, 3, 2),), "premultiplied"),
        (16, ((338, 3, 2),), "straight"),
        (16, ((338, 3, 1),), "premultiplied"),
    ],
)
def test_fourth_channel_of_a_tiff(
    bits: int, extra: tuple[tuple[int, int, int], ...], alpha: str
) -> None:
    """What the fourth channel is follows ExtraSamples, and what libtiff does to 8 bits."""
    kept = [entry for entry in GREY_TIFF if entry[0] not in {258, 262}]
    data = tiff_of(*kept, (258, 3, bits), (262, 3, 2), (277, 3, 4), *extra)
    assert header_of(data).alpha == alpha


def test_tiff_of_another_magic_number_has_no_orientation() -> None:
    """EXIF that is no TIFF means upright."""
    assert exif_orientation(b"II\x07\0\x08\0\0\0\0\0") == 1
    assert exif_orientation(b"") == 1


def test_tiff_tag_listed_twice_is_not_trusted() -> None:
    """A first width that cannot be read is not replaced by a second, smaller one."""
    entries = [(256, 9, 60_000), (256, 3, 4), (257, 3, 4)]
    assert read_header(tiff_of(*entries)) is None


def test_tiff_with_a_huge_value_count_is_quick() -> None:
    """A tag that claims millions of values is not unpacked."""
    entries = [(256, 3, 1, 4), (257, 3, 1, 4), (273, 1, 40_000_000, 8)]
    body = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + body + bytes(40_000_000)
    started = time.perf_counter()
    assert not header_of(data).complete
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("value", "expected"), [(0, 1), (1, 1), (5, 5), (8, 8), (9, 1)])
def test_orientation(order: str, value: int, expected: int) -> None:
    """Orientations 1 to 8 are read in both byte orders; anything else means upright."""
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, 1)
    exif += struct.pack(order + "HHLH", 0x0112, 3, 1, value) + bytes(6)
    for kind in ("JPEG", "PNG", "WEBP"):
        assert header_of(encoded(kind, exif=b"Exif\0\0" + exif)).orientation == expected


def test_png_loses_everything_but_the_picture() -> None:
    """Text, profiles and further frames are taken out; a plain file comes back as it is."""
    plain = encoded("PNG")
    assert picture_bytes(plain, header_of(plain)) is plain
    text = b"tEXt" + b"key\0value"
    text = struct.pack(">I", 9) + text + struct.pack(">I", zlib.crc32(text))
    laden = plain[:33] + text + plain[33:] + b"appended"
    assert picture_bytes(laden, header_of(laden)) == plain


def test_gif_loses_every_frame_but_the_first() -> None:
    """An animated GIF is cut after its first frame and stays a GIF of that size."""
    others = [Image.new("L", (13, 7), shade) for shade in (9, 99)]
    data = encoded("GIF", save_all=True, append_images=others)
    first = picture_bytes(data, header_of(data))
    assert len(first) < len(data)
    with Image.open(io.BytesIO(first)) as image:
        assert image.size == (13, 7)
        assert getattr(image, "n_frames", 1) == 1


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=120))
@example(b"GIF89a", bytes(4) + b"\0\0\0!\xf9")
@example(b"\xff\xd8\xff", b"\xe1\0\0\xff\xc0")
def test_any_bytes_behind_a_signature(magic: bytes, tail: bytes) -> None:
    """Whatever follows a signature gives a sane header or None, never an exception."""
    header = read_header(magic + tail)
    if header is not None:
        assert header.width > 0
        assert header.height > 0
        assert 1 <= header.orientation <= 8
        assert isinstance(picture_bytes(magic + tail, header), bytes)


@pytest.mark.parametrize("frame", ["\xc0", "\xc1", "\xc2"])
@pytest.mark.parametrize("scanned", [1, 3])
def test_end_marker_within_a_segment_ends_no_jpeg(frame: str, scanned: int) -> None:
    """What looks like the end marker counts in a scan, not in a segment before or between scans."""
    tables = b"\xff\xc4\0\x06\xff\xd9\0\0"
    size = b"\0\x11\x08\0\x07\0\x0d\3" + bytes(9)
    scan = (
        b"\xff\xda\0" + bytes([6 + 2 * scanned, scanned]) + bytes(2 * scanned + 3) + b"\x12\xff\0"
    )
    begun = b"\xff\xd8" + tables + b"\xff" + frame.encode("latin-1") + size + scan
    assert not header_of(begun).complete
    for data in (begun, begun + b"\xff\xd0\x34"):
        assert header_of(data + b"\xff\xd9").complete
        assert header_of(data + b"\xff\xd9behind\xff\xd8").complete
    assert not header_of(begun + tables + scan).complete
    assert header_of(begun + tables + scan + b"\xff\xd9").complete


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_any_change_to_a_good_file(kind: str, data: st.DataObject) -> None:
    """A good file with some bytes changed or cut off gives a sane header or None."""
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    header = read_header(bytes(content[: data.draw(st.integers(0, len(content)))]))
    if header is not None:
        assert header.width > 0
        assert header.height > 0


@given(st.binary(max_size=100))
def test_any_bytes_at_all(data: bytes) -> None:
    """Bytes without a signature are no image."""
    assert (read_header(data) is None) or identify_format(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xd8\xff" + b"\xe0\0\2\xff" * 500_000, id="empty JPEG segments"),
        pytest.param(b"\xff\xd8\xff" + b"\xff" * 2_000_000, id="JPEG fill bytes"),
        pytest.param(MAGIC[1] + bytes(17) + bytes(12) * 150_000, id="empty PNG chunks"),
        pytest.param(b"GIF89a" + bytes(7) + b"!\xfe\0" * 600_000, id="empty GIF extensions"),
        pytest.param(b"GIF89a" + bytes(7) + b"!\xfe" + b"\1x" * 900_000, id="short GIF blocks"),
        pytest.param(MAGIC[8] + bytes(2_000_000), id="empty WebP chunks"),
        pytest.param(b"II*\0\x08\0\0\0\xff\xff" + bytes(2_000_000), id="TIFF directory"),
        pytest.param(MAGIC[11] + b"\xff" * 8 + bytes(2_000_000), id="BigTIFF directory"),
    ],
)
def test_long_chains_take_linear_time(data: bytes) -> None:
    """Two megabytes of the smallest possible parts are walked in well under ten seconds."""
    started = time.perf_counter()
    read_header(data)
    assert time.perf_counter() - started < 10
