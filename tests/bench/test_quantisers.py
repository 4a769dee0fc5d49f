"""8 bits by onnxruntime's tools beside 8 bits by NNCF: the real ones, on drawn garments."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from boost_edge.bench.catalogue import draw_catalogue
from boost_edge.bench.quantisers import QUANTISERS, QuantisersPlan, measure_quantisers
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import read_run
from boost_edge.export.samples import read_samples
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.encoder import Encoder, read_manifest
from boost_edge.runtime.errors import UsageError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of SqueezeNet that keeps enough held-out images. Read only."""
    folder = tmp_path_factory.mktemp("quantisers")
    draw_catalogue(folder / "garments", count=160, seed=0, size=64)
    train(
        folder / "garments" / "labels.csv",
        images=folder / "garments" / "images",
        out=folder / "run",
        settings=TrainSettings(
            backbone="squeezenet1_1",
            weights="none",
            taps=("features.7",),
            image_size=64,
            readout="hidden",
            recipe=dataclasses.replace(RECIPES["boost"], width=32, epochs=10, combination_images=1),
        ),
        cache=folder / "cache",
    )
    return folder / "run"


@pytest.fixture(scope="module")
def result(run: Path) -> dict[str, Any]:
    """Return a quick measurement, in which the gate lets any loss pass."""
    return measure_quantisers(plan(run))


def plan(run: Path) -> QuantisersPlan:
    """Return the plan of a quick measurement."""
    return QuantisersPlan(run=run, max_loss=100.0, blocks=2, seconds=0.2, most=4)


def test_each_is_judged_and_timed(result: dict[str, Any]) -> None:
    """What is lost is the difference of what is found, and float32 is what ratios refer to."""
    rows = {row["quantiser"]: row for row in result["rows"]}
    assert set(rows) == set(QUANTISERS)
    fp32, nncf = rows["fp32"], rows["nncf"]
    assert fp32["loss"] is None
    assert fp32["runtimes"]["onnxruntime"]["times_faster"]["estimate"] == 1
    assert nncf["loss"]["mean"] == pytest.approx(fp32["map10"] - nncf["map10"])
    assert nncf["loss"]["low"] <= nncf["loss"]["mean"] <= nncf["loss"]["high"]
    assert nncf["bytes"] < 0.6 * fp32["bytes"]
    for row in rows.values():
        # So small a network may be no faster in 8 bits, which the gate refuses.
        if "unavailable" not in row:
            assert all(each["p50_ms"] > 0 for each in row["runtimes"].values())
        else:
            assert row["quantiser"] == "boost-edge"
            assert "int8 is refused" in row["unavailable"]
    json.dumps(result, allow_nan=False)


def test_nncf_makes_a_model_of_ours(run: Path, tmp_path: Path) -> None:
    """Its file opens, has 8-bit layers, says nothing to stdout, and embeds much as float32 does."""
    from boost_edge.bench.quantisers import quantise_with_nncf
    from boost_edge.export.convert import export_model

    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    manifest = export_model(run, fp32)
    samples = read_samples(run, read_run(run), manifest.image)
    quantise_with_nncf(fp32, samples.calibration, int8, reduce_range=True)
    assert read_manifest(int8).precision == "int8"
    kinds = [node.op_type for node in onnx.load(int8).graph.node]
    assert kinds.count("QuantizeLinear") >= kinds.count("Conv") > 10
    with Encoder.open(fp32) as one, Encoder.open(int8) as other:
        cosines = (one.encode(samples.held_out) * other.encode(samples.held_out)).sum(axis=1)
    assert cosines.mean() > 0.9


def test_without_nncf_its_row_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is told with the extra to install; the rest is measured."""
    monkeypatch.setitem(sys.modules, "nncf", None)
    rows = {row["quantiser"]: row for row in measure_quantisers(plan(run))["rows"]}
    assert "boost-edge[bench]" in rows["nncf"]["unavailable"]
    assert rows["fp32"]["map10"] > 0


def test_a_run_without_images_is_refused(run: Path, tmp_path: Path) -> None:
    """A run that keeps too few images to judge with is named."""
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "train.json").read_text(encoding="utf-8"))
    record["samples"] = record["samples"][:1]
    (copy / "train.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UsageError, match="train on more"):
        measure_quantisers(plan(copy))
