"""``bench split``: divide a labelled catalogue by product, so that nothing tested was seen before.

Two images belong to one product when their names agree, letter case aside, or when they look
alike: the root mean square difference of their thumbnails is below `NEAR` grey levels. Products
are the connected components of that relation, and a product is in one part only.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import BoostEdgeError, ImageError, LabelTableError, UsageError
from boost_edge.runtime.images import decode_image, read_bytes
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.replace import replacing

if TYPE_CHECKING:
    from boost_edge.export.label_files import Table
    from boost_edge.export.label_images import Located

__all__ = ["NEAR", "ProductSplit", "near_pairs", "products", "split_products", "thumbnail"]

NEAR = 6.0
"""Thumbnails that differ by less, in grey levels of 255, show the same product."""

_THUMBNAIL = (12, 16)  # width, height
_BLOCK = 1_000
# Distances in float32 are wrong by less than this share of the two squared lengths.
_ROUNDING = 1e-4
# A chain of images that look alike, one to the next, can grow to a whole kind of goods. What is
# tested should not be one such chain.
_LARGEST_HELD_OUT = 60
_PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSplit:
    """What `split_products` wrote.

    ``path`` and ``sha256`` are of the new table, ``labels_sha256`` of the old one; ``images`` and
    ``products`` count by part. ``missing`` are names of images that are not there, ``skipped`` say
    which cannot be read: their rows are left out.
    """

    path: Path
    sha256: str
    labels_sha256: str
    images: dict[str, int]
    products: dict[str, int]
    missing: tuple[str, ...]
    skipped: tuple[ImageError, ...]


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
    progress: Progress | None = None,
) -> ProductSplit:
    """Write a copy of a label table as CSV, with a column ``split`` that keeps products whole.

    Products, in the order of sha256 of seed and first image's name, fill the test part until it
    has ``test`` images, then the validation part until it has ``val``; the rest, and every product
    of more than 60 images, is to train on. What is a product does not depend on the order of the
    rows; which part it is in does, by which of its images stands first. A column ``split`` that
    is there is replaced.

    Raises
    ------
    LabelTableError
        When the table cannot be used, or has too few images for these parts.
    UsageError
        When a part would be empty, or ``out`` is no CSV file or the table itself.
    """
    from boost_edge.export.label_files import read_table
    from boost_edge.export.label_images import check_column, locate_images

    if min(test, val) < 1:
        raise UsageError(f"parts of {test} and {val} images: both need at least one")
    if out.suffix.lower() != ".csv":
        raise UsageError(f"{out}: the new table is CSV: let its name end in .csv")
    if out.resolve() == labels.resolve():
        raise UsageError(f"{out}: is the table to split: write the new one to another file")
    report = progress or silent
    table = read_table(labels)
    check_column(table, name_column, "--name-column")
    located = locate_images(table, images=images, image_column=image_column)
    rows, thumbnails, skipped = _read(located, report)
    if not rows:
        raise LabelTableError(f"{labels}: not one of its images can be read ({skipped[0]})")
    cells = table.column(name_column)
    belongs = products([cells[row] for row in rows], np.stack(thumbnails), progress=report)
    first = [located.names[row] for row in rows]
    parts = _assign(belongs, first, wanted={"test": test, "val": val}, seed=seed)
    if parts is None:
        raise LabelTableError(
            f"{labels}: {len(rows):,} images of {len(set(belongs)):,} products are too few to test "
            f"with {test:,}, validate with {val:,} and train with others: ask for less"
        )
    return ProductSplit(
        path=out,
        sha256=_write(out, table, rows, parts),
        labels_sha256=table.sha256,
        images={part: parts.count(part) for part in _PARTS},
        products=dict.fromkeys(_PARTS, 0)
        | Counter(dict(zip(belongs, parts, strict=True)).values()),
        missing=located.missing,
        skipped=tuple(skipped),
    )


def products(
    names: Sequence[str], thumbnails: NDArray[np.float32], *, progress: Progress = silent
) -> list[int]:
    """Return for each of N images the number of its product, that of the product's first image.

    ``thumbnails`` is ``(N, P) float32`` in grey levels. A blank name agrees with none.
    """
    parents = list(range(len(names)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parents[high] = low

    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if folded := name.casefold().strip():
            join(first.setdefault(folded, row), row)
    for one, other in near_pairs(thumbnails, progress=progress):
        join(one, other)
    return [root(item) for item in range(len(names))]


def near_pairs(
    thumbnails: NDArray[np.float32], *, near: float = NEAR, progress: Progress = silent
) -> Iterator[tuple[int, int]]:
    """Yield the pairs (i, j), i < j, of rows with a root mean square difference below ``near``.

    ``thumbnails`` is ``(N, P) float32``. Which pairs are near depends on these two rows alone:
    what a product of matrices in float32 cannot tell is computed again, in float64.
    """
    centred = thumbnails - thumbnails.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    limit = near**2 * thumbnails.shape[1]
    for start in range(0, len(centred), _BLOCK):
        block = centred[start : start + _BLOCK]
        lengths = squares[start : start + _BLOCK, None] + squares[start:]
        distances = lengths - 2 * block @ centred[start:].T
        ones, others = np.nonzero(distances < limit + _ROUNDING * lengths)
        later = ones < others
        ones, others = ones[later], others[later]
        unsure = distances[ones, others] > limit - _ROUNDING * lengths[ones, others]
        close = ~unsure
        close[unsure] = _distances(thumbnails, start + ones[unsure], start + others[unsure]) < limit
        pairs = zip((start + ones[close]).tolist(), (start + others[close]).tolist(), strict=True)
        yield from pairs
        progress("comparing", min(start + _BLOCK, len(centred)), len(centred))


def thumbnail(file: Path) -> NDArray[np.float32]:
    """Return the image as it is compared, ``(P,) float32`` in whole grey levels.

    Raises
    ------
    ImageError
        When it cannot be read.
    """
    image = decode_image(read_bytes(file), source=str(file))
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(-1)


def _distances(
    thumbnails: NDArray[np.float32], ones: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the squared distances of pairs of rows."""
    found = np.empty(len(ones))
    for start in range(0, len(ones), _BLOCK):
        part = slice(start, start + _BLOCK)
        gaps = thumbnails[ones[part]].astype(np.float64) - thumbnails[others[part]]
        found[part] = np.square(gaps).sum(axis=1)
    return found


def _read(
    located: Located, report: Progress
) -> tuple[list[int], list[NDArray[np.float32]], list[ImageError]]:
    """Return the rows whose image can be read, their thumbnails, and why others cannot."""
    rows: list[int] = []
    thumbnails: list[NDArray[np.float32]] = []
    skipped: list[ImageError] = []
    for row, file in enumerate(located.files):
        if file is not None:
            try:
                thumbnails.append(thumbnail(file))
                rows.append(row)
            except ImageError as error:
                skipped.append(error)
        report("reading images", row + 1, len(located.files))
    return rows, thumbnails, skipped


def _assign(
    belongs: Sequence[int], names: Sequence[str], *, wanted: dict[str, int], seed: int
) -> list[str] | None:
    """Return the part of every image, or None where they are too few.

    ``wanted`` says how many images the parts that are held out need, in the order to fill them.
    """

    def key(product: int) -> str:
        return hashlib.sha256(f"{seed}:{names[product]}".encode()).hexdigest()

    sizes = Counter(belongs)
    order = iter(sorted((each for each in sizes if sizes[each] <= _LARGEST_HELD_OUT), key=key))
    chosen: dict[int, str] = {}
    for part, left in wanted.items():
        while left > 0:
            product = next(order, None)
            if product is None:
                return None
            chosen[product] = part
            left -= sizes[product]
    parts = [chosen.get(product, "train") for product in belongs]
    return parts if "train" in parts else None


def _write(out: Path, table: Table, rows: Sequence[int], parts: Sequence[str]) -> str:
    """Write the rows with their parts, and return the sha256 of the file."""
    from boost_edge.export.label_attributes import SPLIT_COLUMN

    columns = [name for name in table.columns if name != SPLIT_COLUMN]
    kept = [table.columns.index(name) for name in columns]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([*columns, SPLIT_COLUMN])
                for row, part in zip(rows, parts, strict=True):
                    writer.writerow([*(table.rows[row][index] for index in kept), part])
            digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    except OSError as error:
        raise BoostEdgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    return digest
