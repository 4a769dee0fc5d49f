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
from boost_edge.bench.relevance import Protocol
from boost_edge.runtime.errors import WeightsError

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
        "--attributes", "type,colour", "--groups", 7, "--per-group", 3, "--test", 9,
        "--note", "not torchvision's",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    [plan] = asked
    setup = plan.setup
    assert plan.note == "not torchvision's"
    assert setup.taps == ("layer2", "layer3")
    assert (setup.backbone, setup.weights, setup.image_size) == ("resnet18", "none", 64)
    assert (setup.seeds, setup.attributes, setup.name_column) == (1, ("type", "colour"), None)
    assert setup.protocol == Protocol(groups=7, per_group=3, min_size=3, test=9)
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
        (("--recipe", "ours"), "--recipe: 'ours' is not one of boost, paper, finetuned"),
        (("--resize", "stretch"), "--resize: 'stretch' is not one of squash, crop, letterbox"),
        (("--tap", "layer9"), "resnet18 has no tap 'layer9'"),
        (("--attributes", "gender"), "has no column gender"),
        (("--name-column", "title"), "has no column title, whose words grade hits"),
        ((), "only 0 groups have 40 images with equal attributes, but 100 are wanted"),
    ],
)
def test_quality_of_what_is_not_there(
    options: tuple[str, ...], said: str, catalogue: Path, refused: Refused
) -> None:
    """Names that do not exist, and a table without the data set's columns, are wrong usage."""
    labels, images = catalogue / "labels.csv", catalogue / "images"
    line = refused(2, "bench", "quality", labels, "--images", images, "--weights", "none", *options)
    assert said in line


def test_search_is_measured(call: Call, tmp_path: Path) -> None:
    """The table has a row per engine and filter; the JSON and the file hold the same."""
    out = tmp_path / "search.json"
    arguments = (
        "bench", "search", "--rows", 400, "--dimensions", 16, "--queries", 20,
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


def test_a_scan_and_the_graph_are_compared(call: Call, tmp_path: Path) -> None:
    """The table has a row per width and size; the JSON and the file hold the same."""
    out = tmp_path / "crossover.json"
    arguments = (
        "bench", "crossover", "--dimensions", "16,25", "--megabytes", 1, "--queries", 4,
        "--starts", 1,
    )  # fmt: skip
    done = call(*arguments, "--json", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said == json.loads(out.read_text())
    assert [(each["dimensions"], each["rows"]) for each in said["points"]] == [
        (16, 15_625),
        (25, 10_000),
    ]
    header, *rows = call(*arguments).stdout.splitlines()[-3:]
    assert "1 in 4 pass" in header
    assert [row.split()[:3] for row in rows] == [["1", "16", "15,625"], ["1", "25", "10,000"]]


def test_search_of_another_plan(call: Call, refused: Refused, tmp_path: Path) -> None:
    """A work folder of other vectors is refused, and so is an engine that is none."""
    arguments = ("bench", "search", "--work", tmp_path / "work", "--rows", 400)
    assert "'annoy' is not one of ours" in refused(2, *arguments, "--engines", "annoy")
    small = ("--dimensions", 16, "--queries", 20, "--engines", "usearch-f32")
    assert call(*arguments, *small).returncode == 0
    assert "another data" in refused(2, *arguments, *small, "--seed", 9)


def test_quality_without_weights_says_so(
    catalogue: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ImageNet weights that cannot be fetched are said to be missing; that is no failure."""
    from boost_edge.models import weights

    def absent(_: object) -> None:
        raise WeightsError("cannot fetch resnet18.pth: put it in a folder")

    monkeypatch.setattr(weights, "imagenet_checkpoint", absent)
    done = call("bench", "quality", catalogue / "labels.csv", "--images", catalogue / "images")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("resnet18: not measured: cannot fetch resnet18.pth")


@pytest.fixture
def small(catalogue: Path) -> tuple[object, ...]:
    """Return arguments that make every measurement small."""
    return (
        catalogue / "labels.csv", "--images", catalogue / "images", "--backbone", "squeezenet1_1",
        "--weights", "none", "--tap", "features.4", "--image-size", 32, "--attributes",
        "type,background", "--name-column", "name", "--groups", 12, "--per-group", 3, "--test", 12,
        "--seeds", 1,
    )  # fmt: skip


def test_from_quality_to_the_curve(small: tuple[object, ...], call: Call, tmp_path: Path) -> None:
    """Quality's file is compared with itself by versus, and is a baseline of the curve."""
    out = tmp_path / "quality.json"
    done = call(
        "bench", "quality", *small, "--recipe", "boost", "--readout", "raw,hidden", "--out", out
    )
    assert (done.returncode, done.stderr) == (0, "")
    raw, hidden = json.loads(out.read_text())["rows"]
    done = call("bench", "versus", f"{out}:raw", f"{out}:hidden")
    assert f"12 queries: {hidden['gain']['mean']:+.2f}" in done.stdout
    assert f"{raw['map10']:.2f}" in done.stdout
    said = json.loads(call("bench", "versus", f"{out}:raw", f"{out}:hidden", "--json").stdout)
    assert said["gain"]["mean"] == pytest.approx(hidden["gain"]["mean"])
    done = call(
        "bench", "curve", *small, "--counts", "24,12", "--noise", "0.5", "--readout", "hidden",
        "--baseline", f"{out}:raw",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "hidden passes quality.json:crop/none/raw" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if "  hidden" in line] == [
        "12", "24", "50%",
    ]  # fmt: skip


def test_honesty_and_ablation_are_printed(small: tuple[object, ...], call: Call) -> None:
    """Each prints a row per test or variant, in text and as JSON."""
    done = call("bench", "honesty", *small, "--readout", "raw,attributes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "copies:flip" in done.stdout
    assert "without:background" in done.stdout
    done = call(
        "bench", "ablate", *small, "--factors", "calibration", "--taps", "features.4+features.7",
        "--image-sizes", 48, "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert [(row["factor"], row["value"]) for row in result["rows"][::4]] == [
        ("recipe", "as it is"), ("calibration", "off"), ("tap", "features.4+features.7"),
        ("image_size", "48"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("curve", ("--counts", "many"), "--counts and --noise take numbers"),
        ("curve", ("--baseline", "raw"), "write FILE.json:ROW"),
        ("ablate", ("--factors", "luck"), "--factors: 'luck' is not one of width"),
        ("ablate", ("--image-sizes", "big"), "'big' is not a whole number from 1"),
        ("honesty", ("--recipe", "ours"), "--recipe: 'ours' is not one of boost, paper, finetuned"),
    ],
)
def test_measurements_that_make_no_sense(
    verb: str, options: tuple[str, ...], said: str, small: tuple[object, ...], refused: Refused
) -> None:
    """Values that do not exist are wrong usage, named with their option."""
    assert said in refused(2, "bench", verb, *small, *options)


def test_versus_of_what_is_not_there(refused: Refused, tmp_path: Path) -> None:
    """A result without scores beside it is named."""
    side = f"{tmp_path / 'gone.json'}:raw"
    assert "gone.scores.npz: there is no such file" in refused(4, "bench", "versus", side, side)
