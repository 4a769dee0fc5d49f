"""Decoding JPEGs at a part of their size: what is left is enough, and looks the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.images import decode_image, fit_image, resize_image
from boost_edge.runtime.manifest import RESIZE_POLICIES, ImageSpec, ResizePolicy
from boost_edge.runtime.reading import Job, Read, read_job
from boost_edge.runtime.reduction import FACTORS, MARGIN, reduction

ORIENTATION_TAG = 0x0112
SIZE = 24
WIDTH, HEIGHT = 331, 210


def spec(policy: ResizePolicy = "crop", *, reduced: bool = True, size: int = SIZE) -> ImageSpec:
    """Return how images are prepared, with or without reduced decoding."""
    return ImageSpec(size=size, resize=policy, decode="reduced" if reduced else None)


def smooth(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Return a picture without detail, no two corners of which are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = columns / width, rows / height
    channels = (40 + 180 * x, 220 - 160 * y, 90 + 60 * x + 70 * y)
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    """Write a JPEG of high quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 97, **options})
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    """Return EXIF data with an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


def difference(data: bytes, policy: ResizePolicy) -> int:
    """Return by how much reduced decoding changes the network's input, at most, in levels."""
    found, _ = fit_image(data, spec(policy), source="a.jpg")
    whole, _ = fit_image(data, spec(policy, reduced=False), source="a.jpg")
    return int(np.abs(found.astype(int) - whole).max())


@pytest.mark.parametrize("policy", RESIZE_POLICIES)
@given(width=st.integers(1, 20_000), height=st.integers(1, 20_000), size=st.integers(1, 600))
def test_enough_is_left(policy: ResizePolicy, width: int, height: int, size: int) -> None:
    """What limits keeps MARGIN times the input, no larger factor would, and 1 is always allowed."""
    factor = reduction(width, height, spec(policy, size=size))
    edges = (width, height)
    limiting = max(edges) if policy == "letterbox" else min(edges)
    assert factor == 1 or limiting / factor >= MARGIN * size
    for larger in (each for each in FACTORS if each > factor):
        assert limiting / larger < MARGIN * size
    assert factor == reduction(height, width, spec(policy, size=size))


@given(width=st.integers(1, 20_000), height=st.integers(1, 20_000))
def test_models_from_before_decode_all(width: int, height: int) -> None:
    """Where the model file does not ask for it, nothing is reduced."""
    assert reduction(width, height, spec(reduced=False)) == 1


@pytest.mark.parametrize("policy", RESIZE_POLICIES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_smooth_picture_stays_the_same(policy: ResizePolicy, orientation: int) -> None:
    """Reduced and full decoding agree, upright, and both tell the whole picture's size."""
    data = jpeg(smooth(), exif=turned(orientation))
    assert reduction(WIDTH, HEIGHT, spec(policy)) == 4
    assert difference(data, policy) <= 4
    _, found = fit_image(data, spec(policy), source="a.jpg")
    assert found == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))


@pytest.mark.parametrize(
    "data",
    [
        jpeg(smooth().convert("L")),
        jpeg(smooth().convert("CMYK")),
        jpeg(smooth(), progressive=True),
        jpeg(smooth(), subsampling=0),
        jpeg(smooth(), subsampling=2),
        jpeg(smooth(), restart_marker_blocks=3),
    ],
    ids=["grey", "cmyk", "progressive", "4:4:4", "4:2:0", "restarts"],
)
def test_every_kind_of_jpeg_is_reduced_alike(data: bytes) -> None:
    """Colour space, order and sampling make no difference."""
    assert decode_image(data, source="a.jpg", spec=spec()).shape == (53, 83, 3)
    assert difference(data, "crop") <= 4


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(30, 400), height=st.integers(30, 400), policy=st.sampled_from(RESIZE_POLICIES)
)
def test_any_size_agrees(width: int, height: int, policy: ResizePolicy) -> None:
    """At any size, odd ones too, a smooth picture stays the same and the input has its shape."""
    data = jpeg(smooth(width, height))
    found, size = fit_image(data, spec(policy), source="a.jpg")
    assert (found.shape, size) == ((SIZE, SIZE, 3), (width, height))
    # A reduced pixel is up to 4 whole ones, and the last one may stand for a part of them.
    assert difference(data, policy) <= 4 + 4 * 255 // min(width, height)


def test_detail_is_averaged_and_not_dropped() -> None:
    """A fine checkerboard becomes its mean, not one of its colours."""
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found, _ = fit_image(jpeg(Image.fromarray(board)), spec(), source="a.jpg")
    assert np.abs(found.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats_are_decoded_whole(kind: str) -> None:
    """Only JPEG can be decoded in part; the others give what they gave."""
    buffer = io.BytesIO()
    smooth().save(buffer, kind)
    data = buffer.getvalue()
    found, size = fit_image(data, spec(), source="a")
    expected: NDArray[np.uint8] = resize_image(decode_image(data, source="a"), spec())
    assert np.array_equal(found, expected)
    assert size == (WIDTH, HEIGHT)


def test_small_jpegs_are_decoded_whole() -> None:
    """A JPEG that is not much larger than the input gives the same pixels bit for bit."""
    assert difference(jpeg(smooth(60, 80)), "crop") == 0


def test_what_is_cut_short_is_refused_all_the_same() -> None:
    """A damaged file is damaged, however much of it is decoded."""
    data = jpeg(smooth())
    with pytest.raises(ImageError) as caught:
        fit_image(data[: len(data) // 2], spec(), source="a.jpg")
    assert caught.value.reason == "damaged"


def test_the_gallery_is_told_the_size_of_the_file(tmp_path: Path) -> None:
    """A row's width and height are the file's, upright, not those of what was decoded."""
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(smooth(), exif=turned(6)))
    read = read_job(Job(path=str(path), known=None, size=0, mtime_ns=0), spec())
    assert isinstance(read, Read)
    assert (read.width, read.height) == (HEIGHT, WIDTH)
