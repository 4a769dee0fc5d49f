"""The protocol run on drawings: its rows, their gains, repeated and interrupted."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boost_edge.bench import quality as quality_module
from boost_edge.bench.metrics import nearest_others
from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.quality import QualityPlan, measure_quality
from boost_edge.bench.relevance import Protocol
from boost_edge.bench.subject import Setup, Subject
from boost_edge.bench.trials import read_trials, scores_path
from boost_edge.models.backbones import head_taps
from boost_edge.runtime.errors import UsageError, WeightsError

Make = Callable[[Setup], Subject]


@pytest.fixture(scope="module")
def plan(setup: Setup) -> QualityPlan:
    """Return a small plan."""
    return QualityPlan(
        setup=setup,
        resizes=("squash", "letterbox"),
        recipes=("boost",),
        readouts=("raw", "hidden", "attributes"),
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the result would be written."""
    return tmp_path_factory.mktemp("results") / "small.json"


@pytest.fixture(scope="module")
def result(on_catalogue: dict[str, Any], plan: QualityPlan, out: Path) -> dict[str, Any]:
    """Return the result of the plan."""
    return measure_quality(plan=plan, out=out, **on_catalogue)


def test_every_combination_has_a_row(result: dict[str, Any], plan: QualityPlan) -> None:
    """There is one row per resize policy and readout, each with a value per seed."""
    rows = [(row["resize"], row["recipe"], row["readout"]) for row in result["rows"]]
    assert rows == [
        (resize, recipe, readout)
        for resize in plan.resizes
        for recipe, readout in (("none", "raw"), ("boost", "hidden"), ("boost", "attributes"))
    ]
    for row in result["rows"]:
        values: list[float] = row["map10_by_seed"]
        assert len(values) == plan.setup.seeds
        assert row["map10"] == pytest.approx(statistics.mean(values))
        assert row["map10_std"] == pytest.approx(statistics.stdev(values))
        assert 0 <= row["map10"] <= 100
        assert set(row["agreement10"]) == {"type", "background"}
        assert row["bytes_per_image"] == 4 * row["dimensions"]
        for metric in ("trec_map", "p10", "ndcg10"):
            assert 0 <= row[metric]["mean"] <= 1
            assert len(row[metric]["by_seed"]) == plan.setup.seeds


def test_gain_is_the_difference_to_raw(result: dict[str, Any]) -> None:
    """A gain is the mean difference to the raw row of the same resize policy."""
    raw = {row["resize"]: row["map10"] for row in result["rows"] if row["readout"] == "raw"}
    for row in result["rows"]:
        if row["readout"] == "raw":
            assert "gain" not in row
        else:
            gain = row["gain"]
            assert gain["mean"] == pytest.approx(row["map10"] - raw[row["resize"]])
            assert gain["low"] <= gain["mean"] <= gain["high"]
            assert row["relative_gain"] == pytest.approx(gain["mean"] / raw[row["resize"]])
            assert set(row["gains"]) == {"trec_map", "p10", "ndcg10"}
            [base] = [
                each
                for each in result["rows"]
                if (each["resize"], each["readout"]) == (row["resize"], "raw")
            ]
            assert gain["by_seed"] == pytest.approx(
                np.subtract(row["map10_by_seed"], base["map10_by_seed"]).tolist()
            )


def test_attributes_are_predicted(result: dict[str, Any]) -> None:
    """Rows of a head say how often it is right and how far off its confidence is."""
    for row in result["rows"]:
        if row["readout"] == "raw":
            assert "attributes" not in row
            continue
        assert set(row["attributes"]) == {"type", "background"}
        for values in row["attributes"].values():
            assert 0 <= values["accuracy"]["mean"] <= 1
            assert 0 <= values["calibration_error"]["mean"] <= 1


def test_result_can_be_traced_and_repeated(
    result: dict[str, Any], on_catalogue: dict[str, Any], plan: QualityPlan, tmp_path: Path
) -> None:
    """The same plan gives the same rows, with any cache; labels, weights and machine are named."""
    arguments: dict[str, Any] = {**on_catalogue, "cache": tmp_path}
    again = measure_quality(plan=plan, **arguments)
    assert again["rows"] == result["rows"]
    assert again["samples"] == result["samples"]
    assert result["weights"]["name"] == "none"
    assert len(result["labels_sha256"]) == 64
    assert result["machine"]["cores"] >= 1
    assert result["images"] == {"fitted": 24, "test": 12}
    json.dumps(result, allow_nan=False)


def test_scores_of_every_query_are_kept(
    result: dict[str, Any], plan: QualityPlan, out: Path
) -> None:
    """Beside the result lies each query's score, whose means are the result's."""
    trials = read_trials(scores_path(out))
    assert trials.complete
    assert [trial.sample for trial in trials.seeds] == result["samples"]
    for row in result["rows"]:
        name = f"{row['resize']}/{row['recipe']}/{row['readout']}"
        means = [float(values.mean()) for values in trials.values(name, "map10")]
        assert means == pytest.approx(row["map10_by_seed"], rel=1e-6)
        assert all(len(values) == 12 for values in trials.values(name, "ndcg10"))
    assert len(trials.seeds) == plan.setup.seeds


def test_an_interrupted_measurement_goes_on(
    result: dict[str, Any],
    on_catalogue: dict[str, Any],
    plan: QualityPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a stop at the second seed, only that one is measured, and the result is the same."""
    measured: list[int] = []
    whole = quality_module._measure_seed  # pyright: ignore[reportPrivateUsage]  # the seam

    def stop_once(subject: Subject, plan: QualityPlan, seed: int) -> Any:
        measured.append(seed)
        if measured == [0, 1]:
            raise KeyboardInterrupt
        return whole(subject, plan, seed)

    monkeypatch.setattr(quality_module, "_measure_seed", stop_once)
    out = tmp_path / "stopped.json"
    with pytest.raises(KeyboardInterrupt):
        measure_quality(plan=plan, out=out, **on_catalogue)
    assert not read_trials(scores_path(out)).complete
    again = measure_quality(plan=plan, out=out, **on_catalogue)
    assert measured == [0, 1, 1]
    assert _rounded(again["rows"]) == _rounded(result["rows"])
    # Another plan has nothing to go on from, nor has a measurement that is complete.
    measure_quality(plan=dataclasses.replace(plan, resizes=("squash",)), out=out, **on_catalogue)
    measure_quality(plan=dataclasses.replace(plan, resizes=("squash",)), out=out, **on_catalogue)
    assert measured == [0, 1, 1, 0, 1, 0, 1]


def _rounded(value: Any) -> Any:
    """Return a structure with its numbers rounded: scores are kept in float32."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_rounded(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def test_too_few_groups_are_refused(on_catalogue: dict[str, Any], plan: QualityPlan) -> None:
    """A data set without enough groups, or without the name column, is refused by name."""
    many = Protocol(groups=500, per_group=2, min_size=2, test=6)
    for change, said in (
        ({"protocol": many}, "groups have"),
        ({"name_column": "title"}, "no column title"),
    ):
        setup = dataclasses.replace(plan.setup, **change)
        with pytest.raises(UsageError, match=said):
            measure_quality(plan=dataclasses.replace(plan, setup=setup), **on_catalogue)


def test_the_order_of_the_table_does_not_matter(
    setup: Setup, subject: Make, catalogue: Path, feature_cache: Path, tmp_path: Path
) -> None:
    """Shuffled rows draw the same images in the same order."""
    with (catalogue / "labels.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    random.Random(3).shuffle(rows)  # noqa: S311 - no secret
    shuffled = tmp_path / "shuffled.csv"
    with shuffled.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    other = Subject(shuffled, images=catalogue / "images", setup=setup, cache=feature_cache)
    ours = subject(setup)
    for seed in range(3):
        first, second = ours.draw(seed), other.draw(seed)
        assert ours.sample_digest(first) == other.sample_digest(second)
        for part in ("train", "val", "test"):
            mine: list[int] = getattr(first, part).tolist()
            theirs: list[int] = getattr(second, part).tolist()
            assert [ours.table.names[row] for row in mine] == [
                other.table.names[row] for row in theirs
            ]
        parts = np.concatenate([first.train, first.val, first.test])
        assert len(set(parts.tolist())) == len(parts) == 36


def test_a_split_column_is_used(
    plan: QualityPlan, catalogue: Path, feature_cache: Path, tmp_path: Path
) -> None:
    """The table's own test part is searched, and seeds change the head alone."""
    with (catalogue / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for place, row in enumerate(rows):
        row["split"] = ("train", "train", "val", "test")[place % 4]
    labels = tmp_path / "split.csv"
    with labels.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    small = dataclasses.replace(plan, resizes=("squash",))
    result = measure_quality(labels, images=catalogue / "images", plan=small, cache=feature_cache)
    assert result["split"] == "column"
    assert result["protocol"] is None
    assert result["images"] == {"fitted": 60, "test": 20}
    assert len(set(result["samples"])) == 1
    raw, hidden, _ = result["rows"]
    assert raw["map10_std"] == 0
    assert len(set(hidden["map10_by_seed"])) == 2
    # Seeds share their queries, so they are averaged before the bootstrap.
    assert hidden["gain"]["queries"] == 20


def test_without_names_all_that_agrees_is_relevant(setup: Setup, subject: Make) -> None:
    """Relevance is 1 where all attributes agree, else 0."""
    found = subject(dataclasses.replace(setup, name_column=None))
    rows = found.draw(0).test
    codes = found.table.codes[rows]
    agree = (codes[:, None] == codes[None]).all(axis=2) & ~np.eye(len(rows), dtype=bool)
    np.testing.assert_array_equal(found.relevance(rows), agree.astype(np.float32))


def test_pca_is_fitted_to_each_seed(
    plan: QualityPlan, setup: Setup, on_catalogue: dict[str, Any]
) -> None:
    """PCA has no weights to load: each seed fits it to its own training images."""
    pca = dataclasses.replace(setup, backbone="pca", taps=("pca8",), image_size=16)
    small = dataclasses.replace(plan, setup=pca, resizes=("crop",), readouts=("raw",), note="ours")
    result = measure_quality(plan=small, **on_catalogue)
    assert result["note"] == "ours"
    assert result["image_size"] == 16
    assert (result["weights"]["name"], result["taps"]) == ("pca", ["pca8"])
    [row] = result["rows"]
    assert row["dimensions"] == 8
    assert row["paper"] == {"map10": PAPER_FIGURES["pca"].raw}


def test_weights_that_cannot_be_had_make_a_row_that_says_so(
    plan: QualityPlan, setup: Setup, on_catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network and without the file, rows say why they have no number; the paper's stand.

    A damaged file, and one that is named and absent, stay errors.
    """
    from boost_edge.models import weights

    def absent(_: object) -> None:
        raise WeightsError("cannot fetch resnet18.pth (no network): put it in a folder")

    monkeypatch.setattr(weights, "imagenet_checkpoint", absent)
    resnet = dataclasses.replace(setup, backbone="resnet18", weights="imagenet", taps=None)
    small = dataclasses.replace(plan, setup=resnet, recipes=("paper",))
    result = measure_quality(plan=small, **on_catalogue)
    assert len(result["rows"]) == 6
    # A head as wide as its features is the paper's, which reads the end.
    assert result["taps"] == ["layer4"]
    ours = measure_quality(plan=dataclasses.replace(small, recipes=("boost",)), **on_catalogue)
    assert tuple(ours["taps"]) == head_taps("resnet18", setup.image_size)
    for row in result["rows"]:
        assert row["unavailable"] == "cannot fetch resnet18.pth (no network)"
        assert "map10" not in row
    hidden = result["rows"][1]["paper"]
    assert (hidden["map10"], hidden["same_method"]) == (13.05, True)
    assert hidden["relative_gain"] == pytest.approx(0.262, abs=1e-3)

    def damaged(_: object) -> None:
        raise WeightsError("resnet18.pth is damaged: delete it and try again")

    monkeypatch.setattr(weights, "imagenet_checkpoint", damaged)
    with pytest.raises(WeightsError, match="damaged"):
        measure_quality(plan=small, **on_catalogue)
    named = dataclasses.replace(resnet, weights="gone.pth")
    with pytest.raises(UsageError, match=r"gone\.pth"):
        measure_quality(plan=dataclasses.replace(small, setup=named), **on_catalogue)


def test_raw_alone_looks_at_the_test_part_alone(
    plan: QualityPlan,
    result: dict[str, Any],
    on_catalogue: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow backbone's raw row costs the features of the test rows only, and is the same row."""
    asked: list[int] = []
    whole = Subject.features

    def watch(self: Subject, backbone: Any, rows: Any, *more: Any) -> Any:
        asked.append(len(rows))
        return whole(self, backbone, rows, *more)

    monkeypatch.setattr(Subject, "features", watch)
    raw = dataclasses.replace(plan, readouts=("raw",), resizes=("squash",))
    found = measure_quality(plan=raw, **on_catalogue)
    assert asked == [12, 12]
    assert found["rows"] == [result["rows"][0]]


def test_precision_is_a_count_of_relevant_neighbours(setup: Setup, subject: Make) -> None:
    """P@10 by the library is that of a loop on the queries with anything relevant."""
    from boost_edge.bench.judging import judge_embeddings

    found = subject(setup)
    draw = found.draw(1)
    features = found.features(found.backbone(draw), draw.test)
    relevance = found.relevance(draw.test)
    scores = judge_embeddings(features, relevance)
    known = (relevance > 0).any(axis=1)
    assert known.any()
    assert np.isnan(scores["p10"][~known]).all()
    expected = [
        sum(relevance[query, item] > 0 for item in items) / 10
        for query, items in enumerate(nearest_others(features).tolist())
    ]
    np.testing.assert_allclose(scores["p10"][known], np.array(expected)[known])
