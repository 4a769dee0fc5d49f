"""``boost-edge review``: five formats, warnings, and the page that a person looks through."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import pytest
from tests.drawn_model import DRAWN

from boost_edge.cli import review as verb
from boost_edge.export.review import MOST_LISTED

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def table(catalogue: Path, tmp_path: Path) -> Path:
    """Return the catalogue's table with five colours changed and one that no model knows."""
    with (catalogue / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[10:15]:
        row["colour"] = "green" if row["colour"] != "green" else "pink"
    rows[20]["colour"] = "<b>blu"
    path = tmp_path / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def command(table: Path, catalogue: Path, shop: Path) -> tuple[object, ...]:
    """Return a review of its colours by the catalogue's model, without a format."""
    images, model = catalogue / "images", shop / "model.onnx"
    return ("review", table, "--images", images, "--model", model, "--attributes", "colour")


NOT_JUDGED = (
    "boost-edge: 1 label not judged, of values that the model does not know: "
    "colour <b>blu (1, near blue)\n"
)


def test_all_formats_say_the_same(command: tuple[object, ...], call: Call) -> None:
    """The list is one list, as JSON, a line each, a table for people and one for programs."""
    done = call(*command, "--json")
    assert (done.returncode, done.stderr) == (0, NOT_JUDGED)
    said = json.loads(done.stdout)
    doubts = said["doubts"]
    assert said["disagreements"] == len(doubts) > 3
    assert (said["labels"], said["images"], said["attributes"]) == (79, 79, ["colour"])
    assert said["trained_on_table"] is False
    lines = call(*command, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == doubts
    rows = list(csv.DictReader(io.StringIO(call(*command, "--format", "csv").stdout)))
    assert list(rows[0]) == [
        "row", "file_name", "attribute", "given", "suggested", "p_given", "p_suggested", "score",
        "likely",
    ]  # fmt: skip
    for row, doubt in zip(rows, doubts, strict=True):
        for key in ("file_name", "attribute", "given", "suggested"):
            assert row[key] == doubt[key]
        assert row["row"] == str(doubt["row"])
        assert float(row["score"]) == pytest.approx(doubt["score"], abs=1e-6)
        assert row["likely"] == ("yes" if doubt["likely"] else "no")
    text = call(*command).stdout.splitlines()
    assert text[0].endswith(
        f"79 labels of 79 images in colour; the model disagrees with {len(doubts)}, of which "
        f"{said['likely']} are likely to be wrong"
    )
    assert text[2].split() == [
        "score", "likely", "attribute", "given", "p", "suggested", "p", "row", "image",
    ]  # fmt: skip
    assert [line.split()[-1] for line in text[3:]] == [each["file_name"] for each in doubts]


def test_the_limit(command: tuple[object, ...], call: Call) -> None:
    """-n lists the first, and says so; the default is that of Python."""
    listed = json.loads(call(*command, "--json").stdout)["doubts"]
    assert json.loads(call(*command, "--json", "-n", 2).stdout)["doubts"] == listed[:2]
    text = call(*command, "--limit", 2).stdout
    assert f"disagrees with {len(listed)} (the first 2 are listed), of which" in text
    [limit] = [each for each in verb.command.params if each.name == "limit"]
    assert limit.default == MOST_LISTED


class Page(HTMLParser):
    """Checks that every element ends where it should, and collects pictures and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, and note its links."""
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self.open.pop() == tag


def test_html_stands_alone(command: tuple[object, ...], call: Call) -> None:
    """A well-formed page with a picture for each doubt, names escaped, and no network."""
    doubts = json.loads(call(*command, "--json").stdout)["doubts"]
    done = call(*command, "--format", "html")
    assert (done.returncode, done.stderr) == (0, NOT_JUDGED)
    page = Page()
    page.feed(done.stdout)
    page.close()
    assert page.open == []
    assert len(page.links) == len(doubts)
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "<b>blu" not in done.stdout
    assert "&lt;b&gt;blu" in done.stdout
    assert done.stdout.count('<li class="likely">') == sum(each["likely"] for each in doubts)
    for each in doubts:
        assert f"{each['file_name']}, row {each['row']}<" in done.stdout


def test_the_table_that_the_model_was_trained_on(
    catalogue: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """It is known by its bytes, wherever it is, and one line says what that means."""
    table = tmp_path / "copy.csv"
    shutil.copy(catalogue / "labels.csv", table)
    command = ("--images", catalogue / "images", "--model", shop / "model.onnx")
    done = call("review", table, *command, "--json")
    assert json.loads(done.stdout)["trained_on_table"] is True
    assert done.stderr == (
        f"boost-edge: the model was trained on {table}: it tends to agree with the labels that it "
        "has learnt, and only those held out from the training are judged fairly\n"
    )
    assert "trained on this table" in call("review", table, *command, "--format", "html").stdout
    with table.open("a", encoding="utf-8") as file:
        file.write("\n")
    assert json.loads(call("review", table, *command, "--json").stdout)["trained_on_table"] is False


def test_missing_and_unreadable_images_are_named(
    table: Path, catalogue: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """On stderr and in JSON, with exit code 3."""
    images = tmp_path / "images"
    shutil.copytree(catalogue / "images", images)
    (images / "00001.jpg").write_bytes(b"")
    (images / "00002.jpg").unlink()
    model = shop / "model.onnx"
    done = call("review", table, "--images", images, "--model", model, "--json", "-n", 1)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[0] == "boost-edge: 1 image of the table missing: 00002.jpg"
    assert lines[1] == f"boost-edge: skipped {images}/00001.jpg: the file is empty"
    said = json.loads(done.stdout)
    assert said["missing"] == ["00002.jpg"]
    assert [each["reason"] for each in said["skipped"]] == ["empty"]


def test_nothing_to_say(garments: Path, call: Call, tmp_path: Path) -> None:
    """Where the model agrees, one line says so, and a page has no pictures."""
    table = tmp_path / "one.csv"
    first = (garments / "labels.csv").read_text(encoding="utf-8").splitlines()[:2]
    table.write_text("\n".join(first) + "\n", encoding="utf-8")
    command = (
        "review", table, "--images", garments / "images", "--model", DRAWN,
        "--attributes", "colour",
    )  # fmt: skip
    done = call(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{table}: 1 label of 1 image in colour; the model disagrees with 0, of which 0 are "
        "likely to be wrong\n"
    )
    assert "The model disagrees with no label." in call(*command, "--format", "html").stdout
    assert call(*command, "--format", "jsonl").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--attributes", "colr"), "has no column colr (--attributes): did you mean colour?"),
        (("--attributes", "name"), "has no attribute name (--attributes): it has"),
        (("--limit", "0"), "Invalid value for '-n' / '--limit'"),
        (("--json", "--format", "csv"), "give one of them"),
        (("--image-column", "name"), "none of its 80 images is in"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: tuple[str, ...],
    line: str,
    table: Path,
    catalogue: Path,
    shop: Path,
    refused: Refused,
) -> None:
    """Wrong usage is exit code 2, and nothing is printed."""
    images, model = catalogue / "images", shop / "model.onnx"
    said = refused(2, "review", table, "--images", images, "--model", model, *arguments)
    assert line in said


def test_a_model_without_attributes(
    table: Path, catalogue: Path, shop: Path, call: Call, refused: Refused, tmp_path: Path
) -> None:
    """The readout raw has no opinion on labels, and one line says what to do."""
    model = tmp_path / "raw.onnx"
    assert call("export", shop / "run", "--out", model, "--readout", "raw").returncode == 0
    line = refused(2, "review", table, "--images", catalogue / "images", "--model", model)
    assert line.startswith(f"{model}: has the readout raw, which predicts no attributes: give a")


def test_no_more_threads_than_asked_for(command: tuple[object, ...], call: Call) -> None:
    """``--threads`` holds for OpenCV too, as it does for the other verbs that read images."""
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        assert call(*command, "--threads", 1).returncode == 0
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
