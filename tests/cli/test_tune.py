"""``boost-edge tune``: what it chooses, prints, keeps and refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save
from torchvision.models import squeezenet1_1

from boost_edge.export import gate, tune_costs, tune_export, tune_search, tune_trial
from boost_edge.export.cost_model import check_costs
from boost_edge.export.retrieval import average_precisions
from boost_edge.export.run import read_run
from boost_edge.export.train import train_on
from boost_edge.runtime.encoder import Encoder, read_manifest
from boost_edge.runtime.errors import RunError
from boost_edge.runtime.labelling import split_posteriors

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]
Command = tuple[str, ...]


@pytest.fixture(autouse=True)
def one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one network be timed before it is trained, as in the search that is gone on with."""
    monkeypatch.setattr(tune_costs, "MOST_PROBES", 1)


@pytest.fixture
def report(searched: Path) -> dict[str, Any]:
    """Return the report of the search."""
    said: dict[str, Any] = json.loads((searched / "model.tune.json").read_text())
    return said


@pytest.fixture
def copy(searched: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder, to go on in."""
    folder = tmp_path / "copy"
    shutil.copytree(searched, folder)
    return folder


def labels_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a catalogue's label table."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the candidates that were measured."""
    return [row for row in report["candidates"] if row["status"] == "measured"]


def test_every_candidate_has_a_row(report: dict[str, Any]) -> None:
    """Each combination is there once in float32, and is measured or says why not."""
    rows = [row for row in report["candidates"] if row["precision"] == "fp32"]
    names = [(row["image_size"], row["readout"]) for row in rows]
    assert sorted(names) == [(8, "attributes"), (8, "raw"), (16, "attributes"), (16, "raw")]
    for row in rows:
        assert (row["status"], row["reason"] is None) in [("measured", True), ("dominated", False)]
        assert row["macs"] > 0
        assert row["bytes_per_image"] == 4 * row["dimensions"]
        assert row["predicted_ms"].keys() == {"1"}
        assert 0 < row["map10"] <= 100
        assert row["against_best"]["low"] <= row["against_best"]["mean"] <= 0


def test_the_front_is_not_beaten(report: dict[str, Any]) -> None:
    """A measured candidate is on the front exactly where no other one is better."""

    def costs(row: dict[str, Any]) -> tuple[float, float, float]:
        return min(row["ms"].values()), -row["map10"], row["bytes_per_image"]

    rows = measured_rows(report)
    assert rows
    for row in rows:
        beaten = any(
            all(a <= b for a, b in zip(costs(other), costs(row), strict=True))
            and costs(other) != costs(row)
            for other in rows
        )
        assert row["front"] == (not beaten)


def test_the_best_is_chosen_and_written(searched: Path, report: dict[str, Any]) -> None:
    """Without a budget it is what finds most; the file is that candidate, and says how good."""
    chosen = report["chosen"]
    assert chosen in report["candidates"]
    assert chosen["front"]
    assert chosen["map10"] == max(row["map10"] for row in measured_rows(report))
    manifest = read_manifest(searched / "model.onnx")
    assert manifest.readout == chosen["readout"]
    assert manifest.image.size == chosen["image_size"]
    assert manifest.dimensions == chosen["dimensions"]
    assert manifest.parity is not None
    assert manifest.training is not None
    assert manifest.training.images == {"train": 80, "val": 30, "test": 10} == report["images"]
    assert [each.name for each in manifest.quality] == (
        [] if manifest.readout == "raw" else ["type", "colour"]
    )


def test_validation_decides_and_the_test_part_does_not(
    searched: Path, report: dict[str, Any]
) -> None:
    """No run of the search has read a test image; the written file is measured on them once."""
    runs = list(searched.glob("model.tune/*/run"))
    assert len(runs) == 2
    for run in runs:
        record = read_run(run)
        assert record.parts["test"] == ()
        assert len(record.parts["val"]) == 30
        assert {each.part for each in record.samples} == {"val", "train"}
    assert report["test"]["images"] == 10
    assert report["test"]["map10"]["low"] <= report["test"]["map10"]["mean"]


def test_the_measure_is_that_of_the_gate(
    searched: Path, report: dict[str, Any], divided: Path
) -> None:
    """A row's mAP@10 is what the exported file reaches on the validation images."""
    chosen = report["chosen"]
    [run] = searched.glob(f"model.tune/{chosen['image_size']}px-*/run")
    record = read_run(run)
    paths = [divided / "images" / name for name in record.parts["val"]]
    labels = {
        each.split(",")[0]: each.split(",")[1:3]
        for each in (divided / "labels.csv").read_text().splitlines()[1:]
    }
    texts = [labels[name] for name in record.parts["val"]]
    codes = np.stack(
        [np.unique([row[column] for row in texts], return_inverse=True)[1] for column in (0, 1)],
        axis=1,
    )
    with Encoder.open(searched / "model.onnx") as encoder:
        found = average_precisions(encoder.encode(paths), codes)
    assert 100 * np.nanmean(found) == pytest.approx(chosen["map10"], abs=0.2)


def test_predictions_are_checked(report: dict[str, Any]) -> None:
    """The report says how predicted and measured times compare, and it is so."""
    [found] = report["cost_model"]["threads"].values()
    rows = [row for row in measured_rows(report) if row["precision"] == "fp32"]
    expected = check_costs(
        [row["predicted_ms"]["1"] for row in rows], [row["ms"]["1"] for row in rows]
    )
    assert found["all_models"]["ratio"] == pytest.approx(expected.ratio)
    assert found["all_models"]["models"] == len(rows)
    # One of the two networks was probed; the other says whether that holds elsewhere.
    assert report["cost_model"]["probes"] == 1
    others = [row for row in rows if row["image_size"] == 16]
    assert (found["others"] or {"models": 0})["models"] == len(others)


def test_nothing_is_done_twice(
    search_command: Command, copy: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same search again trains, converts and quantises nothing, and prints the table."""

    def fail(*_: object, **__: object) -> None:
        raise RunError("this was done before")

    monkeypatch.setattr(tune_trial, "train_on", fail)
    monkeypatch.setattr(tune_export, "export_model", fail)
    monkeypatch.setattr("boost_edge.export.tune_costs.convert_network", fail)
    before = json.loads((copy / "model.tune.json").read_text())
    (copy / "model.onnx").unlink()
    done = call(*search_command, "--out", copy / "model.onnx")
    assert done.returncode == 0, done.stderr
    assert (copy / "model.onnx").is_file()
    lines = done.stdout.splitlines()
    assert lines[0].startswith("images: 80 train, 30 val, 10 test; ")
    assert " ".join(lines[2].split()) == (
        "image tap readout precision dims bytes ms, 1 thread mAP@10 against the best (95%)"
    )
    [chosen] = [line for line in lines if line.startswith("chosen ")]
    assert f"{before['chosen']['map10']:.1f}" in chosen
    assert any(line.startswith("cost model, 1 thread: predicted / measured ") for line in lines)
    assert any(line.startswith("on 10 test images, first read after") for line in lines)
    assert lines[-1].startswith("next: boost-edge index PHOTOS --model ")


def test_an_interrupted_search_goes_on(
    search_command: Command,
    copy: Path,
    refused: Refused,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C at the second network is 130; the same command then trains only that one."""
    trained, left = list[Path](), [1]

    def interrupt(*arguments: Any, out: Path, **options: Any) -> Any:
        if trained and left:
            left.clear()
            raise KeyboardInterrupt
        trained.append(out)
        return train_on(*arguments, out=out, **options)

    monkeypatch.setattr(tune_trial, "train_on", interrupt)
    for each in copy.glob("model.tune/*/run"):
        shutil.rmtree(each)
    (copy / "model.onnx").unlink()
    command = (*search_command, "--out", copy / "model.onnx")
    line = refused(130, *command)
    assert line == "interrupted: what was done is kept, the same command goes on from there"
    assert not (copy / "model.onnx").exists()
    assert call(*command).returncode == 0
    assert len(trained) == len(set(trained)) == 2
    assert (copy / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (("--min-map", "99.9"), "keeps to at least 99.9 mAP@10 (the best is "),
        (
            ("--max-ms", "1000", "--min-map", "99.9"),
            "keeps to at most 1000 ms and at least 99.9 mAP@10 (the best is ",
        ),
        (("--max-ms", "0.000001"), "no candidate comes near at most 1e-06 ms: the nearest is "),
    ],
)
def test_a_budget_that_is_not_met(
    limits: tuple[str, ...], said: str, search_command: Command, copy: Path, refused: Refused
) -> None:
    """Exit 5 and one line with the nearest; the model and the report that were there stay."""
    before = [(copy / name).read_bytes() for name in ("model.onnx", "model.tune.json")]
    line = refused(5, *search_command, "--out", copy / "model.onnx", *limits)
    assert line.startswith(f"{copy / 'model.onnx'}: not written: no")
    assert said in line
    assert "the nearest is " in line
    assert " px, last, " in line
    after = [(copy / name).read_bytes() for name in ("model.onnx", "model.tune.json")]
    assert after == before


def test_int8(
    search_command: Command,
    copy: Path,
    divided: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What passes the gate is a candidate like any other; what is refused is a row that says why.

    ``int8`` alone may be chosen where nothing else is asked for.
    """
    # Times are given, as a test cannot rely on them.
    times = [(3.0, 2.0), (2.0, 2.5)]

    def measure(models: list[Path], threads: tuple[int, ...]) -> tuple[dict[int, float], ...]:
        return tuple(dict.fromkeys(threads, 1.0) for _ in models)

    def race(*_: object) -> tuple[float, ...]:
        return times.pop(0) if len(times) > 1 else times[0]

    monkeypatch.setattr(gate, "race_models", race)
    monkeypatch.setattr(tune_search, "measure_latency", measure)
    command = (
        *search_command, "--out", copy / "model.onnx", "--max-loss", 95, "--precisions", "int8",
    )  # fmt: skip
    done = call(*command, "--image-sizes", "8", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((copy / "model.tune.json").read_text())
    assert report["chosen"]["precision"] == "int8"
    assert report["chosen"]["predicted_ms"] is None
    manifest = read_manifest(copy / "model.onnx")
    assert manifest.precision == "int8"
    assert manifest.quantisation is not None
    # The gate saw the validation images, and no others.
    assert manifest.quantisation.images == 30
    # What the file says in 8 bits, not what its network said before.
    rows = [row for row in labels_of(divided) if row["split"] == "test"]
    with Encoder.open(copy / "model.onnx") as encoder:
        encoding = encoder.predict([divided / "images" / row["file_name"] for row in rows])
    assert encoding.attributes is not None
    for quality, posteriors, attribute in zip(
        manifest.quality,
        split_posteriors(manifest.attributes, encoding.attributes),
        manifest.attributes,
        strict=True,
    ):
        bests: list[int] = posteriors.argmax(axis=1).tolist()
        right = sum(
            attribute.values[best] == row[attribute.name]
            for best, row in zip(bests, rows, strict=True)
        )
        assert quality.accuracy == pytest.approx(right / len(rows))
    # The small embedding and the good one are both on the front; the first one passed.
    [refusal] = [row for row in report["candidates"] if row["status"] == "refused"]
    assert (refusal["precision"], refusal["readout"]) == ("int8", "raw")
    assert "2.00 -> 2.50 ms; it must be faster" in refusal["reason"]
    said = call(*command, "--image-sizes", "8").stdout
    assert said.count("\nrefused ") == 1
    assert "2.00 -> 2.50 ms; it must be faster" in said
    # It may have been slow by chance, and is tried again.
    times.append((2.5, 2.0))
    del times[0]
    assert "refused" not in call(*command, "--image-sizes", "8").stdout


def test_an_unreadable_test_image(
    search_command: Command, copy: Path, divided: Path, call: Call
) -> None:
    """It is named although it is read last, and the exit code says that something is left out."""
    [name, *_] = [row["file_name"] for row in labels_of(divided) if row["split"] == "test"]
    image = divided / "images" / name
    kept = image.read_bytes()
    try:
        image.write_bytes(kept[:40])
        done = call(*search_command, "--out", copy / "model.onnx", "--json")
    finally:
        image.write_bytes(kept)
    assert done.returncode == 3
    assert f"skipped {image}" in done.stderr
    said = json.loads(done.stdout)
    assert [each["path"] for each in said["skipped"]] == [str(image)]
    assert said["test"]["images"] == 9


def test_a_tap_that_the_weights_do_not_reach(divided: Path, call: Call, tmp_path: Path) -> None:
    """It is one candidate less, and no end of the search, unless there is no other."""
    tensors = squeezenet1_1(weights=None).state_dict()
    weights = tmp_path / "weights.safetensors"
    kept = {name: value for name, value in tensors.items() if not name.startswith("features.12")}
    weights.write_bytes(save(kept))
    command = (
        "tune", divided / "labels.csv", "--images", divided / "images", "--attributes", "type",
        "--backbone", "squeezenet1_1", "--weights", weights, "--image-sizes", 32,
        "--readouts", "raw", "--precisions", "fp32", "--out", tmp_path / "model.onnx", "--json",
    )  # fmt: skip
    done = call(*command, "--taps", "features.4,features.12")
    assert done.returncode == 0, done.stderr
    rows = {row["tap"]: row for row in json.loads(done.stdout)["candidates"]}
    assert rows["features.4"]["status"] == "measured"
    assert rows["features.12"]["status"] == "impossible"
    assert "it lacks" in rows["features.12"]["reason"]
    done = call(*command, "--taps", "features.12")
    assert done.returncode == 1
    assert "it lacks" in done.stderr


def test_readouts_of_one_head(divided: Path, call: Call, tmp_path: Path) -> None:
    """All readouts of a network are judged, those too that need labels to come together."""
    done = call(
        "tune", divided / "labels.csv", "--images", divided / "images", "--attributes", "type",
        "--backbone", "pca", "--image-sizes", 8, "--widths", 16, "--precisions", "fp32",
        "--readouts", "match,together", "--out", tmp_path / "model.onnx", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["readout"]: row for row in json.loads(done.stdout)["candidates"]}
    assert set(rows) == {"match", "together"}
    for row in rows.values():
        assert row["map10"] is not None
        assert row["status"] in ("measured", "dominated")
    # Of one attribute the combinations are the values that are common.
    assert 2 <= rows["together"]["dimensions"] - 64 <= rows["match"]["dimensions"] - 64


def test_a_short_time(search_command: Command, copy: Path, call: Call) -> None:
    """With no time left no further network is tried, and what was not says so."""
    for each in copy.glob("model.tune/16px-*"):
        shutil.rmtree(each)
    done = call(
        *search_command, "--out", copy / "model.onnx", "--precisions", "fp32,int8",
        "--seconds", 0, "--threads", 2, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["candidates"]
    assert {row["image_size"] for row in rows if row["status"] == "measured"} == {8}
    assert {row["status"] for row in rows if row["image_size"] == 16} == {"not_tried"}
    assert {row["status"] for row in rows if row["precision"] == "int8"} == {"not_tried"}
    assert all(row["ms"].keys() == {"1", "2"} for row in rows if row["ms"])


def test_heads_are_trained_as_is_said(
    search_command: Command, searched: Path, call: Call, tmp_path: Path
) -> None:
    """Another recipe is another search: each run says which, and what was chosen beside it."""
    how = ("--image-sizes", 8, "--recipe", "finetuned", "--components", 5, "--contrast", 0.25)
    done = call(*search_command, *how, "--out", tmp_path / "model.onnx")
    assert done.returncode == 0, done.stderr
    [run] = tmp_path.glob("model.tune/*/run")
    training = read_run(run).training
    assert (training.recipe, training.settings["components"]) == ("finetuned", 5)
    assert training.settings["contrast"] == 0.25
    assert run.parent.name not in {each.name for each in (searched / "model.tune").iterdir()}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min-map", "good"), "--min-map 'good' is neither points"),
        (("--max-ms", "0"), "--max-ms"),
        (("--image-sizes", "8,x"), "'x' is not a whole number from 1"),
        (("--threads", "0"), "'0' is not a whole number from 1"),
        (("--readouts", "looks"), "readout 'looks' is not one of raw, hidden"),
        (("--precisions", "fp16"), "precision 'fp16' is not one of fp32, int8"),
        (("--backbone", "resnet999"), "'resnet999' is not one of pca, resnet18"),
        (("--taps", "layer9"), "pca takes one tap"),
        (("--taps", "pca9999"), "name that tap, or add images"),
        (("--widths", ","), "has an empty name"),
        (("--attributes", "height"), "height"),
        (("--recipe", "paper"), "recipe paper keeps no validation part"),
        (("--readouts", "match,together"), "of labels in 3 or more images to train on"),
        (("--readouts", "raw", "--recipe", "finetuned"), "--readouts raw trains none"),
        (("--readouts", "raw", "--contrast", "0"), "--readouts raw trains none"),
    ],
)
def test_what_makes_no_sense(
    options: tuple[str, ...], said: str, search_command: Command, refused: Refused, tmp_path: Path
) -> None:
    """Wrong usage is one line that names what is wrong, before anything is trained."""
    line = refused(2, *search_command, "--out", tmp_path / "model.onnx", *options)
    assert said in line
    assert not list(tmp_path.glob("**/run"))


def test_too_few_validation_images(catalogue: Path, refused: Refused, tmp_path: Path) -> None:
    """Where nothing can be compared, the line says how many images there are and are needed."""
    line = refused(
        2, "tune", catalogue / "labels.csv", "--images", catalogue / "images", "--backbone", "pca",
        "--image-sizes", 8, "--readouts", "raw", "--out", tmp_path / "model.onnx",
    )  # fmt: skip
    assert "only 7 images are held out for validation" in line
    assert "at least 20" in line
