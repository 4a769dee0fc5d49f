"""``bench latency``, ``cost`` and ``compare`` from the command line: one file leads to the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

TINY = (
    "--backbones", "none", "--runtimes", "onnxruntime", "--threads", "1", "--batches", "1,2",
    "--gallery-images", 5, "--blocks", 2, "--samples", 2, "--cold-starts", 0,
    "--scenarios", "single-stream", "--scenario-seconds", 0.01,
)  # fmt: skip


@pytest.fixture
def measured(shop: Path, call: Call, tmp_path: Path) -> Path:
    """Return the file of a tiny measurement of the shop's model."""
    out = tmp_path / "latency.json"
    done = call("bench", "latency", "--model", shop / "model.onnx", *TINY, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "model.onnx" in done.stdout
    assert "no MLPerf result" in done.stdout
    return out


def test_from_latency_to_cost_and_comparison(
    measured: Path, call: Call, refused: Refused, tmp_path: Path
) -> None:
    """The file of one command is what the next one reads, and a gate that is crossed is code 5."""
    cost = ("bench", "cost", measured, "--against", "model.onnx", "--price-per-hour", 0.5)
    said = json.loads(call(*cost, "--json", "--out", tmp_path / "cost.json").stdout)
    assert said == json.loads((tmp_path / "cost.json").read_text())
    assert said["price"] == {"name": "given", "usd_per_hour": 0.5}
    [row] = said["rows"]
    assert row["times_cheaper_queries"] == 1.0
    assert row["break_even_queries"] is None
    text = call(*cost).stdout
    assert "never" in text
    assert "(assumed)" in text
    listed = call("bench", "cost", measured, "--against", "model.onnx").stdout
    assert "aws-c7i.large at $0.08925 an hour (list price of" in listed

    same = call("bench", "compare", measured, measured, "--max-slowdown", 1)
    assert (same.returncode, same.stderr) == (0, "")
    assert "CROSSED" not in same.stdout
    slower = json.loads(measured.read_text())
    for each in slower["rows"]:
        each["p50_ms"] = 3 * each["p50_ms"] + 1
    (tmp_path / "slower.json").write_text(json.dumps(slower))
    done = call("bench", "compare", measured, tmp_path / "slower.json")
    assert done.returncode == 5
    assert done.stdout.count("CROSSED") == len(slower["rows"])
    assert done.stderr.count("\n") == 1
    assert "slower.json: model.onnx onnxruntime 1 infer 1 (p50_ms) and " in done.stderr
    assert call("bench", "compare", tmp_path / "slower.json", measured).returncode == 0
    line = refused(2, "bench", "compare", measured, tmp_path / "cost.json")
    assert "bench latency and one of bench cost" in line


def test_what_makes_no_sense(measured: Path, shop: Path, refused: Refused, tmp_path: Path) -> None:
    """Wrong names, numbers, files and mixed prices are wrong usage, before anything is timed."""
    model = ("--model", shop / "model.onnx")
    latency = ("bench", "latency", *model, *TINY)
    assert "'many' is no number" in refused(2, *latency, "--threads", "many")
    assert "batch 1" in refused(2, *latency, "--batches", "8")
    assert "'tvm' is not one of onnxruntime" in refused(2, *latency, "--runtimes", "tvm")
    assert "reference 'x'" in refused(2, *latency, "--reference", "x")
    assert "nothing to time" in refused(2, "bench", "latency", "--backbones", "none")
    assert "'resnet7' is not one" in refused(2, "bench", "latency", "--backbones", "resnet7")
    cost = ("bench", "cost", measured)
    assert "every system has a boost head" in refused(2, *cost)
    assert "'z80' is not one of" in refused(2, *cost, "--machine", "z80")
    both = ("--price-per-hour", 1, "--machine", "aws-c7i.large")
    assert "goes without" in refused(2, *cost, *both)
    assert "not in the range x>0" in refused(2, *cost, "--price-per-hour", 0)
    assert "cannot be read" in refused(2, "bench", "cost", tmp_path / "gone.json")
    (tmp_path / "other.json").write_text('{"kind": "quality", "format_version": 1}')
    assert "of bench quality" in refused(2, "bench", "cost", tmp_path / "other.json")
