"""``boost-edge train``: what it prints, and every table that it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import click
import pytest
import torch

from boost_edge.cli.train import command as train_command
from boost_edge.export import train as train_module
from boost_edge.export.recipes import RECIPES

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def rows(catalogue: Path) -> list[dict[str, str]]:
    """Return the rows of the catalogue's label table."""
    with (catalogue / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as a CSV file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_json_says_what_was_trained(
    catalogue: Path, call: Call, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """The JSON names run, backbone, images and quality; nothing else is on stdout."""
    out = tmp_path / "run"
    done = call(
        "train", catalogue / "labels.csv", "--images", catalogue / "images", "--out", out, *quick,
        "--attributes", "type, colour", "--limit", 40, "--seed", 3, "--recipe", "boost",
        "--resize", "letterbox", "--readout", "hidden", "--width", 24, "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert set(said) == {
        "run", "backbone", "taps", "features", "readout", "images", "epochs", "quality",
        "refit", "missing", "duplicates", "known", "skipped",
    }  # fmt: skip
    assert said["run"] == str(out)
    assert (said["backbone"], said["readout"]) == ("pca", "hidden")
    assert said["images"]["train"] + said["images"]["val"] == 40
    assert said["refit"] is False
    assert set(said["quality"]) == {"type", "colour"}
    assert (said["missing"], said["known"], said["skipped"]) == ([], 0, [])
    record = json.loads((out / "train.json").read_text(encoding="utf-8"))
    assert (record["head_width"], record["training"]["settings"]["width"]) == (24, 24)


def test_text_says_what_to_type_next(
    catalogue: Path,
    call: Call,
    quick: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text counts images, shows the quality, and ends with the next command, quoted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    labels, images = catalogue / "labels.csv", catalogue / "images"
    done = call("train", labels, "--images", images, "--out", "my run", *quick)
    assert (done.returncode, done.stderr) == (0, "")
    assert "images: 65 train, 7 val, 8 test" in done.stdout
    assert "calibration error" in done.stdout
    assert done.stdout.endswith("next: boost-edge export 'my run' --out model.onnx\n")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_missing_images_are_listed_and_counted(
    catalogue: Path,
    rows: list[dict[str, str]],
    call: Call,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """Rows without an image are counted, the first named, all in the JSON; the exit code is 3."""
    gone = [{**rows[0], "file_name": f"gone{number}.jpg"} for number in range(12)]
    labels = write_csv(tmp_path / "labels.csv", [*rows, *gone])
    done = call(
        "train", labels, "--images", catalogue / "images", "--out", tmp_path / "run", *quick,
        "--json",
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("boost-edge: 12 images of the table missing: gone0.jpg, ")
    assert done.stderr.endswith("gone9.jpg and 2 more (--json lists all)\n")
    assert json.loads(done.stdout)["missing"] == [row["file_name"] for row in gone]


def test_strict_refuses_missing_images(
    catalogue: Path,
    rows: list[dict[str, str]],
    refused: Refused,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """With --strict a missing image is wrong usage, and nothing is written."""
    labels = write_csv(tmp_path / "labels.csv", [*rows, {**rows[0], "file_name": "gone.jpg"}])
    out = tmp_path / "run"
    line = refused(
        2, "train", labels, "--images", catalogue / "images", "--out", out, *quick, "--strict"
    )
    assert line.startswith(f"{labels}: 1 image missing")
    assert "gone.jpg" in line
    assert not out.exists()


def test_unreadable_images_are_skipped(
    catalogue: Path, call: Call, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """An image that cannot be read is named on stderr and in the JSON; the exit code is 3."""
    images = tmp_path / "images"
    shutil.copytree(catalogue / "images", images)
    (images / "00007.jpg").write_bytes(b"no image")
    done = call(
        "train", catalogue / "labels.csv", "--images", images, "--out", tmp_path / "run", *quick,
        "--json",
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith(f"boost-edge: skipped {images / '00007.jpg'}: ")
    assert done.stderr.count("\n") == 1
    [skipped] = json.loads(done.stdout)["skipped"]
    assert set(skipped) == {"path", "reason", "detail"}
    assert skipped["path"] == str(images / "00007.jpg")


HEAD = "file_name,colour\n"


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", (), "is empty: add a header and one row per image"),
        (HEAD.encode(), (), "has no rows below its header"),
        ((HEAD + "00000.jpg,red\n").encode("utf-16"), (), "is UTF-16: save the table as UTF-8"),
        ((HEAD + "00000.jpg,caf\xe9\n").encode("latin-1"), (), "line 2 is not UTF-8"),
        (b"picture,colour\n00000.jpg,red\n", (), "or say which with --image-column"),
        (b"file_name,colour\nno.jpg,red\n", (), "none of its 1 image is in"),
        (
            b"file_name,colour\n00000.jpg,red\n00000.jpg,blue\n",
            ("--attributes", "colour"),
            "stands on line 2 and line 3 with different colour: keep one of the two rows",
        ),
        (b"file_name,colour\n00000.jpg,red\n00001.jpg,red\n", (), "no column looks like an attr"),
        (
            b"file_name,colour\n00000.jpg,red\n00001.jpg,red\n",
            ("--attributes", "colour"),
            "attribute colour has one value only ('red')",
        ),
        (
            b"file_name,colour\n00000.jpg,red\n00001.jpg,blue\n",
            ("--attributes", "color"),
            "has no column color (--attributes): did you mean colour?",
        ),
        (
            b"file_name,colour\n00000.jpg,red\n00001.jpg,blue\n",
            ("--image-column", "picture"),
            "has no column picture (--image-column)",
        ),
    ],
)
def test_tables_that_cannot_be_used(
    content: bytes,
    options: tuple[str, ...],
    said: str,
    catalogue: Path,
    refused: Refused,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """A bad table is wrong usage: one line names the file and what to do; nothing is written."""
    labels = tmp_path / "labels.csv"
    labels.write_bytes(content)
    out = tmp_path / "run"
    line = refused(
        2, "train", labels, "--images", catalogue / "images", "--out", out, *quick, *options
    )
    assert line.startswith(f"{labels}: ")
    assert said in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.csv", "there is no such file"), ("", "is a folder"), ("a.txt", "must be one of .csv")],
)
def test_files_that_are_no_table(
    name: str,
    said: str,
    catalogue: Path,
    refused: Refused,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """A missing file, a folder and an unknown format are told apart."""
    (tmp_path / "a.txt").write_text("file_name,colour\n")
    line = refused(
        2, "train", tmp_path / name, "--images", catalogue / "images", "--out", "run", *quick
    )
    assert line.startswith(str(tmp_path / name))
    assert said in line


def test_repeated_rows_and_another_image_column(
    catalogue: Path,
    rows: list[dict[str, str]],
    call: Call,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """Rows that say the same twice count once; JSON Lines and --image-column are understood."""
    renamed = [{"picture": row["file_name"], "type": row["type"]} for row in rows]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(json.dumps(row) for row in [*renamed, renamed[0]]))
    done = call(
        "train", labels, "--images", catalogue / "images", "--out", tmp_path / "run", *quick,
        "--image-column", "picture", "--readout", "raw", "--json",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == "boost-edge: 1 row of the table repeated, counted once\n"
    said = json.loads(done.stdout)
    assert (sum(said["images"].values()), said["duplicates"]) == (80, 1)


def test_a_finished_run_is_kept(
    catalogue: Path, shop: Path, refused: Refused, quick: tuple[str, ...]
) -> None:
    """A folder with a finished run is not written over."""
    labels, images = catalogue / "labels.csv", catalogue / "images"
    line = refused(2, "train", labels, "--images", images, "--out", shop / "run", *quick)
    assert line.startswith(f"{shop / 'run'}: already holds a finished run")


def test_imagenet_weights_without_network(
    catalogue: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what to download, where to put it, and that a file can be named instead."""

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    line = refused(
        1, "train", catalogue / "labels.csv", "--images", catalogue / "images", "--out",
        tmp_path / "run", "--weights", "imagenet",
    )  # fmt: skip
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in line
    assert str(Path(torch.hub.get_dir()) / "checkpoints") in line
    assert "--weights FILE" in line


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        (2, ("--weights", "none.safetensors"), "cannot read the weights none.safetensors"),
        (4, ("--weights", "."), ".: not a training run"),
        (2, ("--backbone", "resnet999"), "'resnet999' is not one of pca, resnet18"),
        (2, ("--weights", "none", "--tap", "layer9"), "resnet18 has no tap 'layer9'"),
        (2, ("--weights", "none", "--limit", "1"), "--limit 1 leaves nothing to train on"),
    ],
)
def test_backbones_that_cannot_be_had(
    code: int,
    options: tuple[str, ...],
    said: str,
    catalogue: Path,
    refused: Refused,
    tmp_path: Path,
) -> None:
    """A backbone, tap or weights file that does not exist is named."""
    labels, images = catalogue / "labels.csv", catalogue / "images"
    line = refused(code, "train", labels, "--images", images, "--out", tmp_path / "run", *options)
    assert said in line


def test_an_interrupted_training_promises_to_go_on(
    catalogue: Path,
    refused: Refused,
    quick: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while fitting is 130, and one line says that the same command goes on."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "train_head", interrupt)
    labels, images = catalogue / "labels.csv", catalogue / "images"
    line = refused(130, "train", labels, "--images", images, "--out", tmp_path / "run", *quick)
    assert line == "interrupted: what was done is kept, the same command goes on from there"


def test_every_recipe_can_be_chosen() -> None:
    """The choices stand beside the recipes, which are not imported for --help."""
    [option] = [each for each in train_command.params if each.name == "recipe"]
    assert isinstance(option.type, click.Choice)
    assert sorted(option.type.choices) == sorted(RECIPES)


@pytest.mark.parametrize(
    "option",
    [
        ("--recipe", "finetuned"), ("--width", "64"), ("--components", "8"), ("--contrast", "0"),
        ("--refit",),
    ],
)  # fmt: skip
def test_what_belongs_to_the_head_needs_one(
    option: tuple[str, ...], catalogue: Path, refused: Refused, tmp_path: Path
) -> None:
    """With the readout raw no head is trained: saying how is refused before anything is done."""
    said = refused(
        2, "train", catalogue / "labels.csv", "--images", catalogue / "images",
        "--out", tmp_path / "run", "--readout", "raw", *option,
    )  # fmt: skip
    assert "--readout raw trains none" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--teacher", "."),
        ("--teacher-weight", "0"),
        ("--mixup", "0"),
        ("--epochs", "3"),
        ("--batch-size", "8"),
        ("--consistent",),
    ],
)
def test_options_of_finetuning_need_it(
    option: tuple[str, ...], catalogue: Path, refused: Refused, tmp_path: Path
) -> None:
    """A teacher, say, or a number of epochs would be ignored without it, so it is refused."""
    said = refused(
        2, "train", catalogue / "labels.csv", "--images", catalogue / "images",
        "--out", tmp_path / "run", *option,
    )  # fmt: skip
    assert "add --finetune" in said


def test_finetuning_says_what_was_trained(catalogue: Path, call: Call, tmp_path: Path) -> None:
    """A whole network is trained from random weights with one flag, and the text says so."""
    done = call(
        "train", catalogue / "labels.csv", "--images", catalogue / "images",
        "--out", tmp_path / "run", "--backbone", "resnet18_w40", "--weights", "none",
        "--image-size", 32, "--attributes", "type,colour", "--finetune", "--epochs", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "weights finetuned" in done.stdout
    assert "whole network: 1 epoch" in done.stdout
    rate = _settings(tmp_path / "run")["finetune_learning_rate"]
    done = call(
        "train", catalogue / "labels.csv", "--images", catalogue / "images",
        "--out", tmp_path / "further", "--backbone", "resnet18_w40",
        "--weights", tmp_path / "run", "--attributes", "type,colour", "--finetune",
        "--epochs", 1, "--batch-size", 64, "--teacher", tmp_path / "run", "--consistent",
        "--teacher", tmp_path / "run", "--teacher-weight", 0.9, "--mixup", 0.5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    further = _settings(tmp_path / "further")
    assert further["finetune_batch_size"] == 64
    assert further["finetune_consistent"] is True
    assert further["finetune_teacher"] == 0.9
    assert further["finetune_mixup"] == 0.5
    assert len(further["finetune_teacher_run"].split()) == 2
    assert further["finetune_learning_rate"] < rate


def test_number_of_components_can_be_chosen(
    catalogue: Path, call: Call, refused: Refused, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """It is what the embedding has beside the posteriors; the paper's recipe has none."""
    where = ("train", catalogue / "labels.csv", "--images", catalogue / "images", "--out")
    done = call(*where, tmp_path / "run", *quick, "--components", 7)
    assert done.returncode == 0, done.stderr
    assert _settings(tmp_path / "run")["components"] == 7
    said = refused(2, *where, tmp_path / "other", "--recipe", "paper", "--components", 7)
    assert "--components does not go with --recipe paper" in said


def test_a_head_is_trained_once_more_where_asked(
    catalogue: Path, call: Call, refused: Refused, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """The model says so, is another than without, and a recipe without a validation part cannot."""
    where = ("train", catalogue / "labels.csv", "--images", catalogue / "images", "--out")
    weights = set[bytes]()
    for name, option in (("once", ()), ("again", ("--refit",))):
        run = tmp_path / name
        done = call(*where, run, *quick, "--attributes", "type", *option)
        assert done.returncode == 0, done.stderr
        assert _settings(run)["refit"] is bool(option)
        assert ("refit" in call("inspect", run).stdout) is bool(option)
        assert ("then trained once more, on 72 images" in done.stdout) is bool(option)
        weights.add((run / "head.safetensors").read_bytes())
    assert len(weights) == 2
    said = refused(2, *where, tmp_path / "other", *quick, "--recipe", "paper", "--refit")
    assert "recipe paper: cannot refit" in said
    assert not (tmp_path / "other").exists()


def test_weight_of_the_contrastive_loss_can_be_chosen(
    catalogue: Path, call: Call, refused: Refused, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """It can be had beside another recipe, and 0 leaves it out of the one that has it."""
    table, images = catalogue / "labels.csv", catalogue / "images"
    some = ("--attributes", "type", *quick)
    for weight, options in ((0.25, ("--recipe", "finetuned")), (0.0, ("--recipe", "contrastive"))):
        out = tmp_path / f"run-{weight}"
        done = call(
            "train", table, "--images", images, "--out", out, *some, *options, "--contrast", weight
        )
        assert done.returncode == 0, done.stderr
        assert _settings(out)["contrast"] == weight
    for wrong in ("-1", "nan", "inf", "much"):
        said = refused(
            2, "train", table, "--images", images, "--out", tmp_path / "x", "--contrast", wrong
        )
        assert "--contrast" in said
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "option", [("--consistent",), ("--teacher-weight", 1), ("--consistent", "--mixup", 0.5)]
)
def test_what_is_said_of_a_teacher_needs_one(
    option: tuple[str, ...], catalogue: Path, refused: Refused, tmp_path: Path
) -> None:
    """Without a teacher there is nobody to be consistent, or to be listened to."""
    said = refused(
        2, "train", catalogue / "labels.csv", "--images", catalogue / "images",
        "--out", tmp_path / "run", "--weights", "none", "--finetune", *option,
    )  # fmt: skip
    assert "give --teacher RUN" in said


def _settings(run: Path) -> Mapping[str, Any]:
    """Return the settings that a run was trained with."""
    settings: Mapping[str, Any] = json.loads((run / "train.json").read_text())["training"][
        "settings"
    ]
    return settings
