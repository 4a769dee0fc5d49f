"""The procedural catalogue: deterministic, plausible, and written whole or not at all."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.bench.catalogue import (
    COLUMNS,
    MIN_SIZE,
    TYPES,
    Item,
    draw_catalogue,
    draw_item,
    plan_items,
)
from boost_edge.bench.drawing.fabrics import COLOURS, PATTERNS, weave
from boost_edge.bench.drawing.lighting import BACKGROUNDS
from boost_edge.bench.drawing.outlines import band, path, symmetric
from boost_edge.runtime.errors import BoostEdgeError, UsageError


def rows_of(labels: Path) -> list[dict[str, str]]:
    """Read a label file."""
    with labels.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plain(kind: str, colour: str = "red", background: str = "white") -> Item:
    """Return an item without a pattern, with the first sleeve its type can have."""
    sleeves = TYPES[kind].sleeves
    return Item(
        type=kind,
        colour=colour,
        pattern="plain",
        sleeve=sleeves[0] if sleeves else "",
        background=background,
        name="",
    )


def test_rows_and_images_match(catalogue: Path) -> None:
    """Every row names a square image that decodes, and no image is without a row."""
    rows = rows_of(catalogue / "labels.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["file_name"] for row in rows] == sorted(
        path.name for path in (catalogue / "images").iterdir()
    )
    assert len(rows) == 80
    for row in rows:
        image = cv2.imread(os.fspath(catalogue / "images" / row["file_name"]))
        assert image is not None
        assert image.shape == (64, 64, 3)


def test_same_seed_same_files(tmp_path: Path) -> None:
    """The same arguments give the same bytes; another seed gives others."""
    first = draw_catalogue(tmp_path / "a", count=6, seed=3, size=48)
    second = draw_catalogue(tmp_path / "b", count=6, seed=3, size=48)
    other = draw_catalogue(tmp_path / "c", count=6, seed=4, size=48)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    names = [row["file_name"] for row in rows_of(first)]
    for name in names:
        assert (first.parent / "images" / name).read_bytes() == (
            second.parent / "images" / name
        ).read_bytes()


def test_same_generator_same_pixels() -> None:
    """An item's pixels depend on the item, the generator's seed and the size alone."""
    for item in plan_items(9, 5):
        first = draw_item(item, np.random.default_rng(1), size=64)
        again = draw_item(item, np.random.default_rng(1), size=64)
        other = draw_item(item, np.random.default_rng(2), size=64)
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_count_does_not_change_items() -> None:
    """A shorter catalogue is the beginning of a longer one."""
    assert plan_items(400, 7)[:50] == plan_items(50, 7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40))
def test_items_are_plausible(seed: int) -> None:
    """Sleeves stand where the type has them and nowhere else; every value is a known one."""
    for item in plan_items(81, seed):
        garment = TYPES[item.type]
        assert item.sleeve in garment.sleeves if garment.sleeves else item.sleeve == ""
        assert item.pattern in garment.patterns
        assert item.colour in COLOURS
        assert item.background in BACKGROUNDS
        assert item.colour in item.name.lower()
        assert item.type in item.name.lower()


def test_types_and_colours_are_balanced() -> None:
    """81 items have every pair of the nine types and the nine colours once; the rest all occurs."""
    items = plan_items(405, 0)
    first = {(item.type, item.colour) for item in items[:81]}
    assert len(first) == 81
    assert {item.pattern for item in items} == set(PATTERNS)
    assert {item.sleeve for item in items} == {"short", "long", "sleeveless", ""}
    assert {item.background for item in items} == set(BACKGROUNDS)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_garment_covers_the_middle(kind: str) -> None:
    """A garment differs from the bare paper in its middle, and leaves the corners free."""
    image = draw_item(plain(kind), np.random.default_rng(0), size=96).astype(int)
    corners = image[[2, 2, -3, -3], [2, -3, 2, -3]]
    assert (np.abs(corners - 246) < 30).all()
    middle = image[40:56, 40:56].reshape(-1, 3).mean(axis=0)
    assert middle[0] - middle[1:].mean() > 60


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_colours_can_be_told_apart(colour: str) -> None:
    """A drawn plain garment is nearest, in Lab, to the colour it is named after."""
    palette = np.array([COLOURS[name] for name in sorted(COLOURS)], np.float32)
    lab = cv2.cvtColor(palette[None] / 255, cv2.COLOR_RGB2Lab)[0]
    right = 0
    for seed in range(6):
        image = draw_item(plain("t-shirt", colour, "grey"), np.random.default_rng(seed), size=96)
        middle = np.asarray(np.median(image[44:76, 36:60].reshape(-1, 3), axis=0), np.float32)
        seen = cv2.cvtColor((middle / 255).reshape(1, 1, 3), cv2.COLOR_RGB2Lab)[0, 0]
        nearest = int(np.linalg.norm(lab - seen, axis=1).argmin())
        right += sorted(COLOURS)[nearest] == colour
    assert right >= 5


@pytest.mark.parametrize("pattern", sorted(set(PATTERNS) - {"plain"}))
def test_ground_outweighs_print(pattern: str) -> None:
    """A patterned cloth is, on average, nearer to the colour it is named after than to its ink."""
    for seed in range(8):
        fabric = weave("blue", pattern, np.random.default_rng(seed))
        mean = fabric.tile.reshape(-1, 3).mean(axis=0)
        ground, ink = np.array(fabric.colour), np.array(fabric.ink)
        share = float((mean - ground) @ (ink - ground) / ((ink - ground) @ (ink - ground)))
        assert 0.05 < share < 0.5
        edges = np.abs(np.diff(fabric.tile.astype(int), axis=0)).max()
        seam = np.abs(fabric.tile[0].astype(int) - fabric.tile[-1]).max()
        across = np.abs(np.diff(fabric.tile.astype(int), axis=1)).max()
        assert seam <= max(edges, across), "the tile must close on itself"


@settings(max_examples=12, deadline=None)
@given(st.integers(MIN_SIZE, 75), st.sampled_from(sorted(TYPES)), st.integers(0, 1000))
def test_any_size_can_be_drawn(size: int, kind: str, seed: int) -> None:
    """Odd and small sizes work, and the picture has the size asked for."""
    image = draw_item(plain(kind), np.random.default_rng(seed), size=size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(("count", "seed", "size"), [(0, 0, 64), (1, -1, 64), (1, 0, MIN_SIZE - 1)])
def test_bad_arguments(tmp_path: Path, count: int, seed: int, size: int) -> None:
    """An argument out of range is refused before anything is written."""
    with pytest.raises(UsageError):
        draw_catalogue(tmp_path / "deep" / "out", count=count, seed=seed, size=size)
    assert not list(tmp_path.iterdir())


def test_full_folder_is_refused(tmp_path: Path) -> None:
    """A folder with something in it, or a file, is left alone."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    for name in ("full", "full/mine.txt"):
        with pytest.raises(UsageError, match="not an empty folder"):
            draw_catalogue(tmp_path / name, count=1, size=32)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]


def test_empty_folder_and_link_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder may stand there already, also behind a link or as the working folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "here").mkdir()
    assert draw_catalogue(tmp_path / "empty", count=1, size=32).is_file()
    assert draw_catalogue(tmp_path / "link", count=1, size=32).is_file()
    assert (tmp_path / "real" / "labels.csv").is_file()
    monkeypatch.chdir(tmp_path / "here")
    draw_catalogue(Path(), count=1, size=32)
    assert (tmp_path / "here" / "labels.csv").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_unwritable_place_is_one_line(tmp_path: Path) -> None:
    """What the system refuses becomes one line that names the folder."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BoostEdgeError, match="cannot be written") as caught:
        draw_catalogue(tmp_path / "file" / "out", count=1, size=32)
    assert "\n" not in str(caught.value)


def test_path_meets_its_ends() -> None:
    """A path passes through the ends of its pieces, and a quadratic through its middle."""
    points = path((0.0, 0.0), ((1.0, 0.0),), ((2.0, 0.0), (2.0, 1.0)))
    assert points[0].tolist() == [0, 0]
    assert points[1].tolist() == [1, 0]
    assert points[-1] == pytest.approx([2, 1])
    assert points[6] == pytest.approx(
        [1.75, 0.25]
    )  # t = 0.5: the mean of the chord and the control
    closed = symmetric(points)
    assert len(closed) == 2 * len(points)
    assert np.abs(closed[:, 0]).max() == pytest.approx(2)


def test_band_has_its_width() -> None:
    """The two sides of a band along a straight line are its width apart."""
    outline = band(path((0.0, 0.0), ((1.0, 0.0),)), 0.2)
    assert outline[:, 1] == pytest.approx([0.1, 0.1, -0.1, -0.1])
