"""Splitting by product: no product, and no two images that look alike, in two parts."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.bench.products import (
    NEAR,
    ProductSplit,
    near_pairs,
    products,
    split_products,
    thumbnail,
)
from boost_edge.cli.main import run
from boost_edge.export.labels import read_labels
from boost_edge.runtime.errors import ImageError, LabelTableError, UsageError

NAMES = st.sampled_from(["", "  ", "Red Shirt", "red shirt ", "Blue Bag", "cap"])


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the root mean square difference of two thumbnails, by definition."""
    return float(np.sqrt(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)))


def naive_products(names: Sequence[str], thumbnails: NDArray[np.float32]) -> list[int]:
    """Give every image its own product, and merge two as long as a pair of images asks for it."""
    found = list(range(len(names)))
    folded = [name.strip().lower() for name in names]
    for one, other in itertools.combinations(range(len(names)), 2):
        named = folded[one] == folded[other] and folded[one] != ""
        if named or distance(thumbnails[one], thumbnails[other]) < NEAR:
            # All of one product, not only these two images, go over to the other.
            low, high = sorted((found[one], found[other]))
            found = [low if each == high else each for each in found]
    return found


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), NAMES), min_size=1, max_size=12))
def test_products_are_the_naive_components(rows: list[tuple[int, str]]) -> None:
    """Products are what merging pair by pair gives; blank names join nothing."""
    thumbnails = np.array([[grey, grey, 2 * grey] for grey, _ in rows], np.float32)
    names = [name for _, name in rows]
    assert products(names, thumbnails) == naive_products(names, thumbnails)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(30)))
def test_products_do_not_depend_on_the_order(seed: int, order: list[int]) -> None:
    """Rows in another order make the same sets of images."""
    rng = np.random.default_rng(seed)
    thumbnails = rng.integers(0, 40, (30, 4)).astype(np.float32)
    names = [f"name {number}" for number in rng.integers(0, 60, 30)]

    def sets(places: Sequence[int]) -> set[frozenset[int]]:
        found = products([names[place] for place in places], thumbnails[list(places)])
        return {
            frozenset(place for place, each in zip(places, found, strict=True) if each == product)
            for product in found
        }

    assert sets(range(30)) == sets(order)


def test_near_pairs_are_exact_at_the_border() -> None:
    """A difference of exactly the limit is not near, the least below is, in images of any light."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, 576).astype(np.float32)
    at_limit, below = base.copy(), base.copy()
    at_limit += 6
    below[1:] += 6
    below[0] += 5
    far = rng.integers(0, 256, (1500, 576)).astype(np.float32)
    thumbnails = np.concatenate([base[None], far, at_limit[None], below[None]])
    pairs = set(near_pairs(thumbnails))
    assert pairs == {(0, 1502), (1501, 1502)}
    assert distance(thumbnails[0], thumbnails[1501]) == NEAR


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``labels.csv`` and ``images/``: 60 products, each from 1 to 4 images.

    Every third product's images look the same but are called differently; the others' are called
    the same but look different. Some names stand in capitals.
    """
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    lines: list[tuple[str, str, str]] = []
    for product in range(60):
        alike = rng.integers(0, 256, (16, 12, 3), np.uint8)
        for copy in range(1 + product % 4):
            pixels = alike if product % 3 == 0 else rng.integers(0, 256, (16, 12, 3), np.uint8)
            file = f"{len(lines):03d}.png"
            cv2.imwrite(str(folder / "images" / file), pixels)
            name = f"Look {product} {copy}" if product % 3 == 0 else f"Name {product}"
            lines.append((file, name.upper() if copy else name, "abc"[product % 3]))
    write_table(folder / "labels.csv", lines)
    return folder


def write_table(path: Path, lines: Sequence[tuple[str, str, str]]) -> None:
    """Write a label table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file_name", "name", "kind"), *lines])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def divide(shop: Path, out: Path, labels: Path | None = None, **options: Any) -> ProductSplit:
    """Split the shop's table."""
    given: dict[str, Any] = {"name_column": "name", "test": 30, "val": 12, **options}
    return split_products(labels or shop / "labels.csv", images=shop / "images", out=out, **given)


@pytest.mark.parametrize("seed", range(4))
def test_no_product_and_no_near_pair_in_two_parts(shop: Path, tmp_path: Path, seed: int) -> None:
    """Of all pairs of images in two parts none has one name or looks alike; counts are true."""
    done = divide(shop, tmp_path / "split.csv", seed=seed)
    rows = read_rows(tmp_path / "split.csv")
    small = [thumbnail(shop / "images" / row["file_name"]) for row in rows]
    for one, other in itertools.combinations(range(len(rows)), 2):
        if rows[one]["split"] != rows[other]["split"]:
            assert rows[one]["name"].lower() != rows[other]["name"].lower()
            assert distance(small[one], small[other]) >= NEAR
    counts = {part: sum(row["split"] == part for row in rows) for part in done.images}
    assert done.images == counts
    assert 30 <= done.images["test"] < 34
    assert 12 <= done.images["val"] < 16
    assert sum(done.products.values()) == 60
    for part in done.products:
        words = {tuple(row["name"].split()[:2]) for row in rows if row["split"] == part}
        assert len({(kind.lower(), number) for kind, number in words}) == done.products[part]


def test_the_new_table_is_the_old_one_and_a_column(shop: Path, tmp_path: Path) -> None:
    """Rows, their order and cells stay; training reads the parts; the digests are the files'."""
    done = divide(shop, tmp_path / "new" / "split.csv")
    rows = read_rows(done.path)
    assert [{key: row[key] for key in row if key != "split"} for row in rows] == read_rows(
        shop / "labels.csv"
    )
    assert read_labels(done.path, images=shop / "images").split == tuple(
        row["split"] for row in rows
    )
    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert done.labels_sha256 == hashlib.sha256((shop / "labels.csv").read_bytes()).hexdigest()
    again = divide(shop, tmp_path / "again.csv", labels=done.path)
    assert again.sha256 == done.sha256
    assert divide(shop, tmp_path / "other.csv", seed=1).sha256 != done.sha256


def test_rows_moved_within_products_change_nothing(shop: Path, tmp_path: Path) -> None:
    """Each image keeps its part in a table of another order where products begin with the same."""
    straight = read_rows(divide(shop, tmp_path / "straight.csv").path)
    lines = [(row["file_name"], row["name"], row["kind"]) for row in straight]
    firsts = [line for line in lines if line[1] != line[1].upper()]
    others = [line for line in lines if line not in firsts]
    assert len(firsts) == 60
    write_table(tmp_path / "moved.csv", [*firsts[::-1], *others[::-1]])
    moved = read_rows(divide(shop, tmp_path / "split.csv", labels=tmp_path / "moved.csv").path)
    assert {row["file_name"]: row["split"] for row in moved} == {
        row["file_name"]: row["split"] for row in straight
    }


def test_a_long_chain_is_never_held_out(tmp_path: Path) -> None:
    """More than 60 images that look alike, one to the next, are to train on, whatever the seed."""
    (tmp_path / "images").mkdir()
    lines: list[tuple[str, str, str]] = []
    for number in range(90):
        grey = 5 * number if number < 40 else 0
        pixels = np.full((16, 12, 3), grey, np.uint8)
        if number >= 70:
            pixels = np.random.default_rng(number).integers(0, 256, (16, 12, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), pixels)
        lines.append((f"{number}.png", f"name {number}", "a"))
    write_table(tmp_path / "labels.csv", lines)
    for seed in range(5):
        divide(tmp_path, tmp_path / "split.csv", seed=seed, test=12, val=4)
        rows = read_rows(tmp_path / "split.csv")
        assert {row["split"] for row in rows[:70]} == {"train"}
    with pytest.raises(LabelTableError, match="90 images of 21 products are too few"):
        divide(tmp_path, tmp_path / "split.csv", test=18, val=4)


def test_what_cannot_be_split_is_refused(shop: Path, tmp_path: Path) -> None:
    """Empty parts, parts that leave nothing, a wrong column or file: one line, and no file."""
    out = tmp_path / "split.csv"
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"val": 0}, "both need at least one"),
        ({"test": 150}, "150 images of 60 products"),
        ({"test": 138, "val": 12}, "too few"),
        ({"name_column": "nam"}, "did you mean name"),
        ({"image_column": "picture"}, "--image-column"),
    ]
    for options, said in refusals:
        with pytest.raises(UsageError, match=said):
            divide(shop, out, **options)
    with pytest.raises(UsageError, match=r"end in \.csv"):
        divide(shop, tmp_path / "split.parquet")
    with pytest.raises(UsageError, match="is the table to split"):
        divide(shop, shop / "images" / ".." / "labels.csv")
    assert not list(tmp_path.iterdir())
    (tmp_path / "0.png").write_bytes(b"no picture")
    write_table(tmp_path / "labels.csv", [("0.png", "a", "b")])
    with pytest.raises(LabelTableError, match="not one of its images can be read"):
        split_products(
            tmp_path / "labels.csv", images=tmp_path, name_column="name", test=1, val=1, out=out
        )
    with pytest.raises(ImageError):
        thumbnail(tmp_path / "0.png")


def test_the_command_names_what_it_leaves_out(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing and damaged images are named, their rows left out, and the exit code is 3."""
    lines = [(row["file_name"], row["name"], row["kind"]) for row in read_rows(shop / "labels.csv")]
    (shop / "images" / "damaged.png").write_bytes(b"no picture")
    write_table(
        tmp_path / "labels.csv", [*lines, ("gone.png", "x", "a"), ("damaged.png", "y", "a")]
    )
    out = tmp_path / "split.csv"
    command = [
        "bench", "split", str(tmp_path / "labels.csv"), "--images", str(shop / "images"),
        "--name-column", "name", "--test", "30", "--val", "12", "--out", str(out),
    ]  # fmt: skip
    assert run([*command, "--json"]) == 3
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert list(said) == [
        "seed", "path", "sha256", "labels_sha256", "images", "products", "missing", "skipped",
    ]  # fmt: skip
    assert said["missing"] == ["gone.png"]
    assert [Path(each["path"]).name for each in said["skipped"]] == ["damaged.png"]
    assert "gone.png" in printed.err
    assert "damaged.png" in printed.err
    assert sum(said["images"].values()) == len(lines) == len(read_rows(out))
    assert run(command) == 3
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["test", str(said["images"]["test"]), str(said["products"]["test"])] in cells
    clean = [*command[:2], str(shop / "labels.csv"), *command[3:]]
    assert run(clean) == 0
    assert run([*clean[:-1], str(tmp_path / "split.txt")]) == 2
