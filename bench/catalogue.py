"""A small procedural catalogue of garments, drawn offline: the demo's face, the tests' data."""

from __future__ import annotations

import argparse
import csv
import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.drawing.accessories import draw_bag, draw_cap
from boost_edge.bench.drawing.bottoms import draw_shorts, draw_skirt, draw_trousers
from boost_edge.bench.drawing.fabrics import COLOURS, Fabric, weave
from boost_edge.bench.drawing.jackets import draw_jacket
from boost_edge.bench.drawing.lighting import BACKGROUNDS
from boost_edge.bench.drawing.studio import Studio
from boost_edge.bench.drawing.tops import draw_dress, draw_shirt, draw_tshirt
from boost_edge.runtime.errors import BoostEdgeError, UsageError

__all__ = [
    "COLUMNS",
    "MIN_SIZE",
    "TYPES",
    "Garment",
    "Item",
    "draw_catalogue",
    "draw_item",
    "plan_items",
]

COLUMNS = ("file_name", "type", "colour", "pattern", "sleeve", "background", "name")
MIN_SIZE = 32
_JPEG_QUALITY = 93
_HOUSES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Garment:
    """One type of garment: how to draw it, and what it is made with.

    ``sleeves`` and ``patterns`` list what is plausible, repeated by how common it is; ``sleeves``
    is empty where the type has none. ``upright`` is how often its stripes run up and down, in
    [0, 1]. ``tilt``, ``zoom`` and ``middle`` are as in ``Studio``; ``standing`` objects throw their
    shadow on a floor.
    """

    draw: Callable[[Studio, Fabric, str], None]
    sleeves: tuple[str, ...]
    patterns: tuple[str, ...]
    upright: float = 0.0
    tilt: float = 5.0
    zoom: float = 1.0
    middle: float = 0.0
    standing: bool = False


_ANY = ("plain", "plain", "striped", "checked", "dotted", "floral")
_SOBER = ("plain", "plain", "striped", "checked")
TYPES: Mapping[str, Garment] = MappingProxyType(
    {
        "bag": Garment(
            draw=draw_bag, sleeves=(), patterns=_ANY, upright=0.4, tilt=2.0, zoom=1.12,
            middle=0.07, standing=True,
        ),
        "cap": Garment(
            draw=draw_cap, sleeves=(), patterns=(*_SOBER, "dotted"), upright=0.3, tilt=4.0,
            zoom=1.22, middle=0.04, standing=True,
        ),
        "dress": Garment(
            draw=draw_dress, sleeves=("short", "long", "sleeveless", "sleeveless"), patterns=_ANY,
            upright=0.3, tilt=4.0, zoom=0.98, middle=-0.07,
        ),
        "jacket": Garment(
            draw=draw_jacket, sleeves=("long", "long", "long", "sleeveless"), patterns=_SOBER,
            upright=0.9, zoom=1.16, middle=0.05,
        ),
        "shirt": Garment(
            draw=draw_shirt, sleeves=("short", "long"), patterns=_ANY, upright=0.7, zoom=1.13,
            middle=0.07,
        ),
        "shorts": Garment(
            draw=draw_shorts, sleeves=(), patterns=_ANY, upright=0.6, zoom=1.3, middle=-0.06,
        ),
        "skirt": Garment(draw=draw_skirt, sleeves=(), patterns=_ANY, zoom=1.18, middle=-0.05),
        "t-shirt": Garment(
            draw=draw_tshirt, sleeves=("short", "short", "long", "sleeveless"), patterns=_ANY,
            zoom=1.16, middle=0.04,
        ),
        "trousers": Garment(
            draw=draw_trousers, sleeves=(), patterns=_SOBER, upright=0.9, tilt=4.0, middle=0.02,
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row of the catalogue; ``sleeve`` is empty where the type has none."""

    type: str
    colour: str
    pattern: str
    sleeve: str
    background: str
    name: str


def draw_catalogue(out: Path, *, count: int = 400, seed: int = 0, size: int = 160) -> Path:
    """Draw a catalogue: ``out/images/*.jpg`` and ``out/labels.csv``.

    The columns are ``COLUMNS``; ``file_name`` is relative to ``out/images``, and ``sleeve`` is
    blank, which means unknown, where the type has none. The same arguments give the same pixels
    on the same OpenCV, and item i does not depend on ``count``. The folder appears only when it
    is complete.

    Parameters
    ----------
    out
        The folder to create; it may exist if it is empty.
    count
        How many images, at least 1.
    seed
        Chooses another catalogue, at least 0.
    size
        The edge of the square images in pixels, at least ``MIN_SIZE``.

    Returns
    -------
    The path of ``labels.csv``.

    Raises
    ------
    UsageError
        When an argument is out of range, or ``out`` is a file or a folder with something in it.
    BoostEdgeError
        When the folder cannot be written.
    """
    _check_size(size)
    items = plan_items(count, seed)
    try:
        target = out.resolve()
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise UsageError(f"{out}: already exists and is not an empty folder: choose another")
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            (temporary / "images").mkdir(parents=True)
            _write(temporary, items, seed=seed, size=size)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise BoostEdgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    return out / "labels.csv"


def _write(folder: Path, items: Sequence[Item], *, seed: int, size: int) -> None:
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(COLUMNS)
    for number, item in enumerate(items):
        file_name = f"{number:05d}.jpg"
        picture = draw_item(item, np.random.default_rng([seed, number, 1]), size=size)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, data = cv2.imencode(".jpg", picture[..., ::-1], quality)
        (folder / "images" / file_name).write_bytes(data.tobytes())
        table.writerow([file_name, *(getattr(item, column) for column in COLUMNS[1:])])
    (folder / "labels.csv").write_text(rows.getvalue(), encoding="utf-8")


def plan_items(count: int, seed: int) -> list[Item]:
    """Choose the attributes of ``count`` items; types and colours come round equally often.

    Raises
    ------
    UsageError
        When ``count`` is below 1 or ``seed`` below 0.
    """
    if count < 1 or seed < 0:
        raise UsageError(
            f"a catalogue of {count} images with seed {seed}: count from 1, seed from 0"
        )
    pairs = [(kind, colour) for kind in TYPES for colour in COLOURS]
    items: list[Item] = []
    order: list[int] = []
    for number in range(count):
        if not order:
            order = list(np.random.default_rng([seed, number, 2]).permutation(len(pairs)))
        kind, colour = pairs[order.pop()]
        items.append(_plan_item(kind, colour, np.random.default_rng([seed, number, 0])))
    return items


def draw_item(item: Item, rng: np.random.Generator, *, size: int = 160) -> NDArray[np.uint8]:
    """Draw one item, (size, size, 3) uint8 RGB.

    Raises
    ------
    UsageError
        When ``size`` is below ``MIN_SIZE``.
    """
    _check_size(size)
    garment = TYPES[item.type]
    studio = Studio(size, rng, tilt=garment.tilt, zoom=garment.zoom, middle=garment.middle)
    fabric = weave(item.colour, item.pattern, rng, upright=garment.upright)
    garment.draw(studio, fabric, item.sleeve)
    return studio.picture(item.background, standing=garment.standing)


def _plan_item(kind: str, colour: str, rng: np.random.Generator) -> Item:
    garment = TYPES[kind]
    pattern = garment.patterns[int(rng.integers(len(garment.patterns)))]
    sleeve = garment.sleeves[int(rng.integers(len(garment.sleeves)))] if garment.sleeves else ""
    backgrounds = tuple(BACKGROUNDS)
    background = backgrounds[int(rng.integers(len(backgrounds)))]
    house = _HOUSES[int(rng.integers(len(_HOUSES)))]
    words = [house, colour, pattern]
    if sleeve:
        words.append("sleeveless" if sleeve == "sleeveless" else f"{sleeve}-sleeved")
    name = " ".join(word.capitalize() for word in [*words, kind])
    return Item(
        type=kind, colour=colour, pattern=pattern, sleeve=sleeve, background=background, name=name
    )


def _check_size(size: int) -> None:
    if size < MIN_SIZE:
        raise UsageError(f"an image of {size} pixels is too small to draw: at least {MIN_SIZE}")


def _main() -> None:
    """Draw a catalogue from the command line: ``python -m boost_edge.bench.catalogue OUT``."""
    parser = argparse.ArgumentParser(description="Draw a catalogue of garments with known labels.")
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("--count", type=int, default=400, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="chooses another catalogue")
    parser.add_argument("--size", type=int, default=160, help="edge of the images in pixels")
    given = parser.parse_args()
    try:
        draw_catalogue(given.out, count=given.count, seed=given.seed, size=given.size)
    except BoostEdgeError as error:
        parser.error(str(error))


if __name__ == "__main__":
    _main()
