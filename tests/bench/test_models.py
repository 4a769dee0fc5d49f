"""Model files judged on held-out images: against loops, and where the answer is known."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.drawn_model import DRAWN

from boost_edge.bench import models as models_module
from boost_edge.bench.labelling import judge_predictions
from boost_edge.bench.latency_pictures import encode_jpeg
from boost_edge.bench.metrics import chance_map_at_k, rank_others
from boost_edge.bench.models import ModelsPlan, measure_models
from boost_edge.bench.relevance import draw_groups, relevance
from boost_edge.bench.trials import read_trials, scores_path
from boost_edge.bench.versus import compare, parse_side
from boost_edge.cli.main import run
from boost_edge.export.convert import export_model
from boost_edge.export.labels import read_labels
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import read_run
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.encoder import Encoder, Encoding
from boost_edge.runtime.errors import LabelTableError, ModelFileError, UsageError
from boost_edge.runtime.manifest import Attribute

PLAN = ModelsPlan(name_column="name", attributes=("type", "sleeve"), groups=4, per_group=3, seeds=2)


@pytest.fixture(scope="module")
def shop(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``split.csv``, a run on it, ``raw.onnx`` and ``attributes.onnx``.

    The last 48 of 80 drawn images are the test part.
    """
    folder = tmp_path_factory.mktemp("models")
    with (catalogue / "labels.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    parts = ["train"] * 26 + ["val"] * 6 + ["test"] * 48
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "split"])
        writer.writerows([*row, part] for row, part in zip(rows, parts, strict=True))
    train(
        folder / "split.csv",
        images=catalogue / "images",
        out=folder / "run",
        settings=TrainSettings(
            backbone="pca",
            image_size=16,
            recipe=dataclasses.replace(RECIPES["boost"], width=32, epochs=6),
        ),
        cache=folder / "cache",
    )
    for readout in ("raw", "attributes"):
        export_model(folder / "run", folder / f"{readout}.onnx", readout=readout)
    return folder


@pytest.fixture(scope="module")
def result(shop: Path, catalogue: Path) -> dict[str, Any]:
    """Return the measurement of three files, written beside the table."""
    return measure_models(
        shop / "split.csv",
        images=catalogue / "images",
        models=[shop / "raw.onnx", shop / "attributes.onnx", DRAWN],
        plan=PLAN,
        out=shop / "models.json",
    )


def test_files_are_described(result: dict[str, Any], shop: Path) -> None:
    """A row has the file's digest and size, and what the model says of itself."""
    raw, attributes, shipped = result["rows"]
    assert [row["model"] for row in result["rows"]] == [
        "raw.onnx", "attributes.onnx", "garments-drawn.onnx",
    ]  # fmt: skip
    for row, path in ((raw, shop / "raw.onnx"), (attributes, shop / "attributes.onnx")):
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["bytes"] == path.stat().st_size
        assert (row["backbone"], row["training_images"], row["image_size"]) == ("pca", 26, 16)
        assert row["trained_on_this_table"] is True
    assert shipped["trained_on_this_table"] is False
    assert (shipped["dimensions"], shipped["bytes_per_image"]) == (26, 104)
    assert (shipped["backbone"], shipped["readout"]) == ("squeezenet1_1", "attributes")
    assert "attributes" not in raw
    assert result["kind"] == "models"
    assert result["images"] == {"train": 26, "val": 6, "test": 48}


def test_labels_are_judged_as_training_judged_them(result: dict[str, Any], shop: Path) -> None:
    """The figures of the test part are those that the training found on the same images."""
    found = result["rows"][1]["attributes"]
    quality = {each.name: each for each in read_run(shop / "run").quality}
    assert set(found) == {"type", "sleeve"}
    for name, judged in found.items():
        expected = quality[name]
        assert (judged["images"], judged["accuracy"]) == (expected.images, expected.accuracy)
        assert judged["majority"] == expected.majority
        assert judged["calibration_error"] == pytest.approx(expected.calibration_error, abs=1e-5)


def test_sure_labels_by_a_loop(result: dict[str, Any], shop: Path, catalogue: Path) -> None:
    """What is shown, and how much of it is right, is what asking image by image gives."""
    with (shop / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    for model, row in ((shop / "attributes.onnx", 1), (DRAWN, 2)):
        with Encoder.open(model) as encoder:
            said = encoder.predict([catalogue / "images" / each["file_name"] for each in rows])
            assert said.attributes is not None
            for name, judged in result["rows"][row]["attributes"].items():
                sure = right = labelled = 0
                for each, posteriors in zip(rows, said.attributes, strict=True):
                    guess = encoder.describe(posteriors)[name]
                    if each[name]:
                        labelled += 1
                        sure += guess.p >= 0.5
                        right += guess.p >= 0.5 and guess.value == each[name]
                assert judged["shown"] == sure / labelled
                assert judged["shown_accuracy"] == (right / sure if sure else None)


def test_what_is_said_of_something_else_by_a_loop(
    shop: Path, catalogue: Path, tmp_path: Path
) -> None:
    """Of unlike images each attribute's share of sure answers is counted, by folder."""
    pixels = np.random.default_rng(3).integers(0, 256, (12, 40, 40, 3), np.uint8)
    for number, each in enumerate(pixels):
        folder = tmp_path / ("noise" if number < 8 else "few") / "below"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(each))
    unlike = [tmp_path / "noise", tmp_path / "few"]
    measured = measure_models(
        shop / "split.csv",
        images=catalogue / "images",
        models=[shop / "raw.onnx", shop / "attributes.onnx", DRAWN],
        plan=PLAN,
        unlike=unlike,
    )
    assert measured["unlike"] == {"noise": 8, "few": 4}
    assert "attributes" not in measured["rows"][0]
    for row, model in zip(measured["rows"][1:], (shop / "attributes.onnx", DRAWN), strict=True):
        with Encoder.open(model) as encoder:
            for folder in unlike:
                said = encoder.predict(sorted(folder.rglob("*.jpg"))).attributes
                assert said is not None
                for name, judged in row["attributes"].items():
                    sure = [encoder.describe(each)[name].p >= 0.5 for each in said]
                    assert judged["shown_unlike"][folder.name] == sum(sure) / len(sure)


def test_unlike_folders_that_cannot_be_used_are_named(
    shop: Path, catalogue: Path, tmp_path: Path
) -> None:
    """An empty folder, two of one name and a file that is no image are refused in one line."""
    bad, empty = tmp_path / "bad", tmp_path / "deep" / "bad"
    empty.mkdir(parents=True)
    bad.mkdir()
    (bad / "broken.jpg").write_bytes(b"no image")
    for folders, said in (
        ([empty], "has no images"), ([bad, empty], "called bad too"), ([bad], "broken.jpg"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            measure_models(
                shop / "split.csv",
                images=catalogue / "images",
                models=[shop / "attributes.onnx"],
                plan=PLAN,
                unlike=folders,
            )


def test_retrieval_by_a_loop(result: dict[str, Any], shop: Path, catalogue: Path) -> None:
    """mAP@10 is what a loop over the drawn images gives, with relevance pair by pair."""
    table = read_labels(
        shop / "split.csv", images=catalogue / "images", attributes=("type", "sleeve")
    )
    test = [row for row, part in enumerate(table.split or ()) if part == "test"]
    with Encoder.open(shop / "attributes.onnx") as encoder:
        embeddings = encoder.encode([table.paths[row] for row in test])
    for seed, expected in enumerate(result["rows"][1]["map10"]["by_seed"]):
        drawn = draw_groups(
            table.codes[test], [table.names[row] for row in test], seed=seed, groups=4, per_group=3
        )
        places: list[int] = drawn.tolist()
        rows = [test[place] for place in places]
        assert len(set(rows)) == 12
        assert set(Counter(map(str, table.codes[rows])).values()) == {3}
        titles = [table.columns["name"][row] for row in rows]
        codes: list[list[int]] = table.codes[rows].tolist()
        grades = np.array(
            [[relevance(mine, other, titles[i], titles[j]) for j, other in enumerate(codes)]
             for i, mine in enumerate(codes)]
        )  # fmt: skip
        total = 0.0
        for query, place in enumerate(places):
            scores = embeddings[drawn] @ embeddings[place]
            nearest = [each for each in np.argsort(-scores).tolist() if each != query][:10]
            wanted = set(rank_others(grades)[query].tolist())
            hits = 0
            for rank, each in enumerate(nearest, start=1):
                hits += each in wanted
                total += (hits / rank if each in wanted else 0.0) / 10
        assert expected == pytest.approx(100 * total / 12)


def test_gains_are_paired_with_the_first(result: dict[str, Any], shop: Path) -> None:
    """The gain is the difference of the means, and bench versus reads the same from the scores."""
    raw, attributes, _ = result["rows"]
    assert "gain" not in raw
    difference = attributes["map10"]["mean"] - raw["map10"]["mean"]
    assert attributes["gain"]["mean"] == pytest.approx(difference)
    assert attributes["relative_gain"] == pytest.approx(difference / raw["map10"]["mean"])
    assert attributes["gain"]["low"] <= difference <= attributes["gain"]["high"]
    assert attributes["gain"]["queries"] == 24
    assert 12 <= result["distinct_queries"] < 24
    assert read_trials(scores_path(shop / "models.json")).complete
    first, second = (
        parse_side(f"{shop / 'models.json'}:{row}") for row in ("raw.onnx", "attributes.onnx")
    )
    assert compare(first, second)["gain"]["mean"] == pytest.approx(difference, abs=1e-4)


def measure_embeddings(
    shop: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch, rows: NDArray[np.float32]
) -> dict[str, Any]:
    """Return the row of a model that gives the test images these embeddings."""

    def encode(*_: object) -> Encoding:
        return Encoding(embeddings=rows, attributes=None)

    monkeypatch.setattr(models_module, "_encode", encode)
    plan = dataclasses.replace(PLAN, attributes=("type",), groups=4, per_group=4, seeds=5)
    result = measure_models(
        shop / "split.csv",
        images=catalogue / "images",
        models=[shop / "raw.onnx"],
        plan=plan,
    )
    assert result["chance_map10"] == 100 * chance_map_at_k(16)
    return dict(result["rows"][0])


def test_perfect_and_random_embeddings(
    shop: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings of the relevance itself put all that is relevant first; random ones are chance."""
    table = read_labels(shop / "split.csv", images=catalogue / "images", attributes=("type",))
    test = [row for row, part in enumerate(table.split or ()) if part == "test"]
    same_type = np.eye(len(table.attributes[0].values), dtype=np.float32)[table.codes[test, 0]]
    perfect = measure_embeddings(shop, catalogue, monkeypatch, same_type)
    assert perfect["trec_map"]["mean"] == pytest.approx(1)
    assert perfect["agreement10"]["type"] == pytest.approx(3 / 10)
    rng = np.random.default_rng(0)
    found = [
        measure_embeddings(
            shop, catalogue, monkeypatch, rng.normal(size=(48, 8)).astype(np.float32)
        )["map10"]["mean"]
        for _ in range(8)
    ]
    assert np.mean(found) == pytest.approx(100 * chance_map_at_k(16), rel=0.1)
    assert perfect["map10"]["mean"] > 1.2 * np.mean(found)


def test_a_value_that_the_model_does_not_know_is_wrong(shop: Path, catalogue: Path) -> None:
    """Values are matched by their text, whatever their order; one that is not there is wrong."""
    table = read_labels(shop / "split.csv", images=catalogue / "images", attributes=("type",))
    values = table.attributes[0].values
    schema = [
        Attribute(name="of another table", values=("x", "y")),
        Attribute(name="type", values=tuple(reversed(values[1:]))),
    ]
    test = np.arange(32, 80)
    codes: list[int] = table.codes[test, 0].tolist()
    truth = [values[code] for code in codes]
    posteriors = np.zeros((48, 2 + len(values) - 1), np.float32)
    for row, value in enumerate(truth):
        known = value in schema[1].values
        # A model that is right wherever it can be, and unsure of every other image.
        posteriors[row, 2 + (schema[1].values.index(value) if known else 0)] = 0.9 - 0.5 * (row % 2)
    found = judge_predictions(schema, posteriors, table, test=test, train=np.arange(0))
    assert list(found) == ["type"]
    unknown = truth.count(values[0])
    assert unknown > 0
    judged = found["type"]
    assert (judged["images"], judged["not_known"]) == (48, unknown)
    assert judged["accuracy"] == pytest.approx(1 - unknown / 48)
    assert (judged["shown"], judged["majority"]) == (0.5, None)
    assert judged["shown_accuracy"] == pytest.approx(
        sum(value != values[0] for value in truth[::2]) / 24
    )
    nobody = np.zeros_like(posteriors)
    assert (
        judge_predictions(schema, nobody, table, test=test, train=test)["type"]["shown_accuracy"]
        is None
    )


def refusal(shop: Path, catalogue: Path, models: Sequence[Path], **changes: Any) -> str:
    """Return what measuring is refused with."""
    with pytest.raises(UsageError) as refused:
        measure_models(
            shop / "split.csv",
            images=catalogue / "images",
            models=models,
            plan=dataclasses.replace(PLAN, **changes),
        )
    return str(refused.value)


def test_what_cannot_be_measured_is_refused(shop: Path, catalogue: Path, tmp_path: Path) -> None:
    """Too few groups, a wrong column, no split, no model: each is one line that says what to do."""
    raw = shop / "raw.onnx"
    assert "in the test part only" in refusal(shop, catalogue, [raw], groups=40)
    assert "groups have 3 images" in refusal(shop, catalogue, [raw], groups=40)
    assert "did you mean name" in refusal(shop, catalogue, [raw], name_column="nam")
    assert "names the images" in refusal(shop, catalogue, [raw], name_column="file_name")
    assert "each of them once" in refusal(shop, catalogue, [raw, shop / "run" / ".." / "raw.onnx"])
    assert "each of them once" in refusal(shop, catalogue, [])
    assert "at least one group" in refusal(shop, catalogue, [raw], per_group=1)
    with pytest.raises(LabelTableError, match="boost-edge bench split"):
        measure_models(
            catalogue / "labels.csv", images=catalogue / "images", models=[raw], plan=PLAN
        )
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="is not an ONNX model"):
        measure_models(
            shop / "split.csv",
            images=catalogue / "images",
            models=[raw, tmp_path / "no.onnx"],
            plan=PLAN,
        )


def arguments(shop: Path, catalogue: Path) -> list[str]:
    """Return a command line that measures two files."""
    return [
        "bench", "models", str(shop / "split.csv"), "--images", str(catalogue / "images"),
        "--model", str(shop / "raw.onnx"), "--model", str(DRAWN), "--name-column", "name",
        "--attributes", "type,sleeve", "--groups", "4", "--per-group", "3", "--seeds", "2",
    ]  # fmt: skip


def test_the_command(
    shop: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON, file and table hold the same figures; a model of another table is warned of."""
    out = tmp_path / "models.json"
    assert run([*arguments(shop, catalogue), "--json", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert said == json.loads(out.read_text())
    assert printed.err.count("\n") == 1
    assert "garments-drawn.onnx: was trained on another table" in printed.err
    assert run(arguments(shop, catalogue)) == 0
    text = capsys.readouterr().out
    for row in said["rows"]:
        assert f"{row['map10']['mean']:.2f}" in text
    assert f"{said['rows'][1]['attributes']['type']['shown_accuracy']:.1%}" in text
    assert run([*arguments(shop, catalogue), "--unlike", str(catalogue / "images")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (header,) = [line for line in lines if "of them right" in line]
    assert header.endswith("p >= 0.5: images")
    command = arguments(shop, catalogue)
    command[2] = str(catalogue / "labels.csv")
    assert run(command) == 2
    assert "boost-edge bench split" in capsys.readouterr().err


def test_models_of_one_name_are_told_apart(shop: Path, catalogue: Path, tmp_path: Path) -> None:
    """Files that are called alike in two folders are two rows, called by their paths."""
    (tmp_path / "raw.onnx").write_bytes((shop / "raw.onnx").read_bytes())
    models = [shop / "raw.onnx", tmp_path / "raw.onnx"]
    result = measure_models(
        shop / "split.csv",
        images=catalogue / "images",
        models=models,
        plan=dataclasses.replace(PLAN, seeds=1),
    )
    assert [row["model"] for row in result["rows"]] == [path.as_posix() for path in models]
    assert result["rows"][1]["gain"]["mean"] == 0


def test_it_needs_no_torch(shop: Path, catalogue: Path) -> None:
    """The command runs where torch and onnx cannot be imported."""
    program = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnx", "safetensors"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from boost_edge.cli.main import run
sys.exit(run({arguments(shop, catalogue)!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "garments-drawn.onnx" in done.stdout
