"""Divide a labelled catalogue by product, so that what is tested was never seen in any form.

Two images belong to one product when their names agree, letter case aside, or when they look
alike: the root mean square difference of their thumbnails is below `NEAR` grey levels. Products
are the connected components of that relation, and a product is in one part only.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import ImageError, LabelTableError, UsageError
from boost_edge.runtime.images import decode_image, read_bytes
from boost_edge.runtime.replace import replacing

__all__ = ["NEAR", "ProductSplit", "near_pairs", "products", "split_products"]

NEAR = 6.0
"""Thumbnails that differ by less, in grey levels of 255, show the same product."""

_THUMBNAIL = (12, 16)  # width, height
_BLOCK = 1_000
# A chain of images that look alike, one to the next, can grow to a whole kind of goods. What is
# tested should not be one such chain.
_LARGEST_HELD_OUT = 60
_PARTS = ("test", "val", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSplit:
    """How many products and images each part has, and how many images could not be read."""

    path: Path
    images: dict[str, int]
    products: dict[str, int]
    unread: int


def split_products(
    labels: Path,
    *,
    images: Path,
    name_column: str,
    test: int,
    val: int,
    out: Path,
    seed: int = 0,
    image_column: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ProductSplit:
    """Write a copy of a label table with a column ``split`` that keeps products whole.

    Products, ordered by sha256 of seed and first image's name, fill the test part until it has
    ``test`` images, then the validation part; the rest, and every product of more than 60
    images, is for training. Rows whose image is missing or unreadable are left out.

    Raises
    ------
    LabelTableError
        When the table cannot be used, or has too few images for these parts.
    UsageError
        When a part would be empty.
    """
    from boost_edge.export.label_files import read_table
    from boost_edge.export.label_images import locate_images

    if min(test, val) < 1:
        raise UsageError(f"parts of {test} and {val} images: both need at least one")
    table = read_table(labels)
    if name_column not in table.columns:
        raise LabelTableError(
            f"{labels}: has no column {name_column}: choose another --name-column"
        )
    located = locate_images(table, images=images, image_column=image_column)
    names = table.column(name_column)
    rows: list[int] = []
    thumbnails: list[NDArray[np.float32]] = []
    for row, file in enumerate(located.files):
        if file is not None and (thumbnail := _thumbnail(file)) is not None:
            rows.append(row)
            thumbnails.append(thumbnail)
        if progress is not None:
            progress(row + 1, len(located.files))
    belongs = products([names[row].casefold().strip() for row in rows], np.stack(thumbnails))
    parts = _assign(belongs, [located.names[row] for row in rows], test=test, val=val, seed=seed)
    if "train" not in parts:
        raise LabelTableError(f"{labels}: {len(rows)} images are too few for these parts")
    columns = [name for name in table.columns if name != "split"]
    kept = [table.columns.index(name) for name in columns]
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(out) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "split"])
        for row, part in zip(rows, parts, strict=True):
            writer.writerow([*(table.rows[row][index] for index in kept), part])
    return ProductSplit(
        path=out,
        images={part: parts.count(part) for part in _PARTS},
        products={
            part: len({product for product, of in zip(belongs, parts, strict=True) if of == part})
            for part in _PARTS
        },
        unread=len(located.files) - len(rows),
    )


def products(names: Sequence[str], thumbnails: NDArray[np.float32]) -> list[int]:
    """Return for each of N images the number of its product, that of the product's first image.

    ``thumbnails`` is ``(N, P) float32`` in grey levels; a blank name belongs to nothing.
    """
    parents = list(range(len(names)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, row), row) for row, name in enumerate(names) if name]
    for one, other in [*pairs, *near_pairs(thumbnails)]:
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    return [root(item) for item in range(len(names))]


def near_pairs(thumbnails: NDArray[np.float32], *, near: float = NEAR) -> Iterable[tuple[int, int]]:
    """Yield the pairs (i, j), i < j, of rows with a root mean square difference below ``near``."""
    centred = thumbnails - thumbnails.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    limit = near**2 * thumbnails.shape[1]
    for start in range(0, len(centred), _BLOCK):
        block = centred[start : start + _BLOCK]
        distances = (
            squares[start : start + _BLOCK, None] + squares[start:] - 2 * block @ centred[start:].T
        )
        ones, others = np.nonzero(distances < limit)
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            if one < other:
                yield start + one, start + other


def _assign(
    belongs: Sequence[int], names: Sequence[str], *, test: int, val: int, seed: int
) -> list[str]:
    sizes: dict[int, int] = {}
    for product in belongs:
        sizes[product] = sizes.get(product, 0) + 1

    def key(product: int) -> str:
        return hashlib.sha256(f"{seed}:{names[product]}".encode()).hexdigest()

    wanted = {"test": test, "val": val}
    chosen: dict[int, str] = {}
    for product in sorted(sizes, key=key):
        part = next((name for name, left in wanted.items() if left > 0), None)
        if part is None:
            break
        if sizes[product] <= _LARGEST_HELD_OUT:
            chosen[product] = part
            wanted[part] -= sizes[product]
    return [chosen.get(product, "train") for product in belongs]


def _thumbnail(file: Path) -> NDArray[np.float32] | None:
    try:
        image = decode_image(read_bytes(file), source=str(file))
    except ImageError:
        return None
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(-1)
