"""The stages of one query, each alone and the whole: files, a gallery, and what to call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.bench.latency_systems import System
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import decode_image, read_bytes, resize_image

__all__ = ["PHOTO", "SMALL", "STAGES", "Photos", "make_photos", "stage_calls"]

# Width and height in pixels: one megapixel as a phone's picture on the web, and a thumbnail.
PHOTO = (1152, 864)
SMALL = (320, 240)

STAGES = {
    "decode": "the photo's bytes, read from the file, to pixels",
    "preprocess": "the photo's pixels to the network's input",
    "infer": "the network's input to embedding and attributes, batch 1",
    "search": "an embedding to ten hits of the gallery",
    "query": "Gallery.query: the photo's path to ten hits",
    "decode-small": "as decode, of the small picture",
    "preprocess-small": "as preprocess, of the small picture",
    "query-small": "as query, of the small picture",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """The two query images as files."""

    photo: Path
    small: Path


def make_photos(
    folder: Path, *, photo: tuple[int, int], small: tuple[int, int], seed: int
) -> Photos:
    """Draw the query images as JPEG files; sizes are width and height in pixels."""
    folder.mkdir(parents=True)
    paths: list[Path] = []
    for number, (name, (width, height)) in enumerate((("photo", photo), ("small", small))):
        path = folder / f"{name}.jpg"
        path.write_bytes(encode_jpeg(draw_photo(width, height, seed=seed + number)))
        paths.append(path)
    return Photos(photo=paths[0], small=paths[1])


def stage_calls(
    system: System, encoder: Encoder, gallery: Gallery, photos: Photos, *, seed: int
) -> Mapping[str, Callable[[], object]]:
    """Return what to call for each stage of ``STAGES``, ``infer`` excepted."""
    spec = system.manifest.image
    vector = np.random.default_rng(seed).normal(size=encoder.dimensions).astype(np.float32)

    def decode(path: Path) -> NDArray[np.uint8]:
        return decode_image(read_bytes(path), source=os.fspath(path), spec=spec)

    def preprocess(path: Path) -> Callable[[], object]:
        pixels = decode(path)
        return lambda: resize_image(pixels, spec)

    return {
        "decode": lambda: decode(photos.photo),
        "preprocess": preprocess(photos.photo),
        "search": lambda: gallery.search(vector),
        "query": lambda: gallery.query(photos.photo),
        "decode-small": lambda: decode(photos.small),
        "preprocess-small": preprocess(photos.small),
        "query-small": lambda: gallery.query(photos.small),
    }
