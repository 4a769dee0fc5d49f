"""``boost-edge index``: what it counts, what it skips, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.cli.model import shipped_model
from boost_edge.runtime import indexing
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ModelFileError
from boost_edge.runtime.gallery_facts import gallery_stats
from boost_edge.runtime.indexing import IndexOptions, index_images
from boost_edge.runtime.store import STORE_NAME, Store

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_index_twice(
    photos: Path, shop: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default gallery is made in the working folder; the second time nothing is new."""
    monkeypatch.chdir(tmp_path)
    first = call("index", photos.name, "--model", shop / "model.onnx")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(".boost-edge: 4 added, 1 of them copies; 4 images in all (")
    again = call("index", photos.name)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith(".boost-edge: 0 added, 4 unchanged; 4 images in all (")


def test_a_new_gallery_takes_the_shipped_model(
    photos: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --model a new gallery is made with the model that comes with the package.

    Also in a folder that is there, and empty. It keeps a copy, for packages of other versions, and
    wherever it goes.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".boost-edge").mkdir()
    assert call("index", photos.name).returncode == 0
    kept = tmp_path / ".boost-edge" / "model.onnx"
    assert kept.read_bytes() == shipped_model().read_bytes()
    assert gallery_stats(".boost-edge").model_path == str(kept)
    kept.parent.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(kept.parent)
    assert call("query", photos / "00001.jpg", "-k", 1).stdout.endswith("  all\n")


def test_a_build_without_a_model_says_so(
    photos: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no model is shipped, one has to be named, and no gallery is made."""

    def elsewhere(_: str) -> Path:
        return tmp_path

    monkeypatch.setattr("boost_edge.cli.model.files", elsewhere)
    monkeypatch.chdir(tmp_path)
    assert refused(2, "index", photos.name).endswith("name one with --model FILE")
    assert not (tmp_path / ".boost-edge").exists()


def test_index_one_file(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """A file can be named as well as a folder, and is counted once."""
    given = [photos / "00001.jpg", photos / ".." / "photos" / "00001.jpg"]
    done = call("index", *given, "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added; 1 image in all" in done.stdout


def test_json_is_the_report(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """The JSON holds gallery, number of images and every count; skipped files say why."""
    (photos / "bad\nname.jpg").write_text("no image")
    done = call(
        "index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g",
        "--threads", 1, "--json",
    )  # fmt: skip
    assert done.returncode == 3
    said = json.loads(done.stdout)
    assert set(said) == {
        "gallery", "images", "added", "changed", "renamed", "unchanged", "duplicates", "labelled",
        "pruned", "gone", "restored", "dry_run", "skipped", "seconds", "copies", "pruned_count",
        "skipped_count", "outdated_labels", "outdated_labels_count",
    }  # fmt: skip
    assert (said["gallery"], said["images"], said["added"]) == (str(tmp_path / "g"), 4, 4)
    [skipped] = said["skipped"]
    assert set(skipped) == {"path", "reason", "detail"}
    assert skipped["path"] == str(photos / "bad\nname.jpg")
    assert rf"{photos}/bad\nname.jpg: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_of_every_kind(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """Spaces, newlines, other scripts and bytes that are no UTF-8 are all indexed and found."""
    names = [b"two  spaces.jpg", b"new\nline.jpg", "日本.jpg".encode(), b"caf\xe9.jpg"]
    for name in names:
        shutil.copy(photos / "00002.jpg", os.fsdecode(os.fsencode(photos) + b"/" + name))
    done = call(
        "index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g\udcff\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(rf"{tmp_path}/g\udcff\n: 8 added, 5 of them copies; ")
    for name in names:
        image = os.fsdecode(os.fsencode(photos) + b"/" + name)
        found = call("query", image, "--gallery", tmp_path / "g\udcff\n", "--format", "json")
        said = json.loads(found.stdout)
        assert said["query"] == image
        assert image in [hit["path"] for hit in said["hits"][:5]]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_labels_are_stored(
    suffix: str, photos: Path, shop: Path, catalogue: Path, call: Call, tmp_path: Path
) -> None:
    """Labels of a table stand beside what is predicted; rows without an image are a warning."""
    table = tmp_path / f"labels{suffix}"
    cells = [("00000.jpg", "red"), ("copy.jpg", "NA"), ("gone.jpg", "blue")]
    lines = (
        ["picture,colour", *(f"{name},{colour}" for name, colour in cells)]
        if suffix == ".csv"
        else [json.dumps({"picture": name, "colour": colour}) for name, colour in cells]
    )
    table.write_text("\n".join(lines))
    gallery = tmp_path / "g"
    done = call(
        "index", photos, "--model", shop / "model.onnx", "--gallery", gallery, "--labels", table,
        "--image-column", "picture",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == (f"boost-edge: 1 row of {table} without image, the first is gone.jpg\n")
    assert "4 added, 1 of them copies, 2 labelled; 4 images" in done.stdout
    image = catalogue / "images" / "00000.jpg"
    found = json.loads(call("query", image, "--gallery", gallery, "--format", "json").stdout)
    assert {Path(hit["path"]).name: hit["labels"] for hit in found["hits"]} == {
        "00000.jpg": {"colour": "red"},
        "copy.jpg": {},
        "00001.jpg": {},
        "00002.jpg": {},
    }


def test_the_catalogue_s_own_labels(
    catalogue: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """The table that a model was trained on can be stored as it is."""
    done = call(
        "index", catalogue / "images", "--model", shop / "model.onnx", "--gallery", tmp_path / "g",
        "--labels", catalogue / "labels.csv", "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["labelled"] == 80


def test_labels_that_cannot_be_used(
    photos: Path, shop: Path, refused: Refused, tmp_path: Path
) -> None:
    """A bad table, or no folder to look its names up in, is refused before a gallery is made."""
    table, gallery = tmp_path / "labels.csv", tmp_path / "g"
    table.write_text("picture,colour\n00000.jpg,red\n")
    new = ("--model", shop / "model.onnx", "--gallery", gallery, "--labels", table)
    assert "--image-column" in refused(2, "index", photos, *new)
    assert "exactly one folder" in refused(2, "index", photos / "00000.jpg", *new)
    table.unlink()
    assert refused(2, "index", photos, *new).startswith(f"{table}: there is no such file")
    assert not gallery.exists()


def test_nothing_is_made_for_a_missing_path(shop: Path, call: Call, tmp_path: Path) -> None:
    """A path that does not exist is wrong usage, and leaves no empty gallery behind."""
    new = ("--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    done = call("index", tmp_path / "gone", *new)
    assert done.returncode == 2
    line = f"boost-edge: {str(tmp_path / 'gone')!r}: there is no such file or folder\n"
    assert done.stderr == line
    assert not (tmp_path / "g").exists()
    assert call("index", tmp_path / "gone", *new, "--prune").stderr == line
    assert not (tmp_path / "g").exists()


def test_a_folder_that_is_gone_is_pruned(
    photos: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """With --prune a PATH that is gone will do where the gallery has images below it."""
    (photos / "sub").mkdir()
    shutil.copy(photos / "00001.jpg", photos / "sub")
    gallery = ("--gallery", tmp_path / "g")
    assert call("index", photos, "--model", shop / "model.onnx", *gallery).returncode == 0
    shutil.rmtree(photos / "sub")
    gone = ("index", photos / "sub", *gallery)
    assert call(*gone).returncode == 2
    assert "would delete" in call(*gone, "--prune", "--dry-run").stdout
    done = call(*gone, "--prune")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 added, 1 deleted; 4 images" in done.stdout
    assert call("index", photos / "other", *gallery, "--prune").returncode == 2


def test_a_dry_run_leaves_an_older_format(
    photos: Path, shop: Path, call: Call, refused: Refused, tmp_path: Path
) -> None:
    """A dry run does not bring a gallery of an older format up to date, but says what it is."""
    gallery = tmp_path / "g"
    command = ("index", photos, "--gallery", gallery)
    assert call(*command, "--model", shop / "model.onnx").returncode == 0
    with closing(sqlite3.connect(gallery / STORE_NAME)) as database, database:
        database.execute("UPDATE meta SET value = 1 WHERE key = 'format_version'")
    before = (gallery / STORE_NAME).read_bytes()
    line = refused(1, *command, "--dry-run")
    assert "format 1" in line
    assert (gallery / STORE_NAME).read_bytes() == before


def test_a_dry_run_makes_nothing_in_an_empty_folder(
    photos: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """A folder that could become a gallery is still empty after a dry run."""
    (tmp_path / "g").mkdir()
    done = call(
        "index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g", "--dry-run"
    )
    assert "would be 4 added" in done.stdout
    assert list((tmp_path / "g").iterdir()) == []


def test_a_damaged_model(photos: Path, shop: Path, refused: Refused, tmp_path: Path) -> None:
    """A model that is cut short is an integrity error, and leaves no empty gallery behind."""
    model = tmp_path / "model.onnx"
    model.write_bytes((shop / "model.onnx").read_bytes()[:5000])
    line = refused(4, "index", photos, "--model", model, "--gallery", tmp_path / "g")
    assert line.startswith(f"{model}: is not an ONNX model, or a damaged one")
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("gone.onnx", "does not exist"), ("", "is a directory")]
)
def test_a_model_that_is_no_file(
    name: str, said: str, photos: Path, call: Call, tmp_path: Path
) -> None:
    """A missing model, or a folder in its place, is wrong usage."""
    done = call("index", photos, "--model", tmp_path / name, "--gallery", tmp_path / "g")
    assert done.returncode == 2
    assert "Invalid value for '--model'" in done.stderr
    assert said in done.stderr


def test_another_model_is_refused(
    photos: Path, shop: Path, refused: Refused, call: Call, tmp_path: Path
) -> None:
    """A gallery takes the model that it was made with and no other."""
    other, gallery = tmp_path / "other.onnx", tmp_path / "g"
    assert call("export", shop / "run", "--out", other, "--readout", "raw").returncode == 0
    assert call("index", photos, "--model", other, "--gallery", gallery).returncode == 0
    line = refused(4, "index", photos, "--model", shop / "model.onnx", "--gallery", gallery)
    assert line.startswith(f"{gallery}: was made with the model ")
    assert f"{shop / 'model.onnx'} is the model " in line
    query = ("query", photos / "00000.jpg", "--gallery", gallery)
    assert refused(4, *query, "--model", shop / "model.onnx") == line
    other.unlink()
    assert "--model FILE" in refused(1, *query)


def test_a_folder_of_something_else_is_no_gallery(
    photos: Path, shop: Path, refused: Refused
) -> None:
    """A folder that holds other files is not turned into a gallery; nor is a file."""
    new = ("index", photos, "--model", shop / "model.onnx", "--gallery")
    assert "is not a gallery" in refused(2, *new, photos)
    assert "a gallery is a folder" in refused(2, *new, photos / "00000.jpg")


def test_an_interrupted_index_keeps_what_it_did(
    photos: Path,
    shop: Path,
    call: Call,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C is 130 and one line; the same command goes on from what was done."""
    gallery = tmp_path / "g"
    command = ("index", photos, "--model", shop / "model.onnx", "--gallery", gallery)

    def interrupt(store: Store, encoder: Encoder, *_: object, writer: Store) -> None:
        index_images(store, encoder, [photos / "00000.jpg"], IndexOptions(), writer=writer)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "index_images", interrupt)
        line = refused(130, *command)
    assert line == "interrupted: what was done is kept, the same command goes on from there"
    assert gallery_stats(gallery).images == 1
    assert "3 added, 1 of them copies, 1 unchanged; 4 images" in call(*command).stdout


def test_patterns_on_the_command_line(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """--include, --exclude and --hidden choose among the images below the folder."""
    (photos / "thumbs").mkdir()
    shutil.copy(photos / "00001.jpg", photos / "thumbs" / "x.jpg")
    shutil.copy(photos / "00001.jpg", photos / ".hidden.jpg")
    new = ("index", photos, "--model", shop / "model.onnx", "--json", "--dry-run", "--gallery")
    gallery = tmp_path / "g"

    def added(*options: str) -> int:
        done = call(*new, gallery, *options)
        assert (done.returncode, done.stderr) == (0, "")
        return int(json.loads(done.stdout)["added"])

    assert added() == 5
    assert added("--hidden") == 6
    assert added("--exclude", "thumbs/**") == 4
    assert added("--include", "0*.jpg", "--include", "thumbs/*", "--exclude", "*2.jpg") == 3
    assert call(*new, gallery, "--include", "").returncode == 2


def test_gone_files_are_told(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """A plain index says how many images have no file any more, and how to delete them."""
    command = ("index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    assert call(*command).returncode == 0
    (photos / "00001.jpg").unlink()
    done = call(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 added, 3 unchanged, 1 gone (index --prune deletes them); 4 images" in done.stdout
    assert json.loads(call(*command, "--json").stdout)["gone"] == 1
    assert "1 deleted; 3 images" in call(*command, "--prune").stdout
    assert "--prune" not in call(*command).stdout


def test_copies_are_named_in_the_json(photos: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """The JSON says which image each copy is a copy of."""
    done = call(
        "index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g", "--json"
    )
    said = json.loads(done.stdout)
    assert said["duplicates"] == 1
    assert said["copies"] == [
        {"path": str(photos / "copy.jpg"), "original": str(photos / "00000.jpg")}
    ]


def test_a_failing_network_says_how_to_go_on(
    photos: Path, shop: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the middle is one line that says that what was done is kept."""

    def fail(*_: object) -> None:
        raise ModelFileError("the network failed")

    monkeypatch.setattr(Encoder, "run", fail)
    command = ("index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    line = refused(4, *command)
    assert line == "the network failed; what was encoded before is kept: index again to go on"


@pytest.mark.parametrize("json_lines", [True, False])
def test_watching_until_ctrl_c(photos: Path, shop: Path, tmp_path: Path, json_lines: bool) -> None:
    """A line for each batch, at once; Ctrl-C ends it with 130 and the usual line."""
    command = [
        sys.executable, "-m", "boost_edge", "index", str(photos), "--watch", "--prune",
        "--model", str(shop / "model.onnx"), "--gallery", str(tmp_path / "g"),
    ]  # fmt: skip
    with subprocess.Popen(
        [*command, "--json"] if json_lines else command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # Ends the reading below where nothing comes.
        too_late = threading.Timer(120, process.kill)
        too_late.start()
        lines = process.stdout if json_lines else process.stderr
        assert lines is not None
        assert_says(lines.readline(), json_lines, added=4, images=4)
        # All at once: a file that is still being written may be looked at twice.
        shutil.copy(photos / "00001.jpg", tmp_path / "again.jpg")
        (tmp_path / "again.jpg").replace(photos / "again.jpg")
        assert_says(lines.readline(), json_lines, added=1, images=5)
        (photos / "00002.jpg").unlink()
        line = lines.readline()
        assert_says(line, json_lines, added=0, images=4)
        assert "00002.jpg" in line or "1 deleted" in line
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        too_late.cancel()
    assert process.returncode == 130
    assert output == ""
    assert errors == (
        "boost-edge: interrupted: what was done is kept, the same command goes on from there\n"
    )


def assert_says(line: str, json_lines: bool, *, added: int, images: int) -> None:
    """See that a line tells these counts."""
    if json_lines:
        said = json.loads(line)
        assert (said["added"], said["images"]) == (added, images)
    else:
        assert f"/g: {added} added" in line
        assert f"; {images} images in all (" in line


def test_watching_what_cannot_be_watched(
    photos: Path, shop: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a dry run and a missing library are one line each."""
    command = ("--watch", "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    assert "only folders" in refused(2, "index", photos / "00001.jpg", *command)
    assert "--dry-run" in refused(2, "index", photos, *command, "--dry-run")
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert "pip install 'boost-edge[watch]'" in refused(1, "index", photos, *command)


def test_labels_of_other_bytes_are_a_warning(
    photos: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """A labelled file with new bytes keeps its labels, and is named; the exit code stays 0."""
    table = tmp_path / "labels.csv"
    table.write_text("picture,colour\n00001.jpg,red\n")
    command = ("index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    labels = ("--labels", table, "--image-column", "picture")
    assert call(*command, *labels).returncode == 0
    with (photos / "00001.jpg").open("ab") as file:
        file.write(b"more")
    done = call(*command)
    assert done.returncode == 0
    assert done.stderr == (
        "boost-edge: 1 changed images keep the labels of what was there before "
        f"(--labels gives others), the first is {photos / '00001.jpg'}\n"
    )
    assert call(*command).stderr == ""
