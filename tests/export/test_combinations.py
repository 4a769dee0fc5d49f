"""Combinations of labels against a naive count, and the head that learns them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.combinations import find_combinations
from boost_edge.export.convert import export_model
from boost_edge.export.fit import Rows
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import load_head, read_run
from boost_edge.export.together import fit_together
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.errors import UsageError

RECIPE = dataclasses.replace(
    RECIPES["boost"], width=32, epochs=40, batch_size=32, learning_rate=5e-3, together=4
)


@given(
    rows=st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1)), min_size=1, max_size=60),
    new=st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 2)), max_size=20),
    least=st.integers(1, 6),
)
def test_combinations_are_those_that_are_common(
    rows: list[tuple[int, int]], new: list[tuple[int, int]], least: int
) -> None:
    """Each combination with enough rows is a class, the others one more, the unknown none."""
    counts = Counter(row for row in rows if min(row) >= 0)
    common = sorted(row for row, count in counts.items() if count >= least)
    rest = sum(count for count in counts.values() if count < least)
    found = find_combinations(np.array(rows), least)
    assert [tuple(row) for row in found.values.tolist()] == common
    assert found.others == (rest >= least)
    assert found.classes == len(common) + (rest >= least)
    for row in rows + new:
        if min(row) < 0:
            expected = -1
        elif row in common:
            expected = common.index(row)
        else:
            expected = len(common) if rest >= least else -1
        assert found.code(np.array([row])).tolist() == [[expected]]


def _rows(count: int, seed: int) -> Rows:
    """Draw rows of four combinations, each around a feature of its own, and some of none."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 4, count)
    features = rng.normal(0, 0.3, (count, 6)).astype(np.float32)
    features[np.arange(count), kinds] += 2
    codes = np.stack([kinds // 2, kinds % 2], axis=1)
    codes[::10, 1] = -1
    return Rows(features=features, codes=codes)


def test_the_head_tells_combinations_apart() -> None:
    """Of images it has not seen, it is right and about as sure as it is right."""
    together = fit_together(_rows(300, 0), _rows(60, 1), RECIPE, seed=0)
    test = _rows(200, 2)
    with torch.inference_mode():
        posteriors = together(torch.from_numpy(test.features)).numpy()
    truth = test.features.argmax(axis=1)
    right = posteriors.argmax(axis=1) == truth
    assert right.mean() > 0.95
    assert abs(posteriors.max(axis=1).mean() - right.mean()) < 0.05


def test_what_is_rare_is_shown_by_no_value() -> None:
    """An image of a combination that is not a class has low posteriors for all that are."""
    rows = _rows(300, 0)
    # The fourth kind is many combinations of few images each.
    odd = rows.codes.min(axis=1) == 1
    rows.codes[odd, 0] = 2 + np.arange(odd.sum()) // 3
    together = fit_together(rows, None, RECIPE, seed=0)
    assert together.shown.tolist() == [1, 1, 1, 0]
    with torch.inference_mode():
        posteriors = together(torch.from_numpy(rows.features))
    assert float(posteriors[torch.from_numpy(odd)].sum(dim=1).mean()) < 0.3
    assert float(posteriors[torch.from_numpy(~odd)].sum(dim=1).mean()) > 0.7


def test_too_few_combinations_are_told() -> None:
    """Where no combination has enough images, the error says how many there are and what to do."""
    recipe = dataclasses.replace(RECIPE, together=1000)
    with pytest.raises(UsageError, match=r"0 combination\(s\) of labels have 1000 images or more"):
        fit_together(_rows(300, 0), None, recipe, seed=0)


def test_a_calibrated_run_can_be_exported(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """Where validation images have combinations that the training knows, as in any real table."""
    recipe = dataclasses.replace(quick.recipe, together=2)
    settings = dataclasses.replace(
        quick, readout="together", attributes=("type",), recipe=recipe, limit=60
    )
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=tmp_path / "run",
        settings=settings,
        cache=tmp_path / "cache",
    )
    head = load_head(tmp_path / "run", read_run(tmp_path / "run"))
    assert head is not None
    assert head.together is not None
    assert float(head.together.head.temperature[0]) != 1.0
    manifest = export_model(tmp_path / "run", tmp_path / "model.onnx")
    assert manifest.readout == "together"


def test_a_run_for_another_readout_has_no_combinations(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """Exporting it as together says what to do."""
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=tmp_path / "run",
        settings=quick,
        cache=tmp_path / "cache",
    )
    with pytest.raises(UsageError, match="train again with --readout together"):
        export_model(tmp_path / "run", tmp_path / "model.onnx", readout="together")
    assert not (tmp_path / "model.onnx").exists()
