"""``boost-edge label``: four formats, and label tables that train and index take."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.cli.model import shipped_model
from boost_edge.export.labels import read_cells, read_labels
from boost_edge.runtime.encoder import read_manifest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

ATTRIBUTES = ["type", "colour", "pattern", "sleeve", "background"]


@pytest.fixture
def model(shop: Path) -> Path:
    """Return a model of the catalogue's five attributes, which is seldom sure."""
    return shop / "model.onnx"


def test_text_and_json_say_the_same(photos: Path, model: Path, call: Call) -> None:
    """Values at or above the bound are named, others unknown with the best guess beside them."""
    done = call("label", photos, "--model", model, "--min-p", 0.4, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert [each["path"] for each in said] == sorted(map(str, photos.iterdir()))
    kinds: set[bool] = set()
    lines: list[str] = []
    for each in said:
        assert list(each) == ["path", "model", "attributes"]
        assert list(each["attributes"]) == ATTRIBUTES
        words: list[str] = []
        for name, label in each["attributes"].items():
            known = label["p"] >= 0.4
            kinds.add(known)
            assert list(label) == (["value", "p"] if known else ["value", "p", "guess"])
            assert (label["value"] is not None) == known
            words.append(
                f"{name} {label['value']} ({label['p']:.2f})"
                if known
                else f"{name} unknown ({label['guess']} {label['p']:.2f})"
            )
        lines += [each["path"], "  " + ", ".join(words)]
    assert kinds == {True, False}
    assert call("label", photos, "--model", model, "--min-p", 0.4).stdout.splitlines() == lines


def test_json_is_one_object_for_one_file(photos: Path, model: Path, call: Call) -> None:
    """A file alone is an object; a folder is a list, even of one or of none, as are two files."""
    one, other = photos / "00000.jpg", photos / "00001.jpg"
    alone = json.loads(call("label", one, "--model", model, "--json").stdout)
    assert alone["path"] == str(one)
    assert json.loads(call("label", one, other, "--model", model, "--json").stdout)[0] == alone
    few = call("label", photos, "--include", "00000*", "--model", model, "--json")
    assert json.loads(few.stdout) == [alone]
    none = call("label", photos, "--include", "nothing", "--model", model, "--json")
    assert (none.returncode, json.loads(none.stdout)) == (0, [])
    assert none.stderr == "boost-edge: there are no images here: nothing was labelled\n"


def test_bounds_for_all_and_for_one(
    photos: Path, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--min-p P is for all attributes but those that a NAME=P is for, also in the environment."""
    # Of the others this model may be certain.
    unsure = ["type", "colour", "pattern"]

    def known(*options: object) -> list[str]:
        done = call("label", photos / "00000.jpg", "--model", model, "--json", *options)
        attributes = json.loads(done.stdout)["attributes"]
        return [name for name in unsure if attributes[name]["value"] is not None]

    assert known("--min-p", 0) == unsure
    assert known("--min-p", 1) == []
    assert known("--min-p", 1, "--min-p", "colour=0") == ["colour"]
    assert known("--min-p", 0, "--min-p", "colour=1") == ["type", "pattern"]
    monkeypatch.setenv("BOOST_EDGE_LABEL_MIN_P", "1 type=0")
    assert known() == ["type"]


@pytest.mark.parametrize("style", ["csv", "jsonl"])
def test_a_label_table_comes_back(
    style: str, catalogue: Path, model: Path, call: Call, tmp_path: Path
) -> None:
    """CSV and JSON lines are label tables: probabilities are no labels, and what is open is blank.

    ``train`` reads them as they are, and after ``index --labels`` the gallery has just the labels.
    """
    images = catalogue / "images"
    command = ("label", images, "--model", model, "--min-p", "0.3")
    done = call(*command, "--format", style)
    assert (done.returncode, done.stderr) == (0, "")
    table = tmp_path / f"labels.{style}"
    table.write_text(done.stdout, encoding="utf-8")
    expected = {
        Path(each["path"]): {
            name: label["value"]
            for name, label in each["attributes"].items()
            if label["value"] is not None
        }
        for each in json.loads(call(*command, "--json").stdout)
    }
    cells = read_cells(table, images=images)
    assert cells.by_image == expected
    assert cells.missing == ()
    labels = read_labels(table, images=images)
    assert {each.name for each in labels.attributes} <= set(ATTRIBUTES)
    assert (labels.codes == -1).any()
    gallery = tmp_path / "g"
    call("index", images, "--model", model, "--gallery", gallery, "--labels", table)
    hits = call("query", images / "00000.jpg", "--gallery", gallery, "-k", 80, "--json").stdout
    given = {Path(hit["path"]): hit["labels"] for hit in json.loads(hits)["hits"]}
    assert given == expected


def test_a_table_corrected_by_hand_trains(
    catalogue: Path, model: Path, quick: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    """Label, correct a cell, train: nothing else is to be done between."""
    done = call("label", catalogue / "images", "--model", model, "--format", "csv", "--min-p", 0)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0])[:3] == ["file_name", "type", "p(type)"]
    rows[0]["type"] = next(row["type"] for row in rows if row["type"] != rows[0]["type"])
    rows[1]["colour"] = ""
    table = tmp_path / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    images, run = catalogue / "images", tmp_path / "run"
    trained = call("train", table, "--images", images, "--out", run, *quick, "--json")
    assert trained.returncode == 0, trained.stderr
    assert set(json.loads(trained.stdout)["quality"]) <= set(ATTRIBUTES)


def test_names_are_relative_to_what_was_given(
    photos: Path, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the folder; or to the one that all files and folders are in, which is then said."""
    inner = photos / "a" / "b"
    inner.mkdir(parents=True)
    shutil.copy(photos / "00000.jpg", inner / "x, y.jpg")

    def names(*images: object) -> tuple[list[str], str]:
        done = call("label", *images, "--model", model, "--format", "csv")
        rows = csv.DictReader(io.StringIO(done.stdout))
        return [row["file_name"] for row in rows], done.stderr

    of_folder = ["00000.jpg", "00001.jpg", "00002.jpg", "copy.jpg", "a/b/x, y.jpg"]
    assert names(photos) == (of_folder, "")
    monkeypatch.chdir(photos)
    assert names(".") == (of_folder, "")
    assert names("a/../a/b/x, y.jpg") == (["x, y.jpg"], "")
    said = f"file_name is relative to {photos}: give --images {photos} with this table"
    for two in ((photos / "copy.jpg", "a"), ("copy.jpg", photos / "a" / "b" / "x, y.jpg")):
        assert names(*two) == (["copy.jpg", "a/b/x, y.jpg"], f"boost-edge: {said}\n")


def test_what_cannot_be_read_is_named(photos: Path, model: Path, call: Call) -> None:
    """On stderr and in JSON, with exit code 3; in a label table it has no row."""
    (photos / "00001.jpg").write_bytes(b"")
    line = f"boost-edge: skipped {photos}/00001.jpg: the file is empty\n"
    done = call("label", photos, "--model", model, "--json")
    assert (done.returncode, done.stderr) == (3, line)
    said = json.loads(done.stdout)
    assert said[1] == {
        "path": f"{photos}/00001.jpg",
        "error": {"reason": "empty", "detail": "the file is empty"},
    }
    assert len(said) == 4
    for style, lines in (("csv", 4), ("jsonl", 3), ("table", 6)):
        done = call("label", photos, "--model", model, "--format", style)
        assert (done.returncode, done.stderr) == (3, line)
        assert len(done.stdout.splitlines()) == lines
    assert call("label", photos / "00001.jpg", "--model", model).returncode == 1


def test_a_name_that_is_no_utf8(photos: Path, model: Path, call: Call, tmp_path: Path) -> None:
    """JSON has its bytes; in a label table it is spelt out, and the other rows can be read."""
    odd = photos / os.fsdecode(b"b\xfd.jpg")
    (photos / "copy.jpg").rename(odd)
    said = json.loads(call("label", photos, "--model", model, "--json").stdout)
    assert os.fsencode(said[-1]["path"]) == os.fsencode(odd)
    for style in ("csv", "jsonl"):
        table = tmp_path / f"labels.{style}"
        done = call("label", photos, "--model", model, "--format", style, "--min-p", 0)
        table.write_text(done.stdout, encoding="utf-8")
        assert read_cells(table, images=photos).missing == (r"b\udcfd.jpg",)


def test_the_shipped_model_is_named(photos: Path, call: Call) -> None:
    """Without --model it is the one that is shipped, and what that knows is said."""
    done = call("label", photos, "--json")
    assert done.returncode == 0
    lead = f"boost-edge: no --model given: using the shipped {shipped_model().stem}, which"
    assert done.stderr.startswith(lead)
    assert done.stderr.count("\n") == 1
    assert set(json.loads(done.stdout)[0]["attributes"]) == {
        each.name for each in read_manifest(shipped_model()).attributes
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("PHOTOS", "--min-p", "2"), "--min-p 2: is neither a probability in [0, 1] nor NAME=P"),
        (("PHOTOS", "--min-p", "=0.5"), "--min-p =0.5: is neither"),
        (("PHOTOS", "--min-p", "nan"), "--min-p nan: is neither"),
        (("PHOTOS", "--min-p", "colr=0.5"), "is given for 'colr', which is no attribute of"),
        (("PHOTOS", "--json", "--format", "csv"), "give one of them"),
        (("PHOTOS/gone.jpg",), "there is no such file or folder"),
        (("PHOTOS", "--include", ""), "a pattern of include is empty"),
        ((), "Missing argument 'IMAGE...'"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: tuple[str, ...], line: str, photos: Path, model: Path, refused: Refused
) -> None:
    """Wrong usage is exit code 2, and nothing is printed."""
    given = [each.replace("PHOTOS", str(photos)) for each in arguments]
    assert line in refused(2, "label", *given, "--model", model)


def test_a_model_without_attributes(
    photos: Path, shop: Path, call: Call, refused: Refused, tmp_path: Path
) -> None:
    """The readout raw predicts nothing: one line says what to do, also with --min-p."""
    model = tmp_path / "raw.onnx"
    assert call("export", shop / "run", "--out", model, "--readout", "raw").returncode == 0
    line = (
        f"{model}: has the readout raw, which predicts no attributes: give a model that was "
        "trained and exported with another --readout"
    )
    for style in ("table", "json", "csv"):
        assert refused(2, "label", photos, "--model", model, "--format", style) == line
    assert refused(2, "label", photos, "--model", model, "--min-p", "type=0.5") == line


def test_lines_come_as_they_are_done(catalogue: Path, model: Path) -> None:
    """A reader that goes after the first line ends the command quietly, whatever is left."""
    command = [
        sys.executable, "-m", "boost_edge", "label", str(catalogue / "images"),
        "--model", str(model), "--format", "jsonl",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == 0
    assert (first["file_name"], said) == ("00000.jpg", b"")
