"""docs/json.md: the keys that it lists are those that the commands print, in the same order."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import click
import pytest

from boost_edge.cli.main import VERBS, cli
from boost_edge.export.tune_report import Status
from boost_edge.runtime.doctor_findings import CODES
from boost_edge.runtime.images import REASONS
from boost_edge.runtime.manifest import Quantisation

Call = Callable[..., CompletedProcess[str]]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def read_page() -> dict[str, dict[str, str]]:
    """Return heading -> key -> what the page says of it."""
    shapes: dict[str, dict[str, str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"##+ (.*)", line):
            heading = found[1].strip("`")
        elif found := re.fullmatch(r"\| (`.*?`) \| (.*) \|", line):
            for key in re.findall(r"`(\w+)`", found[1]):
                assert key not in shapes.setdefault(heading, {}), (heading, key)
                shapes[heading][key] = found[2]
    return shapes


SHAPES = read_page()


def assert_shape(said: dict[str, Any], heading: str, *also: str) -> None:
    """See that an object has the keys of a table, with those of the "only" ones that are named."""
    only = {key for key, text in SHAPES[heading].items() if text.startswith("only ")}
    assert set(also) <= only
    assert list(said) == [key for key in SHAPES[heading] if key not in only or key in also]


def assert_named(said: dict[str, Any], heading: str, key: str) -> None:
    """See that the page names, in the row of a key, all keys of the object there."""
    named = re.findall(r"`(\w+)`", SHAPES[heading][key])
    assert [each for each in named if each in said] == list(said), (heading, key)


@pytest.fixture
def say(call: Call) -> Callable[..., Any]:
    """Return a function that runs a command with --json and returns what it printed."""

    def say_it(*arguments: object, code: int = 0) -> Any:
        done = call(*arguments, "--json")
        assert done.returncode == code, done.stderr
        assert done.stdout.isascii()
        return json.loads(done.stdout)

    return say_it


Say = Callable[..., Any]


@pytest.fixture
def photos(photos: Path) -> Path:
    """Return the folder of images, with one more that cannot be read."""
    (photos / "empty.jpg").touch()
    return photos


@pytest.fixture
def indexed(photos: Path, shop: Path, say: Say, tmp_path: Path) -> Path:
    """Return a gallery of them."""
    gallery = tmp_path / "g"
    say("index", photos, "--model", shop / "model.onnx", "--gallery", gallery, code=3)
    return gallery


def test_every_command_has_its_part() -> None:
    """Each command with --json has a heading, but for bench, which has pages of its own."""
    commands: dict[str, click.Command] = {}
    context = click.Context(cli)
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        if isinstance(command, click.Group):
            commands |= {f"{verb} {name}": each for name, each in command.commands.items()}
        else:
            commands[verb] = command
    printing = {
        name
        for name, command in commands.items()
        if any("--json" in each.opts for each in command.params) and not name.startswith("bench ")
    }
    headings = {line[3:].strip("`") for line in PAGE.read_text().splitlines() if line[:3] == "## "}
    described = headings | {"gallery merge"}
    assert "`gallery merge` prints the same" in PAGE.read_text()
    assert printing == described - {"Paths that are not UTF-8"}


def test_the_reasons_are_those_of_the_code() -> None:
    """The table of reasons lists each code once."""
    assert tuple(SHAPES["Reasons"]) == REASONS


def test_index(photos: Path, shop: Path, say: Say, tmp_path: Path) -> None:
    """A run, a dry run and what they name."""
    command = ("index", photos, "--model", shop / "model.onnx", "--gallery", tmp_path / "g")
    said = say(*command, code=3)
    assert_shape(said, "index")
    [copy], [skipped] = said["copies"], said["skipped"]
    assert_shape(copy, "A copy")
    assert (copy["path"], copy["original"]) == (f"{photos}/copy.jpg", f"{photos}/00000.jpg")
    assert_shape(skipped, "A skipped file")
    assert (skipped["path"], skipped["reason"]) == (f"{photos}/empty.jpg", "empty")
    (photos / "00002.jpg").unlink()
    said = say(*command, "--prune", "--dry-run", code=3)
    assert_shape(said, "index")
    assert (said["dry_run"], said["pruned"]) == (True, [f"{photos}/00002.jpg"])


def test_index_watch(photos: Path, shop: Path, tmp_path: Path) -> None:
    """Each batch is one line with the same keys."""
    command = [
        sys.executable, "-m", "boost_edge", "index", str(photos), "--watch", "--json",
        "--model", str(shop / "model.onnx"), "--gallery", str(tmp_path / "g"),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        # Ends the reading below where nothing comes.
        too_late = threading.Timer(120, process.kill)
        too_late.start()
        assert process.stdout is not None
        assert_shape(json.loads(process.stdout.readline()), "index")
        (photos / "copy.jpg").unlink()
        assert_shape(json.loads(process.stdout.readline()), "index")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
        too_late.cancel()
    assert (process.returncode, rest) == (130, "")


def test_query(indexed: Path, photos: Path, say: Say, call: Call) -> None:
    """Answered and unanswered queries, alone, in a list, and one a line."""
    image, gone = photos / "00001.jpg", photos / "gone.jpg"
    search = ("--gallery", indexed, "-k", 2)
    said = say("query", image, *search)
    assert_shape(said, "query")
    assert_named(said["took_ms"], "query", "took_ms")
    for predicted in said["attributes"].values():
        assert list(predicted) == ["value", "p"]
        assert '`{"value": text, "p": share}`' in SHAPES["query"]["attributes"]
    for hit in said["hits"]:
        assert_shape(hit, "A hit")
        assert isinstance(hit["id"], str)
    example = said["hits"][0]["id"]
    answers = say("query", image, gone, "--like", f"id:{example}", "--facets", *search, code=3)
    assert_shape(answers[0], "query", "facets")
    for facet in answers[0]["facets"].values():
        assert_shape(facet, "A facet")
    assert_shape(answers[1], "An unanswered query")
    assert list(answers[1]["error"]) == ["reason", "detail"]
    assert answers[1]["error"]["reason"] == "missing"
    assert_shape(answers[2], "query", "like", "unlike", "facets")
    assert answers[2]["like"] == [str(image)]
    assert_shape(say("query", gone, *search, code=1), "An unanswered query")
    lines = call("query", image, gone, *search, "--format", "jsonl").stdout.splitlines()
    for line, heading in zip(lines, ("query", "An unanswered query"), strict=True):
        assert_shape(json.loads(line), heading)


def test_label(photos: Path, shop: Path, say: Say) -> None:
    """One file, a folder with an image that cannot be read, and values that are unknown."""
    command = ("label", "--model", shop / "model.onnx")
    said = say(*command, photos / "00000.jpg", "--min-p", 0)
    assert_shape(said, "label")
    for predicted in said["attributes"].values():
        assert_shape(predicted, "A predicted value")
    said = say(*command, photos, "--min-p", "type=1", code=3)
    assert_shape(said[0], "label")
    assert_shape(said[0]["attributes"]["type"], "A predicted value", "guess")
    [unread] = [each for each in said if "error" in each]
    assert_shape(unread, "An unread image")
    assert list(unread["error"]) == ["reason", "detail"]
    assert_shape(say(*command, photos / "empty.jpg", code=1), "An unread image")


def test_choose(photos: Path, shop: Path, say: Say) -> None:
    """What was chosen is as label says it, image by image, and an unreadable one is left out."""
    model = ("--model", shop / "model.onnx")
    said = say("choose", photos, *model, "-n", 9, code=3)
    assert len(said) == 4
    for each in said:
        assert_shape(each, "label")
        assert each == say("label", each["path"], *model)


def test_review(catalogue: Path, shop: Path, say: Say, tmp_path: Path) -> None:
    """A table with wrong and unknown values, an image that is absent and one that is empty."""
    shutil.copytree(catalogue / "images", tmp_path / "images")
    (tmp_path / "images" / "00001.jpg").write_bytes(b"")
    (tmp_path / "images" / "00002.jpg").unlink()
    table = tmp_path / "labels.csv"
    text = (catalogue / "labels.csv").read_text(encoding="utf-8")
    table.write_text(text.replace("red", "blue").replace("green", "gren"), encoding="utf-8")
    images, model = tmp_path / "images", shop / "model.onnx"
    said = say("review", table, "--images", images, "--model", model, code=3)
    assert_shape(said, "review")
    assert said["table"] == str(table)
    for doubt in said["doubts"]:
        assert_shape(doubt, "A doubt")
        assert doubt["score"] == pytest.approx((doubt["p_given"] - doubt["p_suggested"] + 1) / 2)
    [unknown] = said["unknown_values"]
    assert_shape(unknown, "An unknown value")
    assert unknown["nearest"] == "green"
    [skipped] = said["skipped"]
    assert_shape(skipped, "A skipped file")
    assert said["missing"] == ["00002.jpg"]


def test_facets_and_duplicates(indexed: Path, photos: Path, say: Say) -> None:
    """Counts, and groups of paths."""
    said = say("facets", "--gallery", indexed)
    assert_shape(said, "facets")
    for facet in said["facets"].values():
        assert_shape(facet, "A facet")
    said = say("duplicates", "--gallery", indexed)
    assert_shape(said, "duplicates")
    assert said["exact"] == [[f"{photos}/00000.jpg", f"{photos}/copy.jpg"]]
    said = say("duplicates", "--gallery", indexed, "--near", 0.01)
    assert_shape(said, "duplicates", "threshold", "near")
    assert isinstance(said["near"][0], list)


def test_verify_and_compact(indexed: Path, photos: Path, say: Say) -> None:
    """A finding, damage, and what compacting did."""
    assert_shape(say("verify", indexed), "verify")
    (photos / "copy.jpg").unlink()
    said = say("verify", indexed)
    assert_shape(said, "verify")
    [finding] = said["findings"]
    assert_shape(finding, "A finding")
    assert_shape(say("compact", indexed), "compact")
    (indexed / "gallery.sqlite").write_bytes(b"nothing of the kind")
    said = say("verify", indexed, code=4)
    assert_shape(said, "verify")
    assert (said["sound"], said["images"]) == (False, None)


def test_gallery(indexed: Path, say: Say, tmp_path: Path) -> None:
    """Exported, imported and merged."""
    out = tmp_path / "out.jsonl"
    assert_shape(say("gallery", "export", "--gallery", indexed, "--out", out), "gallery export")
    said = say("gallery", "import", out, "--gallery", indexed)
    assert_shape(said, "gallery import")
    assert said["sources"] == [str(out)]
    said = say("gallery", "merge", indexed, "--into", tmp_path / "other")
    assert_shape(said, "gallery import")
    assert said["sources"] == [str(indexed)]


def test_inspect(indexed: Path, shop: Path, say: Say) -> None:
    """A gallery, a model and a run, as far down as the page goes."""
    assert_shape(say("inspect", indexed), "A gallery")
    said = say("inspect", shop / "model.onnx")
    assert_shape(said, "A model")
    manifest = said["manifest"]
    assert_shape(manifest, "A manifest")
    for key in ("weights", "image", "training", "parity"):
        assert_named(manifest[key], "A manifest", key)
    for key in ("attributes", "quality"):
        assert_named(manifest[key][0], "A manifest", key)
    said = say("inspect", shop / "run")
    assert_shape(said, "A run")
    record = said["record"]
    assert_shape(record, "A record")
    assert_named(record["losses"], "A record", "losses")
    for key in ("weights", "image", "training"):
        assert_named(record[key], "A manifest", key)
    for key in ("attributes", "quality"):
        assert_named(record[key][0], "A manifest", key)
    assert_named(record["samples"][0], "A record", "samples")
    fields = [each.name for each in dataclasses.fields(Quantisation)]
    assert_named(dict.fromkeys(fields), "A manifest", "quantisation")


def test_doctor(indexed: Path, say: Say) -> None:
    """What the machine is, what was tried and measured, and what to change."""
    said = say("doctor", "--gallery", indexed, "--seconds", 0.1)
    assert_shape(said, "doctor")
    for key in ("processor", "cores", "memory", "threads", "start"):
        assert_named(said[key], "doctor", key)
    for each in said["libraries"]:
        assert_shape(each, "A library")
        assert f"`{each['name']}`" in SHAPES["A library"]["name"]
    for each in said["orders"]:
        assert_named(each, "doctor", "orders")
    assert_shape(said["benchmark"], "A benchmark")
    for each in said["benchmark"]["rows"]:
        assert_shape(each, "A stage")
    for each in said["findings"]:
        assert_shape(each, "Something to change")


def test_the_codes_of_the_doctor_are_those_of_the_code() -> None:
    """The table lists each code once, those that are serious first."""
    assert tuple(SHAPES["Codes of the doctor"]) == CODES


def test_train_and_export(
    catalogue: Path, quick: tuple[str, ...], say: Say, tmp_path: Path
) -> None:
    """A run with a row whose image is absent and one that cannot be read, and its model."""
    shutil.copytree(catalogue / "images", tmp_path / "images")
    (tmp_path / "images" / "00001.jpg").write_bytes(b"")
    (tmp_path / "images" / "00002.jpg").unlink()
    run, images = tmp_path / "run", tmp_path / "images"
    said = say("train", catalogue / "labels.csv", "--images", images, "--out", run, *quick, code=3)
    assert_shape(said, "train")
    assert_named(next(iter(said["quality"].values())), "train", "quality")
    [skipped] = said["skipped"]
    assert_shape(skipped, "A skipped file")
    assert len(said["missing"]) == 1
    said = say("export", run, "--out", tmp_path / "model.onnx")
    assert_shape(said, "export")
    assert_shape(said["manifest"], "A manifest")


def test_tune(searched: Path) -> None:
    """A report of a search, which is what ``--json`` prints (tests/cli/test_tune.py)."""
    said = json.loads((searched / "model.tune.json").read_text(encoding="utf-8"))
    assert_shape(said, "tune")
    assert_named(said["budget"], "tune", "budget")
    assert_named(said["test"], "tune", "test")
    assert_shape(said["test"]["map10"], "An interval")
    for row in (said["chosen"], *said["candidates"]):
        assert_shape(row, "A candidate")
        assert_shape(row["against_best"], "An interval")
    assert_shape(said["cost_model"], "A cost model")
    [found] = said["cost_model"]["threads"].values()
    assert_shape(found, "Predictions")
    assert_named(found["rates"], "Predictions", "rates")
    assert_named(found["all_models"], "Predictions", "all_models")


def test_the_codes_of_a_candidate_are_those_of_the_code() -> None:
    """The table lists each status that a candidate can end with."""
    assert set(SHAPES["Codes of a candidate"]) == set(typing.get_args(Status)) - {"planned"}


def test_a_path_that_is_no_utf8(photos: Path, shop: Path, say: Say, tmp_path: Path) -> None:
    """It stands as the page says, and ``os.fsencode`` gives its bytes back."""
    name = b"b\xfd.jpg"
    (photos / "copy.jpg").rename(photos / os.fsdecode(name))
    gallery = tmp_path / "g"
    say("index", photos, "--model", shop / "model.onnx", "--gallery", gallery, code=3)
    text = json.dumps(say("duplicates", "--gallery", gallery))
    assert r"b\udcfd.jpg" in text
    assert r'`"b\udcfd.jpg"`' in PAGE.read_text(encoding="utf-8")
    [[_, odd]] = json.loads(text)["exact"]
    assert os.fsencode(odd) == os.fsencode(photos) + b"/" + name
