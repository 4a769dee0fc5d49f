"""The doctor's own measurement: all stages, of a made or a given gallery, in turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.drawn_model import DRAWN

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import BoostEdgeError, UsageError
from boost_edge.runtime.self_benchmark import IMAGES, Plan, run_self_benchmark
from boost_edge.runtime.synthetic_gallery import fill_gallery

MODEL = str(DRAWN)


def measure(**given: Any) -> dict[str, Any]:
    """Run it for a moment."""
    plan: dict[str, Any] = {"model": MODEL, "gallery": None, "seconds": 0.01, "threads": 2, **given}
    return run_self_benchmark(Plan(**plan))


def test_every_stage_is_measured() -> None:
    """Each stage is called as often as the others, and a p90 is no less than its p50."""
    said = measure()
    stages = [(row["stage"], row["threads"]) for row in said["rows"]]
    assert stages == [("decode", None), ("encode", 1), ("encode", 2), ("search", None)]
    assert len({row["calls"] for row in said["rows"]}) == 1
    assert said["rows"][0]["calls"] >= 3
    assert all(0 < row["p50_ms"] <= row["p90_ms"] for row in said["rows"])
    one, two = (row["p50_ms"] for row in said["rows"][1:3])
    assert said["speedup"] == one / two
    assert (said["backbone"], said["precision"]) == ("squeezenet1_1", "fp32")
    assert said["images"] == IMAGES


def test_one_core_has_one_row() -> None:
    """With one thread there is nothing to compare."""
    said = measure(threads=1)
    assert [row["threads"] for row in said["rows"]] == [None, 1, None]
    assert said["speedup"] is None


def test_a_given_gallery_is_searched_and_left_alone(tmp_path: Path) -> None:
    """Its own model is measured where none is given, and nothing in it is written."""
    folder = tmp_path / "g"
    with Encoder.open(MODEL, threads=1) as encoder:
        fill_gallery(folder, encoder, images=30, seed=1, size=(8, 6))
    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    said = measure(gallery=str(folder), model=None)
    assert said["images"] == 30
    assert (said["model"], len(said["rows"])) == (MODEL, 4)
    after = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    # A reader of SQLite's log may make its files again.
    kept = {name for name in before if not name.endswith(("-wal", "-shm"))}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_no_time_is_no_measurement(tmp_path: Path) -> None:
    """With 0 seconds model and gallery are opened all the same, and faults told."""
    assert measure(seconds=0)["rows"] == []
    assert measure(seconds=0)["speedup"] is None
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(BoostEdgeError, match="not an ONNX model"):
        measure(seconds=0, model=str(tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match="there is no gallery here"):
        measure(seconds=0, gallery=str(tmp_path / "gone"))


def test_there_must_be_something_to_measure() -> None:
    """Neither model nor gallery is an error."""
    with pytest.raises(BoostEdgeError, match="neither a model nor a gallery"):
        measure(model=None)
