"""``boost-edge choose``: the next images to label, as a table to correct."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.export.labels import read_cells

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def model(shop: Path) -> Path:
    """Return a model of the catalogue's five attributes, which is seldom sure."""
    return shop / "model.onnx"


def test_from_one_choice_to_the_next(
    catalogue: Path, model: Path, call: Call, tmp_path: Path
) -> None:
    """The table that is printed is a label table, and its images are not chosen again."""
    images, table = catalogue / "images", tmp_path / "labels.csv"
    choose = ("choose", images, "--model", model, "-n", 30, "--format", "csv")
    done = call(*choose)
    assert (done.returncode, done.stderr) == (0, "")
    table.write_text(done.stdout, encoding="utf-8")
    first = {path.name for path in read_cells(table, images=images).by_image}
    assert len(first) == 30
    assert call(*choose).stdout == done.stdout
    assert call(*choose, "--seed", 1).stdout != done.stdout
    # As if a person had filled in what was blank, but for one image.
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    blank = rows[0]["file_name"]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "type"])
        writer.writerows([row["file_name"], "" if row is rows[0] else "shirt"] for row in rows)
    again = call(*choose, "--labels", table)
    assert (again.returncode, again.stderr) == (0, "")
    second = {row["file_name"] for row in csv.DictReader(io.StringIO(again.stdout))}
    assert len(second) == 30
    assert second & first <= {blank}
    rest = call("choose", images, "--model", model, "--labels", table, "--json")
    assert rest.returncode == 0
    assert len(json.loads(rest.stdout)) == 80 - 29
    assert "only 51 images without labels here: all are chosen" in rest.stderr


def test_doubts_of_some_attributes(catalogue: Path, model: Path, call: Call) -> None:
    """Other doubts choose other images."""
    choose = ("choose", catalogue / "images", "--model", model, "-n", 20, "--format", "jsonl")
    of_type = call(*choose, "--doubts-of", "type")
    assert of_type.returncode == 0
    assert len(of_type.stdout.splitlines()) == 20
    assert of_type.stdout != call(*choose, "--doubts-of", "colour").stdout


def test_the_list_can_be_read(photos: Path, model: Path, call: Call) -> None:
    """The table names each image with the guesses, as label does."""
    done = call("choose", photos, "--model", model, "-n", 2)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    paths = [line for line in lines if not line.startswith(" ")]
    assert len(paths) == 2
    assert all(Path(path).parent == photos for path in paths)
    labelled = call("label", *paths, "--model", model).stdout.splitlines()
    assert lines == labelled


def test_without_attributes_it_chooses_by_look(
    photos: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """A raw model says so, and names images all the same."""
    raw = tmp_path / "raw.onnx"
    assert call("export", shop / "run", "--readout", "raw", "--out", raw).returncode == 0
    done = call("choose", photos, "--model", raw, "-n", 2, "--format", "csv")
    assert done.returncode == 0
    assert "no attributes, so it has no doubts: chosen by how images look" in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_unreadable_images_are_named(photos: Path, model: Path, call: Call) -> None:
    """Exit code 3 where some could be read, 1 where none could."""
    bad = photos / "bad.jpg"
    bad.write_bytes(b"no picture")
    some = call("choose", photos, "--model", model, "-n", 1)
    assert some.returncode == 3
    assert f"skipped {bad}" in some.stderr
    none = call("choose", bad, "--model", model)
    assert (none.returncode, none.stdout) == (1, "")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("nowhere",), 2, "'nowhere': there is no such file or folder"),
        (("PHOTOS", "--doubts-of", "size"), 2, "'size' is no attribute of"),
        (("PHOTOS", "-n", "0"), 2, "0 is not in the range"),
        (("PHOTOS", "--labels", "nowhere.csv"), 2, "nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_refused(
    options: tuple[str, ...], code: int, message: str, photos: Path, model: Path, refused: Refused
) -> None:
    """One line, and the code for wrong usage."""
    given = [str(photos) if each == "PHOTOS" else each for each in options]
    assert message in refused(code, "choose", *given, "--model", model)
