"""Decoding and resizing, against Pillow as the independent reference."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from boost_edge.runtime import images
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.image_header import read_header
from boost_edge.runtime.images import (
    DEFAULT_MAX_PIXELS,
    decode_image,
    load_image,
    resize_image,
)
from boost_edge.runtime.manifest import RESIZE_POLICIES, ImageSpec, ResizePolicy

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
ORIENTATION_TAG = 0x0112


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Write an image with Pillow; WebP and JPEG as faithfully as they can."""
    if kind == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    elif kind == "JPEG":
        options = {"quality": 100, "subsampling": 0, **options}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> Pixels:
    """Decode as decode_image promises to, with Pillow: upright, on white, RGB, first frame."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return np.asarray(image.convert("RGB"))


def decoded(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Pixels:
    """Decode and check what holds for every decoded image."""
    image = decode_image(data, source="image", max_pixels=max_pixels)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    return image


def reason(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> str:
    """Return the reason why the bytes are refused."""
    with pytest.raises(ImageError) as caught:
        decode_image(data, source="image", max_pixels=max_pixels)
    assert caught.value.path == "image"
    assert "\n" not in str(caught.value)
    return caught.value.reason


def largest_difference(one: Pixels, other: Pixels) -> int:
    """Return the largest difference of two images of the same shape."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())


def noise(seed: int = 0, height: int = 20, width: int = 31) -> Image.Image:
    """Draw a random RGB picture: every pixel tells its place."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def smooth(height: int = 40, width: int = 56) -> Image.Image:
    """Draw a smooth RGB picture without symmetry, which a JPEG keeps."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.dstack([x * 4, y * 5, (x + 2 * y) % 256]).astype(np.uint8))


def with_alpha(image: Image.Image) -> Image.Image:
    """Add an alpha ramp that takes every value from clear to opaque."""
    ramp = np.linspace(0, 255, image.width * image.height).reshape(image.height, image.width)
    image = image.convert("RGBA")
    image.putalpha(Image.fromarray(ramp.astype(np.uint8)))
    return image


def png_of(samples: NDArray[np.uint8] | NDArray[np.uint16], colour: int, *chunks: bytes) -> bytes:
    """Write a PNG by the book, for the kinds that Pillow does not write."""
    height, width = samples.shape[:2]
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, samples.dtype.itemsize * 8, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """Return a PNG chunk with its checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def animation(kind: str, **options: object) -> bytes:
    """Write three different frames."""
    first, *others = (
        noise(seed).quantize(32) if kind == "GIF" else noise(seed) for seed in range(3)
    )
    return encoded(first, kind, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    """All eight EXIF orientations come out upright, in every format that carries one."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encoded(smooth(), kind, exif=exif)
    assert largest_difference(decoded(data), by_pillow(data)) <= 2
    turned = (56, 40) if orientation > 4 else (40, 56)
    assert decoded(data).shape[:2] == turned


MODES = {
    "JPEG": ["1", "L", "RGB"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "GIF": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "WEBP": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "TIFF": ["1", "L", "P", "RGB", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in MODES for mode in MODES[kind]])
def test_every_mode_agrees_with_pillow(kind: str, mode: str) -> None:
    """Grey, palette, 1-bit and transparent pictures look as they do in Pillow."""
    source = smooth() if kind == "JPEG" else noise()
    image = with_alpha(source).convert(mode) if mode.endswith("A") else source.convert(mode)
    data = encoded(image, kind)
    assert largest_difference(decoded(data), by_pillow(data)) <= 2


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "P"), ("PNG", "RGB"), ("GIF", "L"), ("GIF", "P")]
)
def test_declared_transparent_colour_is_white(kind: str, mode: str) -> None:
    """A single transparent grey level, palette entry or colour is shown white."""
    image = noise().convert(mode)
    data = encoded(image, kind, transparency=image.getpixel((0, 0)))
    result = decoded(data)
    assert result[0, 0].tolist() == [255, 255, 255]
    assert largest_difference(result, by_pillow(data)) == 0


@pytest.mark.parametrize(("depth", "row"), [(1, b"\xa0"), (2, b"\xd8"), (4, b"\xf8\x10")])
def test_transparent_grey_of_few_bits_is_white(depth: int, row: bytes) -> None:
    """In a grey PNG of 1, 2 and 4 bits the transparent level is compared in its own depth."""
    head = struct.pack(">IIBBBBB", 4, 1, depth, 0, 0, 0, 0)
    clear = {1: 0, 2: 1, 4: 8}[depth]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            chunk(b"IHDR", head),
            chunk(b"tRNS", struct.pack(">H", clear)),
            chunk(b"IDAT", zlib.compress(b"\0" + row)),
            chunk(b"IEND"),
        )
    )
    levels = {1: [255, 255, 255, 255], 2: [255, 255, 170, 0], 4: [255, 255, 17, 0]}[depth]
    assert decoded(data)[0, :, 0].tolist() == levels


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(kind: str) -> None:
    """A 16-bit grey level v becomes v / 257, rounded: black and white stay what they are."""
    levels = np.linspace(0, 65535, 600).round().astype(np.uint16).reshape(20, 30)
    data = encoded(Image.fromarray(levels), kind)
    expected = np.repeat(np.rint(levels / 257)[..., None], 3, axis=2).astype(np.uint8)
    assert largest_difference(decoded(data), expected) <= 1
    assert decoded(data)[[0, -1], [0, -1]].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_kind(colour: int, channels: int) -> None:
    """Grey, RGB, grey with alpha and RGBA of 16 bits are scaled, then laid on white."""
    samples = np.random.default_rng(1).integers(0, 65536, (9, 11, channels), dtype=np.uint16)
    share = samples / 65535
    alpha = share[..., -1:] if channels in {2, 4} else np.ones((9, 11, 1))
    shade = np.broadcast_to(share[..., : 3 if channels > 2 else 1], (9, 11, 3))
    expected = np.rint(255 * (shade * alpha + 1 - alpha)).astype(np.uint8)
    assert largest_difference(decoded(png_of(samples, colour)), expected) <= 1


def test_sixteen_bit_transparent_grey_is_exact() -> None:
    """In 16 bits only the very level that is declared transparent is, not its neighbours."""
    samples = np.array([[1000, 1001, 999, 1000]], np.uint16)
    data = png_of(samples, 0, chunk(b"tRNS", struct.pack(">H", 1000)))
    assert decoded(data)[0, :, 0].tolist() == [255, 4, 4, 255]


def test_cmyk_jpeg_in_all_conventions() -> None:
    """CMYK and YCCK with Adobe's inverted inks, and CMYK unmarked, come out as in Pillow."""
    cmyk = encoded(smooth().convert("CMYK"), "JPEG")
    marker = cmyk.index(b"Adobe")
    ycck = cmyk[: marker + 11] + b"\2" + cmyk[marker + 12 :]
    unmarked = cmyk[:marker] + b"Other" + cmyk[marker + 5 :]
    for data in (cmyk, ycck, unmarked):
        assert largest_difference(decoded(data), by_pillow(data)) <= 2


def test_cmyk_tiff() -> None:
    """A TIFF in CMYK comes out as in Pillow."""
    data = encoded(noise().convert("CMYK"), "TIFF")
    assert largest_difference(decoded(data), by_pillow(data)) <= 1


@pytest.mark.parametrize(
    "compression", ["tiff_adobe_deflate", "packbits", "tiff_lzw", "group3", "group4", "jpeg"]
)
def test_tiff_compressions(compression: str) -> None:
    """The usual compressions of TIFF are read."""
    image = smooth().convert("1") if compression.startswith("group") else smooth()
    data = encoded(image, "TIFF", compression=compression)
    assert largest_difference(decoded(data), by_pillow(data)) <= 2


@pytest.mark.parametrize("deep", [False, True])
def test_tiff_written_by_opencv_with_alpha(deep: bool) -> None:
    """A fourth channel that a TIFF does not explain is alpha, in 8 and in 16 bits."""
    bgra = np.asarray(with_alpha(noise()))[..., [2, 1, 0, 3]]
    written, data = cv2.imencode(".tif", bgra.astype(np.uint16) * np.uint16(257) if deep else bgra)
    assert written
    expected = by_pillow(encoded(with_alpha(noise()), "PNG"))
    assert largest_difference(decoded(data.tobytes()), expected) <= 1


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("F", (5, 4), 0.5), id="32-bit float"),
        pytest.param(Image.new("I", (5, 4), 70_000), id="32-bit whole numbers"),
        pytest.param(Image.new("LAB", (5, 4)), id="Lab"),
        pytest.param(Image.new("LA", (5, 4)), id="grey with alpha"),
    ],
)
def test_tiff_variants_are_refused(image: Image.Image) -> None:
    """Variants of TIFF that could only be guessed at are refused by name, not shown wrong."""
    assert reason(encoded(image, "TIFF")) == "unsupported"


@pytest.mark.parametrize("extension", [".hdr", ".ppm", ".jp2", ".pfm"])
def test_other_formats_are_refused(extension: str) -> None:
    """What OpenCV reads beyond the six formats is refused: its size could not be checked."""
    sample = np.full((80, 80, 3), 0.5, np.float32)
    if extension in {".ppm", ".jp2"}:
        sample = sample.astype(np.uint8)
    written, data = cv2.imencode(extension, sample)
    assert written
    assert reason(data.tobytes()) == "unsupported"


@pytest.mark.parametrize("data", [b"x", b"hello, world\n" * 9, b"\0" * 500, b"%PDF-1.7", b"RIFF"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    """Text, zeros and other files are unsupported, not damaged."""
    assert reason(data) == "unsupported"


def test_twelve_bit_jpeg_is_refused() -> None:
    """A JPEG whose header announces 12 bits is unsupported."""
    data = bytearray(encoded(smooth(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert reason(bytes(data)) == "unsupported"


def test_empty_bytes() -> None:
    """No bytes are an empty file, not a damaged one."""
    assert reason(b"") == "empty"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation(kind: str) -> None:
    """The first frame is taken, whole, whatever happens after it."""
    data = animation(kind)
    assert largest_difference(decoded(data), by_pillow(data)) == 0
    if kind == "GIF":
        assert np.array_equal(decoded(data[: len(data) // 2]), decoded(data))


def test_gif_frame_that_does_not_fill_its_canvas() -> None:
    """A GIF is its first frame alone, wherever that lies on the canvas."""
    data = bytearray(encoded(noise().quantize(16), "GIF"))
    expected = by_pillow(bytes(data))
    frame = data.index(b",", 13 + 3 * 16)
    data[6:10] = struct.pack("<HH", 200, 100)
    data[frame + 1 : frame + 5] = struct.pack("<HH", 50, 60)
    assert np.array_equal(decoded(bytes(data)), expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_pixel_limit(kind: str) -> None:
    """Width x height up to the limit is decoded, one more is too large."""
    data = encoded(noise().quantize(8) if kind == "GIF" else noise(), kind)
    assert decoded(data, max_pixels=20 * 31).shape == (20, 31, 3)
    assert reason(data, max_pixels=20 * 31 - 1) == "too_large"


def test_decompression_bomb_is_refused_by_its_header() -> None:
    """A header of gigapixels is refused, though the file is tiny and its data is absent."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    assert reason(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)) == "too_large"


def test_edge_beyond_opencv_is_too_large() -> None:
    """An edge longer than OpenCV takes is too large, however few pixels there are."""
    samples = np.zeros((1, (1 << 20) + 1), np.uint8)
    assert reason(png_of(samples, 0)) == "too_large"


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg_is_damaged(progressive: bool) -> None:
    """A JPEG cut anywhere is damaged, also one that carries a whole thumbnail."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data = encoded(smooth(), "JPEG", exif=exif, progressive=progressive, quality=80)
    thumbnail = encoded(noise(), "JPEG", quality=50)
    segment = b"\xff\xe9" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = data[:2] + segment + data[2:]
    assert largest_difference(decoded(data), by_pillow(data)) <= 3
    for length in range(3, len(data), 7):
        assert reason(data[:length]) == "damaged"
    assert reason(data[:-1]) == "damaged"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_truncated_file_is_damaged(kind: str) -> None:
    """A file cut anywhere behind its signature is damaged; only a GIF's end mark may go."""
    data = encoded(noise().quantize(16) if kind == "GIF" else noise(), kind)
    assert decoded(data).shape == (20, 31, 3)
    last = len(data) - 1 if kind == "GIF" else len(data)
    for length in [*range(18, last, 17), last - 1]:
        assert reason(data[:length]) == "damaged"


def test_bytes_after_the_end_do_no_harm() -> None:
    """What is appended to a whole file is not looked at."""
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        data = encoded(smooth().quantize(16) if kind == "GIF" else smooth(), kind)
        assert np.array_equal(decoded(data + b"\xff\xd8appended"), decoded(data))


def test_flipped_bit_in_a_png_is_noticed() -> None:
    """PNG has checksums, so a changed bit in the pixels never becomes a wrong picture."""
    data = bytearray(encoded(noise(), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    assert reason(bytes(data)) == "damaged"


def test_damage_that_only_the_decoder_finds() -> None:
    """A file that is whole by its checksums, but holds nonsense, is damaged."""
    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", b"nonsense"), chunk(b"IEND"))
    assert reason(b"\x89PNG\r\n\x1a\n" + b"".join(parts)) == "damaged"


def test_nothing_reaches_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Odd but usual files, truncated and refused ones make no decoder print."""
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile" * 20))
    assert decoded(png_of(np.zeros((4, 4), np.uint8), 0, profile)).shape == (4, 4, 3)
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10_000_000)))
    assert decoded(png_of(np.zeros((4, 4), np.uint8), 0, bomb)).shape == (4, 4, 3)
    for kind in FORMATS:
        whole = encoded(smooth().quantize(16) if kind == "GIF" else smooth(), kind)
        assert reason(whole[: len(whole) // 2]) == "damaged"
    assert reason(encoded(Image.new("F", (5, 4)), "TIFF")) == "unsupported"
    for kind in ("GIF", "PNG", "WEBP"):
        decoded(animation(kind))
    assert capfd.readouterr() == ("", "")


SEEDS = (
    *(encoded(noise().quantize(16) if kind == "GIF" else noise(), kind) for kind in FORMATS),
    encoded(with_alpha(noise()), "PNG"),
    encoded(
        noise(), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    ),
    encoded(with_alpha(noise()), "WEBP"),
    encoded(smooth(), "JPEG", progressive=True),
    encoded(smooth(), "TIFF", compression="tiff_lzw"),
    animation("GIF"),
    animation("WEBP"),
)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Take a good file; overwrite, cut out or put in a few bytes."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        # Headers are where a byte matters: every other change is among the first hundred.
        end = draw(st.sampled_from([min(100, len(data)), len(data)]))
        at = draw(st.integers(0, end))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(data=damaged_files() | st.binary(max_size=200))
def test_any_bytes_give_an_image_or_an_image_error(data: bytes) -> None:
    """Any bytes give an ImageError with a known reason, or an array as large as the header said."""
    refused = ""
    try:
        image = decoded(data, max_pixels=100_000)
    except ImageError as error:
        refused = error.reason
    else:
        header = read_header(data)
        assert header is not None
        assert {*image.shape[:2]} == {header.height, header.width}
    assert refused in {"", "empty", "unsupported", "damaged", "too_large"}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["PNG", "BMP", "TIFF", "WEBP"]))
def test_lossless_round_trip(height: int, width: int, kind: str) -> None:
    """A lossless file gives back the very pixels that were written, at any size."""
    image = noise(height * 41 + width, height, width)
    assert np.array_equal(decoded(encoded(image, kind)), np.asarray(image))


@pytest.mark.parametrize("policy", RESIZE_POLICIES)
@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), size=st.integers(1, 120))
def test_resize_shape_and_colour(policy: ResizePolicy, height: int, width: int, size: int) -> None:
    """Any size gives (S, S, 3), contiguous; one colour stays that colour, padding is white."""
    colour = np.array([10, 200, 90], np.uint8)
    image = np.broadcast_to(colour, (height, width, 3)).copy()
    result = resize_image(image, ImageSpec(size=size, resize=policy))
    assert result.shape == (size, size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert (image == colour).all()
    coloured = (result == colour).all(axis=2)
    assert (coloured | (result == 255).all(axis=2)).all()
    if policy != "letterbox":
        assert coloured.all()
        return
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    assert coloured[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert max(len(rows), len(columns)) == size
    for found in (rows, columns):
        assert abs(found[0] - (size - 1 - found[-1])) <= 1


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_shrinking_averages_areas(factor: int) -> None:
    """Shrinking by a whole factor is the mean of each block, as computed naively."""
    image = np.asarray(noise(3, 8 * factor, 8 * factor))
    result = resize_image(image, ImageSpec(size=8, resize="squash"))
    blocks = image.reshape(8, factor, 8, factor, 3).mean(axis=(1, 3))
    assert np.abs(result - blocks).max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(9, 300),
    width=st.integers(9, 300),
    size=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_shrinking_gives_the_bits_of_opencv_in_eight(
    height: int, width: int, size: int, seed: int
) -> None:
    """A picture is averaged in float32 where that is faster: not a bit of it is another."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = image[top : top + short, left : left + short]
    cases: tuple[tuple[ResizePolicy, Pixels], ...] = (("squash", image), ("crop", square))
    for edge in (size, short - size):
        for policy, pixels in cases:
            expected = cv2.resize(pixels, (edge, edge), interpolation=cv2.INTER_AREA)
            result = resize_image(image, ImageSpec(size=edge, resize=policy))
            np.testing.assert_array_equal(result, expected)


def test_shrinking_a_large_picture_gives_the_bits_of_opencv_in_eight() -> None:
    """Nor is it one on either side of the size from which a picture is averaged as it is."""
    for height, width in ((999, 1001), (1001, 1001)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
        result = resize_image(image, ImageSpec(size=224, resize="squash"))
        np.testing.assert_array_equal(result, expected)


def test_squash_that_grows_one_edge_still_averages_the_other() -> None:
    """A picture that shrinks in height and grows in width does not alias."""
    stripes = np.zeros((400, 10, 3), np.uint8)
    stripes[::2] = 255
    result = resize_image(stripes, ImageSpec(size=40, resize="squash"))
    assert np.abs(result.astype(int) - 127).max() <= 1


def test_enlarging_keeps_a_ramp_a_ramp() -> None:
    """Enlarging interpolates: a ramp stays straight, away from the border."""
    ramp = np.repeat((np.arange(60) * 4)[:, None, None], 80, axis=1).repeat(3, axis=2)
    result = resize_image(ramp.astype(np.uint8), ImageSpec(size=240, resize="squash"))
    expected = (np.arange(240) + 0.5) / 4 * 4 - 2
    assert np.abs(result[8:-8, 100, 1] - expected[8:-8]).max() <= 1


def test_crop_takes_the_centre() -> None:
    """Crop is the largest centred square, no more and no less."""
    image = np.asarray(noise(5, 24, 60))
    assert np.array_equal(resize_image(image, ImageSpec(size=24, resize="crop")), image[:, 18:42])
    upright = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert np.array_equal(resize_image(upright, ImageSpec(size=24, resize="crop")), upright[18:42])


def test_letterbox_keeps_the_whole_picture() -> None:
    """Letterbox scales the long edge to S and centres the rest on white."""
    image = np.asarray(noise(5, 12, 24))
    result = resize_image(image, ImageSpec(size=24, resize="letterbox"))
    assert np.array_equal(result[6:18], image)
    assert (result[:6] == 255).all()
    assert (result[18:] == 255).all()


@pytest.mark.parametrize("policy", RESIZE_POLICIES)
def test_extreme_shapes(policy: ResizePolicy) -> None:
    """A line of pixels is resized like anything else."""
    for shape in ((1, 200_000, 3), (200_000, 1, 3), (1, 1, 3)):
        result = resize_image(np.full(shape, 7, np.uint8), ImageSpec(size=32, resize=policy))
        assert result.shape == (32, 32, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_resize_refuses_what_is_no_image(array: Pixels) -> None:
    """An array of another shape or type is a usage error that says what is expected."""
    with pytest.raises(UsageError, match=r"\(H, W, 3\)"):
        resize_image(array, ImageSpec(size=8, resize="squash"))


def test_load_image_is_the_one_path(tmp_path: Path) -> None:
    """load_image reads, decodes and resizes; its errors name the file."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(), "PNG"))
    spec = ImageSpec(size=16, resize="crop")
    expected = resize_image(np.asarray(noise()), spec)
    assert np.array_equal(load_image(path, spec), expected)
    assert np.array_equal(load_image(str(path), spec), expected)
    with pytest.raises(ImageError, match=r"a\.png") as caught:
        load_image(path, spec, max_pixels=10)
    assert caught.value.reason == "too_large"


@pytest.mark.shared
def test_shared_photographs_agree_with_pillow(shared: Path) -> None:
    """Real product photographs decode as in Pillow, but for rounding in the colour transform."""
    folder = shared / "datasets" / "fashion-product-images-small" / "images"
    paths = sorted(folder.iterdir())[::400]
    assert len(paths) > 50
    for path in paths:
        data = path.read_bytes()
        assert largest_difference(decoded(data), by_pillow(data)) <= 3


def test_suffixes_are_lower_case_with_a_dot() -> None:
    """The suffixes can be compared with a file name's lower-case suffix."""
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in images.IMAGE_SUFFIXES)
