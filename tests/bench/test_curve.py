"""The curve of labels, the wrong labels, and where a baseline is passed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from boost_edge.bench.curve import CurvePlan, flip_labels, labels_to_pass, measure_curve
from boost_edge.bench.quality import QualityPlan, measure_quality
from boost_edge.bench.relevance import Protocol
from boost_edge.bench.subject import Setup
from boost_edge.bench.trials import read_trials
from boost_edge.bench.versus import Side
from boost_edge.runtime.errors import UsageError

CODES = hnp.arrays(np.int64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.integers(-1, 1))


@settings(max_examples=60, deadline=None)
@given(CODES, st.floats(0, 0.99), st.integers(0, 99))
def test_flipped_labels_are_as_many_as_asked(
    codes: NDArray[np.int64], share: float, seed: int
) -> None:
    """That share of each attribute's known labels is another value; unknown ones stay unknown."""
    classes = [2, 3, 5]
    found = flip_labels(codes, classes, share, seed=seed)
    for column, count in enumerate(classes):
        before, after = codes[:, column], found[:, column]
        known = before >= 0
        assert (after[~known] == -1).all()
        assert ((after[known] >= 0) & (after[known] < count)).all()
        assert (before != after).sum() == round(share * known.sum())
    np.testing.assert_array_equal(found, flip_labels(codes, classes, share, seed=seed))


def test_more_noise_keeps_the_wrong_labels_of_less() -> None:
    """What is wrong at 5% is wrong in the same way at 20%."""
    codes = np.random.default_rng(0).integers(0, 4, (200, 2))
    few, many = (flip_labels(codes, [4, 4], share, seed=1) for share in (0.05, 0.2))
    wrong = few != codes
    np.testing.assert_array_equal(few[wrong], many[wrong])
    other = flip_labels(codes, [4, 4], 0.05, seed=2)
    assert (other != few).any()


def test_a_crossing_is_interpolated() -> None:
    """Halfway between the means of 100 and 1,000 labels lies their geometric mean."""
    flat = np.ones(10)
    found = labels_to_pass([100, 1000], np.stack([0 * flat, 2 * flat]), flat, resamples=50)
    assert found["labels"] == pytest.approx(np.sqrt(100 * 1000))
    assert found["low"] == pytest.approx(found["high"])


def test_a_crossing_at_the_ends() -> None:
    """Above from the start: the first number; never above: none; a dip counts till its end."""
    flat = np.ones(10)

    def passing(*means: float) -> float | None:
        curve = np.stack([mean * flat for mean in means])
        return labels_to_pass([10, 100, 1000][: len(means)], curve, flat, resamples=20)["labels"]

    assert passing(2, 3) == 10
    assert passing(0, 1) is None
    assert passing(2, 0, 2) == pytest.approx(np.sqrt(100 * 1000))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_the_interval_holds_the_crossing(seed: int) -> None:
    """The interval is around the crossing of the means, and wider with more noise."""
    rng = np.random.default_rng(seed)
    base = rng.random(200)
    rise = np.array([-0.3, -0.1, 0.1, 0.3])[:, None]
    labels = [100, 300, 1000, 3000]

    def width(noise: float) -> float:
        found = labels_to_pass(
            labels, base + rise + noise * rng.standard_normal((4, 200)), base, resamples=200
        )
        low, middle, high = (found[name] for name in ("low", "labels", "high"))
        assert low is not None
        assert middle is not None
        assert high is not None
        assert low <= middle <= high
        return high / low

    assert width(0.02) < width(0.5)


@pytest.fixture(scope="module")
def plan(setup: Setup) -> CurvePlan:
    """Return a small plan."""
    return CurvePlan(
        setup=setup,
        recipe="boost",
        readouts=("raw", "attributes"),
        labels=(12, 24),
        noise=(0.0, 0.2),
    )


def test_the_curve_of_the_catalogue(
    plan: CurvePlan, setup: Setup, on_catalogue: dict[str, Any], tmp_path: Path
) -> None:
    """There is a row per number and share; all labels without noise are the whole training.

    The raw row of another measurement on the same queries is a baseline; of other queries not.
    """
    quality = QualityPlan(
        setup=setup, resizes=("crop",), recipes=("boost",), readouts=("raw", "attributes")
    )
    raw, whole = measure_quality(plan=quality, out=tmp_path / "q.json", **on_catalogue)["rows"]
    side = Side(path=tmp_path / "q.json", row="raw")
    out = tmp_path / "c.json"
    result = measure_curve(plan=plan, baselines=[side], out=out, **on_catalogue)
    assert [(row["labels"], row["readout"]) for row in result["rows"]] == [
        (12, "attributes"), (24, "attributes"),
    ]  # fmt: skip
    assert [row["noise"] for row in result["noise"]] == [0, 0.2]
    assert result["raw"]["by_seed"] == pytest.approx(raw["map10_by_seed"])
    for row in (result["rows"][1], result["noise"][0]):
        assert row["map10"]["by_seed"] == pytest.approx(whole["map10_by_seed"])
        assert row["gain"]["mean"] == pytest.approx(whole["gain"]["mean"])
    below = [
        row
        for row in [*result["rows"], *result["noise"]]
        if row["gain"]["high"] < 0 and max(row["gain"]["by_seed"]) < 0
    ]
    assert [row["gain"] for row in result["hurts"]] == [row["gain"] for row in below]
    [passing] = result["passes"]
    assert passing["baseline"] == {"file": "q.json", "row": "crop/none/raw"}
    assert passing["map10"] == pytest.approx(raw["map10"])
    assert len(passing["by_seed"]) == setup.seeds
    # The same crossing, of each seed's queries alone.
    trials = read_trials(tmp_path / "c.scores.npz")
    for seed, crossing in enumerate(passing["by_seed"]):
        curve = np.stack([trials.values(f"{n}/attributes", "map10")[seed] for n in plan.labels])
        alone = labels_to_pass(
            plan.labels, curve, trials.values("raw", "map10")[seed], resamples=1
        )["labels"]
        assert crossing == pytest.approx(alone, rel=1e-3)
    json.dumps(result, allow_nan=False)
    other = dataclasses.replace(
        setup, protocol=Protocol(groups=10, per_group=3, min_size=3, test=6), seeds=1
    )
    small = dataclasses.replace(plan, setup=other, labels=(12,), noise=())
    with pytest.raises(UsageError, match="other queries"):
        measure_curve(plan=small, baselines=[side], **on_catalogue)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": (12, 25)}, "a seed trains on 10 to 24"),
        ({"labels": (5,)}, "a seed trains on 10 to 24"),
        ({"noise": (1.0,)}, "shares from 0 to below 1"),
    ],
)
def test_what_cannot_be_is_refused(
    change: dict[str, Any], said: str, plan: CurvePlan, on_catalogue: dict[str, Any]
) -> None:
    """More labels than there are, too few to train on, or a share that is none."""
    with pytest.raises(UsageError, match=said):
        measure_curve(plan=dataclasses.replace(plan, **change), **on_catalogue)
