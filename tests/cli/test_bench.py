"""``boost-edge bench``: its plans, what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from boost_edge.bench import quality as quality_module
from boost_edge.bench.quality import QualityPlan

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def agreement(catalogue: Path, shop: Path) -> tuple[object, ...]:
    """Return the arguments of ``bench agreement`` on the shop, all but the attribute."""
    return (
        "bench", "agreement", catalogue / "labels.csv", "--images", catalogue / "images",
        "--run", shop / "run", "--gallery", shop / "gallery",
    )  # fmt: skip


def test_agreement(agreement: tuple[object, ...], call: Call, tmp_path: Path) -> None:
    """The table has a row per gallery; the JSON and the file hold the same."""
    out = tmp_path / "results" / "agreement.json"
    search = (*agreement, "--attribute", "colour", "--queries", 8)
    done = call(*search, "--json", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said == json.loads(out.read_text())
    assert said["kind"] == "agreement"
    [row] = said["rows"]
    assert row["images"] == 80
    text = call(*search).stdout
    assert "share of the 10 best hits with the query's colour, 8 queries" in text
    assert f"{row['agreement']:.1%}" in text


def test_agreement_needs_images_that_were_not_trained_on(
    agreement: tuple[object, ...], refused: Refused
) -> None:
    """More queries than held-out images is wrong usage, and the line says how many there are."""
    line = refused(2, *agreement, "--attribute", "colour")
    assert "only 8 labelled images took no part in the training" in line


def test_agreement_of_what_is_not_there(
    agreement: tuple[object, ...], refused: Refused, call: Call, tmp_path: Path
) -> None:
    """An unknown attribute, a missing gallery and a folder that is no run are named."""
    assert "has no column color" in refused(2, *agreement, "--attribute", "color")
    gone = (*agreement, "--attribute", "colour", "--queries", 8, "--gallery", tmp_path / "gone")
    assert "there is no gallery here" in refused(2, *gone)
    other = (*agreement, "--attribute", "colour", "--run", tmp_path)
    assert "not a training run" in refused(4, *other)
    assert call(*agreement, "--attribute", "colour", "--run", tmp_path / "gone").returncode == 2


def test_a_result_that_cannot_be_written_is_still_printed(
    agreement: tuple[object, ...], call: Call, tmp_path: Path
) -> None:
    """The measurement is on stdout before its file is written: hours are not lost."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "result.json"
    done = call(*agreement, "--attribute", "colour", "--queries", 8, "--out", out)
    assert done.returncode == 1
    assert "share of the 10 best hits" in done.stdout
    assert done.stderr.startswith(f"boost-edge: {out}: cannot be written")


def test_quality_measures_what_was_asked(
    catalogue: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options become the plan, in the order of the readouts; the result becomes a table."""
    asked: list[QualityPlan] = []

    def measure(labels: Path, *, images: Path, plan: QualityPlan, **_: Any) -> dict[str, Any]:
        asked.append(plan)
        assert (labels, images) == (catalogue / "labels.csv", catalogue / "images")
        raw = {"resize": "squash", "recipe": "none", "readout": "raw", "dimensions": 64}
        return {
            "backbone": "resnet18",
            "taps": ["layer2", "layer3"],
            "image_size": 64,
            "weights": {"name": "none"},
            "seeds": 1,
            "chance_map10": 3.0,
            "rows": [
                {**raw, "map10": 10.0, "map10_std": None},
                {**raw, "recipe": "paper", "readout": "blend", "map10": 15.0, "map10_std": 0.5,
                 "relative_gain": 0.5, "gain": {"low": 4.0, "high": 6.0}},
            ],
        }  # fmt: skip

    monkeypatch.setattr(quality_module, "measure_quality", measure)
    monkeypatch.setenv("COLUMNS", "80")
    done = call(
        "bench", "quality", catalogue / "labels.csv", "--images", catalogue / "images",
        "--weights", "none", "--tap", "layer2+layer3", "--image-size", 64, "--seeds", 1,
        "--readout", "blend,raw", "--recipe", "paper", "--resize", "crop,squash",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    [plan] = asked
    assert plan.taps == ("layer2", "layer3")
    assert (plan.backbone, plan.weights, plan.image_size, plan.seeds) == ("resnet18", "none", 64, 1)
    assert (plan.readouts, plan.recipes) == (("raw", "blend"), ("paper",))
    assert plan.resizes == ("squash", "crop")
    lines = done.stdout.splitlines()
    assert lines[-1].split() == [
        "squash", "paper", "blend", "64", "15.00", "0.50", "+50%", "+4.00", "to", "+6.00",
    ]  # fmt: skip
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--readout", "raw,none"), "--readout: 'none' is not one of raw, hidden"),
        (("--recipe", "ours"), "--recipe: 'ours' is not one of paper, boost"),
        (("--resize", "stretch"), "--resize: 'stretch' is not one of squash, crop, letterbox"),
        (("--tap", "layer9"), "resnet18 has no tap 'layer9'"),
        ((), "has no column gender"),
    ],
)
def test_quality_of_what_is_not_there(
    options: tuple[str, ...], said: str, catalogue: Path, refused: Refused
) -> None:
    """Names that do not exist, and a table without the data set's columns, are wrong usage."""
    labels, images = catalogue / "labels.csv", catalogue / "images"
    line = refused(2, "bench", "quality", labels, "--images", images, *options)
    assert said in line


def test_search_is_measured(call: Call, tmp_path: Path) -> None:
    """The table has a row per engine and filter; the JSON and the file hold the same."""
    out = tmp_path / "search.json"
    arguments = (
        "bench", "search", "--rows", 400, "--dimensions", 16, "--queries", 20, "--no-crossover",
        "--engines", "ours,usearch-f32", "--work", tmp_path / "work", "--threads", 1,
    )  # fmt: skip
    done = call(*arguments, "--json", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said == json.loads(out.read_text())
    assert [each["engine"] for each in said["engines"]] == ["ours", "usearch-f32"]
    text = call(*arguments).stdout
    assert "400 clustered vectors of 16, 20 queries, 1 thread, at recall@10 0.99" in text
    assert "1 in 10,000  by cluster" in text


def test_search_of_another_plan(call: Call, refused: Refused, tmp_path: Path) -> None:
    """A work folder of other vectors is refused, and so is an engine that is none."""
    arguments = ("bench", "search", "--work", tmp_path / "work", "--rows", 400)
    assert "'annoy' is not one of ours" in refused(2, *arguments, "--engines", "annoy")
    small = ("--dimensions", 16, "--queries", 20, "--no-crossover", "--engines", "usearch-f32")
    assert call(*arguments, *small).returncode == 0
    assert "another data" in refused(2, *arguments, *small, "--seed", 9)
