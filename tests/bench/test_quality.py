"""The paper's protocol run on drawings: every row, its repeatability, and its gain."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import pytest

from boost_edge.bench.quality import QualityPlan, measure_quality
from boost_edge.bench.relevance import Protocol
from boost_edge.runtime.errors import UsageError

PLAN = QualityPlan(
    backbone="squeezenet1_1",
    weights="none",
    taps=("features.4",),
    image_size=32,
    resizes=("squash", "letterbox"),
    recipes=("boost",),
    readouts=("raw", "hidden", "attributes"),
    seeds=2,
    attributes=("type", "background"),
    name_column="name",
    protocol=Protocol(groups=8, per_group=2, min_size=2, test=6),
)


@pytest.fixture(scope="module")
def result(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the result of the plan."""
    return measure_quality(
        catalogue / "labels.csv",
        images=catalogue / "images",
        plan=PLAN,
        cache=tmp_path_factory.mktemp("cache"),
    )


def test_every_combination_has_a_row(result: dict[str, Any]) -> None:
    """There is one row per resize policy and readout, each with a value per seed."""
    rows = [(row["resize"], row["recipe"], row["readout"]) for row in result["rows"]]
    assert sorted(rows) == sorted(
        (resize, recipe, readout)
        for resize in PLAN.resizes
        for recipe, readout in (("none", "raw"), ("boost", "hidden"), ("boost", "attributes"))
    )
    for row in result["rows"]:
        values: list[float] = row["map10_by_seed"]
        assert len(values) == PLAN.seeds
        assert row["map10"] == pytest.approx(statistics.mean(values))
        assert row["map10_std"] == pytest.approx(statistics.stdev(values))
        assert 0 <= row["map10"] <= 100
        assert set(row["agreement10"]) == set(PLAN.attributes)


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


def test_result_can_be_traced_and_repeated(
    result: dict[str, Any], catalogue: Path, tmp_path: Path
) -> None:
    """The same plan gives the same rows; labels, weights and machine are named."""
    again = measure_quality(
        catalogue / "labels.csv", images=catalogue / "images", plan=PLAN, cache=tmp_path
    )
    assert again["rows"] == result["rows"]
    assert result["weights"]["name"] == "none"
    assert len(result["labels_sha256"]) == 64
    assert result["machine"]["cores"] >= 1


def test_too_few_groups_are_refused(catalogue: Path) -> None:
    """A data set without enough groups, or without the name column, is refused by name."""
    plan = dataclasses.replace(PLAN, protocol=Protocol(groups=500, per_group=2, min_size=2, test=6))
    with pytest.raises(UsageError, match="groups have"):
        measure_quality(catalogue / "labels.csv", images=catalogue / "images", plan=plan)
    plan = dataclasses.replace(PLAN, name_column="title")
    with pytest.raises(UsageError, match="no column title"):
        measure_quality(catalogue / "labels.csv", images=catalogue / "images", plan=plan)
