"""Labels chosen and drawn by chance, step by step, with the table's labels as the person."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.bench import choosing
from boost_edge.bench.choosing import ChoosingPlan, measure_choosing
from boost_edge.bench.subject import Setup
from boost_edge.export.labels import read_labels
from boost_edge.export.splits import split_rows
from boost_edge.runtime.choosing import choose_rows
from boost_edge.runtime.errors import UsageError


def rounded(measured: dict[str, Any]) -> Any:
    """Return what was measured with numbers to five places."""
    text = json.dumps(measured)
    return json.loads(text, parse_float=lambda number: round(float(number), 5))


@pytest.fixture(scope="module")
def plan(setup: Setup) -> ChoosingPlan:
    """Return a small plan: of the catalogue's 72 images that are not tested, some and all."""
    return ChoosingPlan(
        setup=setup, recipe="boost", readout="match", resize="squash", labels=(20, 40, 72)
    )


def test_both_ways_begin_and_end_alike(plan: ChoosingPlan, on_catalogue: dict[str, Any]) -> None:
    """At first nothing is chosen yet, and at last nothing is left to choose: equal to the bit."""
    result = measure_choosing(plan=plan, **on_catalogue)
    json.dumps(result, allow_nan=False)
    assert (result["pool"], result["test"], result["images"]) == (72, 8, 80)
    assert (result["split"], result["doubts_of"]) == ("hashed", None)
    named = {(row["labels"], row["way"]): row for row in result["rows"]}
    assert list(named) == [(count, way) for count in (20, 40, 72) for way in ("chance", "chosen")]
    measured = ("map10", "accuracy", "agreement10", "gain_over_raw")
    for count in (20, 72):
        for name in measured:
            assert named[count, "chance"][name] == named[count, "chosen"][name]
        assert named[count, "chosen"]["gain"]["mean"] == 0
    assert any(named[40, "chance"][name] != named[40, "chosen"][name] for name in measured)
    for row in [result["raw"], *result["rows"]]:
        assert set(row["agreement10"]) == {"type", "background"}
        assert all(0 <= each["mean"] <= 1 for each in row["agreement10"].values())


def test_copies_of_what_is_judged_are_not_asked_for(
    plan: ChoosingPlan, setup: Setup, catalogue: Path, tmp_path: Path
) -> None:
    """A second file with the bytes of a test image is not in the pool."""
    images, labels = tmp_path / "images", tmp_path / "labels.csv"
    shutil.copytree(catalogue / "images", images)
    text = (catalogue / "labels.csv").read_text(encoding="utf-8")
    table = read_labels(catalogue / "labels.csv", images=images)
    row = int(split_rows(table, seed=0).test[0])
    name = table.names[row]
    [line] = [each for each in text.splitlines() if each.startswith(f"{name},")]
    copies = [f"copy{number}.jpg" for number in range(12)]
    for copy in copies:
        shutil.copy(images / name, images / copy)
        text += line.replace(name, copy, 1) + "\n"
    labels.write_text(text, encoding="utf-8")
    small = dataclasses.replace(
        plan, labels=(20, 30), setup=dataclasses.replace(setup, seeds=1, attributes=("type",))
    )
    result = measure_choosing(labels, images=images, plan=small, cache=tmp_path)
    again = read_labels(labels, images=images)
    test = set(split_rows(again, seed=0).test.tolist())
    alike = {place for place, each in enumerate(again.names) if each in {name, *copies}}
    # With an image of theirs in the test part, no copy can be asked for.
    lost = len(alike - test) if alike & test else 0
    assert lost > 0
    assert result["pool"] == len(again) - len(test) - lost


def test_an_interrupted_measurement_goes_on(
    plan: ChoosingPlan,
    on_catalogue: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The seeds that are done are not measured again, and the result is that of one go."""
    small = dataclasses.replace(plan, labels=(20, 30), doubts_of=("type",))
    whole = measure_choosing(plan=small, **on_catalogue)
    assert whole["doubts_of"] == ["type"]
    out = tmp_path / "result.json"

    calls: list[int] = []

    def choose(*given: Any, labelled: Any, seed: int) -> NDArray[np.int64]:
        """Choose as ever, but be interrupted in the second seed's first call."""
        calls.append(seed)
        if calls == [0, 1]:
            raise KeyboardInterrupt
        return choose_rows(*given, labelled=labelled, seed=seed)

    monkeypatch.setattr(choosing, "choose_rows", choose)
    with pytest.raises(KeyboardInterrupt):
        measure_choosing(plan=small, out=out, **on_catalogue)
    resumed = measure_choosing(plan=small, out=out, **on_catalogue)
    # Scores are on disk in float32.
    for one, other in zip(resumed["rows"], whole["rows"], strict=True):
        for name in ("map10", "accuracy", "agreement10"):
            assert rounded(one[name]) == rounded(other[name])
    assert calls == [0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (20, 73)}, r"labels \(20, 73\): give rising numbers from 10 to 72"),
        ({"labels": (9,)}, r"labels \(9,\): give rising numbers from 10 to 72"),
        ({"labels": (30, 20)}, r"labels \(30, 20\): give rising numbers"),
        ({"doubts_of": ("size",)}, "'size' is no attribute that is learnt here: those are type"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    changes: dict[str, Any], message: str, plan: ChoosingPlan, on_catalogue: dict[str, Any]
) -> None:
    """Too many or too few labels, and doubts of something else."""
    with pytest.raises(UsageError, match=message):
        measure_choosing(plan=dataclasses.replace(plan, **changes), **on_catalogue)
