"""Reviewing labels: planted errors are found, and what cannot be judged is named and not judged."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.drawn_model import DRAWN

from boost_edge.export.review import Review, review_labels
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import LabelTableError, UsageError

Row = dict[str, str]

ATTRIBUTES = ("type", "colour", "pattern", "sleeve")


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    """Return the model of drawn garments, which never saw these."""
    with Encoder.open(DRAWN, threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(garments: Path) -> list[Row]:
    """Return the rows of the table of 240 garments, which are all right."""
    with (garments / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write a label table and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def plant(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], set[tuple[str, str]]]:
    """Give a share of the labels another value at random; return the rows, and which these are."""
    rng = np.random.default_rng(seed)
    cells = [(row, name) for row in range(len(rows)) for name in ATTRIBUTES if rows[row][name]]
    changed = [dict(row) for row in rows]
    planted: set[tuple[str, str]] = set()
    chosen: list[int] = rng.choice(len(cells), round(share * len(cells)), replace=False).tolist()
    for which in chosen:
        row, name = cells[which]
        values = sorted({each[name] for each in rows} - {"", rows[row][name]})
        changed[row][name] = values[int(rng.integers(len(values)))]
        planted.add((rows[row]["file_name"], name))
    return changed, planted


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_errors_are_found(
    seed: int, rows: list[Row], garments: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Of 5% wrong labels nearly all are listed, most of them before anything else.

    At chance one in twenty of the first n would be wrong, where n is how many were planted.
    """
    changed, planted = plant(rows, 0.05, seed)
    table = write(tmp_path / "labels.csv", changed)
    found = review_labels(table, images=garments / "images", encoder=encoder, limit=1000)
    assert found.labels == sum(bool(row[name]) for row in rows for name in ATTRIBUTES)
    assert len(found.doubts) == found.disagreements
    hits = np.array([(each.file_name, each.attribute) in planted for each in found.doubts])
    count = len(planted)
    assert 35 < count < 50
    precision = hits[:count].mean()
    lift = precision / (count / found.labels)
    assert precision > 0.6
    assert lift > 10
    assert hits[: count // 2].mean() > 0.85
    assert hits.sum() > 0.9 * count
    likely = np.array([each.likely for each in found.doubts])
    assert found.likely == likely.sum()
    assert hits[likely].sum() > 0.7 * count
    assert hits[likely].mean() > 0.45
    # And mostly it knows what they were.
    right = {(row["file_name"], name): row[name] for row in rows for name in ATTRIBUTES}
    suggested = [
        each.suggested == right[each.file_name, each.attribute]
        for each, hit in zip(found.doubts, hits, strict=True)
        if hit
    ]
    assert np.mean(suggested) > 0.85


def test_right_labels_are_seldom_doubted(
    rows: list[Row], garments: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Without planted errors the model disagrees as often as it errs, and is seldom sure of it."""
    table = write(tmp_path / "labels.csv", rows)
    found = review_labels(table, images=garments / "images", encoder=encoder, limit=1000)
    assert found.disagreements < 0.1 * found.labels
    assert found.likely < 0.04 * found.labels
    assert sum(each.score < 0.02 for each in found.doubts) < 0.01 * found.labels
    truth = {row["file_name"]: row for row in rows}
    assert all(truth[each.file_name][each.attribute] == each.given for each in found.doubts)


@pytest.fixture
def images(garments: Path, tmp_path: Path) -> Path:
    """Return a folder with the first twelve garments."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        shutil.copy(garments / "images" / f"{number:05}.jpg", folder)
    return folder


@pytest.fixture
def few(rows: list[Row]) -> list[Row]:
    """Return the rows of the first twelve garments, to be changed."""
    return [dict(row) for row in rows[:12]]


def test_a_doubt_says_all_about_its_label(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Row, image, both values and what the model gives for them, best margin of others first."""
    for row in few:
        row["colour"] = "green" if row["colour"] != "green" else "pink"
    table = write(tmp_path / "labels.csv", few)
    found = review_labels(table, images=images, encoder=encoder, attributes=["colour"])
    encoding = encoder.predict(images / row["file_name"] for row in few)
    assert encoding.attributes is not None
    [colour] = [each for each in encoder.manifest.attributes if each.name == "colour"]
    first = len(encoder.manifest.attributes[0].values)
    names = [row["file_name"] for row in few]
    assert found.disagreements == len(found.doubts) > 8
    for each in found.doubts:
        place = names.index(each.file_name)
        assert (each.row, each.path) == (place + 2, images / each.file_name)
        assert (each.attribute, each.given) == ("colour", few[place]["colour"])
        p = encoding.attributes[place, first : first + len(colour.values)]
        assert each.suggested == colour.values[int(p.argmax())] != each.given
        assert each.p_suggested == pytest.approx(float(p.max()), abs=1e-6)
        assert each.p_given == pytest.approx(float(p[colour.values.index(each.given)]), abs=1e-6)
        assert each.score == pytest.approx((each.p_given - each.p_suggested + 1) / 2, abs=1e-9)
    order = [(each.score, each.p_given) for each in found.doubts]
    assert order == sorted(order)
    best = review_labels(table, images=images, encoder=encoder, attributes=["colour"], limit=3)
    assert best.doubts == found.doubts[:3]
    assert (best.disagreements, best.likely) == (found.disagreements, found.likely)


def test_blank_cells_are_not_judged(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Unknown labels count nowhere; an image without any label is not even read."""
    for row in few:
        row |= dict.fromkeys(ATTRIBUTES, "")
    few[3]["type"] = "NA"
    few[5]["type"] = "bag"
    (images / few[3]["file_name"]).write_bytes(b"")
    found = review_labels(write(tmp_path / "l.csv", few), images=images, encoder=encoder)
    assert (found.labels, found.images, found.skipped) == (1, 1, ())
    assert found.attributes == ATTRIBUTES
    assert len(found.doubts) in (0, 1)


def test_values_that_the_model_does_not_know_are_apart(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """They are counted and named with the nearest known one, and are neither error nor doubt."""
    few[0]["type"] = few[7]["type"] = "Trouzers"
    few[1]["type"] = "hovercraft"
    few[2]["colour"] = "RED"
    found = review_labels(write(tmp_path / "l.csv", few), images=images, encoder=encoder)
    assert [
        (each.attribute, each.value, each.count, each.nearest) for each in found.unknown_values
    ] == [
        ("type", "Trouzers", 2, "trousers"),
        ("type", "hovercraft", 1, None),
        ("colour", "RED", 1, "red"),
    ]
    assert found.unknown_values[0].file_names == (few[0]["file_name"], few[7]["file_name"])
    assert found.labels == sum(bool(row[name]) for row in few for name in ATTRIBUTES) - 4
    assert not {"Trouzers", "hovercraft", "RED"} & {each.given for each in found.doubts}


def test_rows_about_one_image_are_judged_apart(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Where two rows contradict each other, which training refuses, the wrong one is listed."""
    black = next(row for row in few if row["colour"] == "black")
    wrong = black | {"colour": "yellow"}
    table = write(tmp_path / "l.csv", [black, wrong])
    found = review_labels(table, images=images, encoder=encoder, attributes=["colour"])
    assert (found.images, found.labels) == (1, 2)
    assert [(each.row, each.given, each.suggested) for each in found.doubts] == [
        (3, "yellow", "black")
    ]


def test_what_is_missing_or_unreadable_is_named(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """The other rows are judged all the same."""
    (images / few[0]["file_name"]).write_bytes(b"")
    (images / few[1]["file_name"]).unlink()
    told: list[tuple[str, int, int]] = []
    found = review_labels(
        write(tmp_path / "l.csv", few),
        images=images,
        encoder=encoder,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    assert found.missing == (few[1]["file_name"],)
    assert [(each.path, each.reason) for each in found.skipped] == [
        (str(images / few[0]["file_name"]), "empty")
    ]
    assert found.images == 10
    assert told == [("review", done, 11) for done in range(1, 12)]
    for name in few[2:]:
        (images / name["file_name"]).write_bytes(b"")
    nothing = review_labels(tmp_path / "l.csv", images=images, encoder=encoder)
    assert (nothing.images, nothing.labels, nothing.doubts) == (0, 0, ())
    assert len(nothing.skipped) == 11


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"attributes": ["colr"]}, LabelTableError, "has no column colr .*mean colour"),
        ({"attributes": ["name"]}, UsageError, "has no attribute name .*: it has type, colour"),
        ({"attributes": ["type", "type"]}, UsageError, "names type twice"),
        ({"attributes": []}, UsageError, "names no column"),
        ({"limit": 0}, UsageError, "limit is 0"),
        ({"image_column": "picture"}, LabelTableError, "has no column picture"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: dict[str, Any],
    error: type[Exception],
    said: str,
    few: list[Row],
    images: Path,
    encoder: Encoder,
    tmp_path: Path,
) -> None:
    """One line says what is wrong with which file."""
    with pytest.raises(error, match=said):
        review_labels(write(tmp_path / "l.csv", few), images=images, encoder=encoder, **options)


def test_a_table_of_something_else(images: Path, encoder: Encoder, tmp_path: Path) -> None:
    """A table without an attribute of the model cannot be judged by it."""
    table = write(tmp_path / "l.csv", [{"file_name": "00000.jpg", "price": "9"}])
    with pytest.raises(LabelTableError, match=r"none of its columns \(file_name, price\) is an"):
        review_labels(table, images=images, encoder=encoder)


def test_it_needs_no_torch(few: list[Row], images: Path, tmp_path: Path) -> None:
    """A review loads neither torch nor onnx, nor what the extra ``train`` brings otherwise."""
    table = write(tmp_path / "l.csv", few)
    code = (
        "import sys; from boost_edge.cli.main import run; "
        f"code = run(['review', {str(table)!r}, '--images', {str(images)!r}, "
        f"'--model', {str(DRAWN)!r}, '--format', 'html']); "
        "absent = {'torch', 'torchvision', 'onnx', 'pyarrow', 'safetensors'}; "
        "sys.exit(f'{code} {sorted(absent & set(sys.modules))}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "0 []"
    assert done.stdout.startswith("<!doctype html>")


def test_a_review_can_be_made_of_what_label_writes(
    few: list[Row], images: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Columns ``p(NAME)`` are no labels here either."""
    for row in few:
        row["p(type)"] = "0.5"
    table = write(tmp_path / "l.csv", few)
    found: Review = review_labels(table, images=images, encoder=encoder)
    assert found.attributes == ATTRIBUTES
    assert found.unknown_values == ()
