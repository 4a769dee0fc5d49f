"""``boost-edge choose``: the next images to label, as a table to correct."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def model(shop: Path) -> Path:
    """Return a model of the catalogue's five attributes, which is seldom sure."""
    return shop / "model.onnx"


def test_from_one_choice_to_the_next(
    catalogue: Path, model: Path, call: Call, tmp_path: Path
) -> None:
    """The rows that are printed can be appended to the table, and are not chosen again then."""
    images, table = catalogue / "images", tmp_path / "labels.csv"
    choose = ("choose", images, "--model", model, "-n", 30, "--format", "csv")
    done = call(*choose)
    assert (done.returncode, done.stderr) == (0, "")
    assert call(*choose).stdout == done.stdout
    assert call(*choose, "--seed", 1).stdout != done.stdout
    first = [row["file_name"] for row in csv.DictReader(io.StringIO(done.stdout))]
    # As if a person had labelled all but the first, whose title alone is known.
    lines = ["id,title,type,split", f"{Path(first[0]).stem},Blank,,train"]
    lines += [f"{Path(name).stem},,shirt,train" for name in first[1:]]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    again = call(*choose, "--labels", table)
    assert (again.returncode, again.stderr) == (0, "")
    header, *rows = again.stdout.splitlines()
    assert header == lines[0]
    assert all(row.endswith(",train") for row in rows)
    second = {f"{row.split(',')[0]}.jpg" for row in rows}
    assert len(second) == 30
    assert second & set(first) <= {first[0]}
    more = [row.replace(",,train", ",bag,train") for row in rows]
    kept = [line for line in lines if line.split(",")[0] not in {row.split(",")[0] for row in rows}]
    table.write_text("\n".join([*kept, *more]) + "\n", encoding="utf-8")
    labelled = {*first[1:], *second}
    rest = call("choose", images, "--model", model, "--labels", table, "--json")
    assert rest.returncode == 0
    assert len(json.loads(rest.stdout)) == 80 - len(labelled)
    assert "fewer images than 300 are left to label here: all of them" in rest.stderr


def test_the_folder_may_be_named_in_any_way(
    photos: Path, model: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative, or by a way round: what is labelled is known all the same."""
    table = tmp_path / "labels.csv"
    table.write_text("file_name,type\n00000.jpg,shirt\n00001.jpg,bag\n", encoding="utf-8")
    monkeypatch.chdir(photos)
    for folder in (photos, Path(), Path("..") / photos.name, photos / ".." / photos.name):
        done = call("choose", folder, "--model", model, "--labels", table, "--format", "jsonl")
        names = {json.loads(line)["file_name"] for line in done.stdout.splitlines()}
        assert names == {"00002.jpg", "copy.jpg"}, folder


def test_only_what_the_doubts_are_of_counts_as_labelled(
    photos: Path, model: Path, call: Call, tmp_path: Path
) -> None:
    """An image whose colour is known may be asked for its type, but not the other way round."""
    table = tmp_path / "labels.csv"
    text = "file_name,colour,type\n00000.jpg,red,\n00001.jpg,,bag\n"
    table.write_text(text, encoding="utf-8")
    choose = ("choose", photos, "--model", model, "--labels", table, "--format", "csv")
    for options, left in (((), 2), (("--doubts-of", "type"), 3), (("--doubts-of", "sleeve"), 4)):
        assert len(call(*choose, *options).stdout.splitlines()) == 1 + left, options


def test_nothing_to_choose_from(photos: Path, model: Path, call: Call, tmp_path: Path) -> None:
    """No images, and none without labels, are told apart."""
    (tmp_path / "empty").mkdir()
    none = call("choose", tmp_path / "empty", "--model", model, "--json")
    assert (none.returncode, json.loads(none.stdout)) == (0, [])
    assert none.stderr == "boost-edge: there are no images here: nothing was chosen\n"
    table = tmp_path / "labels.csv"
    names = [path.name for path in sorted(photos.iterdir())]
    table.write_text("file_name,type\n" + "".join(f"{name},bag\n" for name in names))
    done = call("choose", photos, "--model", model, "--labels", table)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "boost-edge: all images here have labels already: nothing was chosen\n"


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
    for style in ("table", "json", "csv"):
        none = call("choose", bad, "--model", model, "--format", style)
        assert (none.returncode, none.stdout) == (1, "")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("nowhere",), 2, "'nowhere': there is no such file or folder"),
        (("PHOTOS", "--doubts-of", "size"), 2, "'size' is no attribute of"),
        (("PHOTOS", "-n", "0"), 2, "0 is not in the range"),
        (("PHOTOS", "--labels", "nowhere.csv"), 2, "nowhere.csv"),
        (
            ("PHOTOS/00000.jpg", "--labels", "any.csv"),
            2,
            "needs exactly one folder among the paths",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    options: tuple[str, ...], code: int, message: str, photos: Path, model: Path, refused: Refused
) -> None:
    """One line, and the code for wrong usage."""
    given = [each.replace("PHOTOS", str(photos)) for each in options]
    assert message in refused(code, "choose", *given, "--model", model)
