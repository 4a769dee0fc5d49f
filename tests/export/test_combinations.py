"""Combinations of labels against a naive count, and what knows them: runs, exports, refusals."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.combinations import find_combinations, need_combinations
from boost_edge.export.convert import export_model
from boost_edge.export.fit import Rows, fit_head
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import load_head, read_run
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.errors import UsageError


@given(
    rows=st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1)), min_size=1, max_size=60),
    least=st.integers(1, 6),
)
def test_combinations_are_those_that_are_common(rows: list[tuple[int, int]], least: int) -> None:
    """Each combination with enough rows, sorted; rows with an unknown label count for none."""
    counts = Counter(row for row in rows if min(row) >= 0)
    common = sorted(row for row, count in counts.items() if count >= least)
    found = find_combinations(np.array(rows), least)
    assert found.dtype == np.int64
    assert found.shape == (len(common), 2)
    assert [tuple(row) for row in found.tolist()] == common
    if len(common) < 2:
        with pytest.raises(UsageError, match=rf"{len(common)} combinations? of labels in {least} "):
            need_combinations(np.array(rows), least)
    else:
        assert np.array_equal(need_combinations(np.array(rows), least), found)


def _rows(count: int, seed: int) -> Rows:
    """Draw rows of three of four combinations of two labels, each around a feature of its own."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, count)
    features = rng.normal(0, 0.3, (count, 6)).astype(np.float32)
    features[np.arange(count), kinds] += 2
    return Rows(features=features, codes=np.stack([kinds // 2, kinds % 2], axis=1))


def test_what_does_not_occur_is_ruled_out() -> None:
    """A head knows what it was trained on: of images it has not seen, it tells it apart."""
    recipe = dataclasses.replace(
        RECIPES["boost"], width=32, epochs=40, batch_size=32, learning_rate=5e-3
    )
    head = fit_head(_rows(300, 0), _rows(60, 1), [2, 2], recipe, seed=0).head
    assert head.combinations.tolist() == [[0, 0], [0, 1], [1, 0]]
    test = _rows(200, 2)
    with torch.inference_mode():
        _, logits = head(torch.from_numpy(test.features))
        posteriors = head.together(logits).numpy()
    assert (posteriors.argmax(axis=1) == test.features.argmax(axis=1)).mean() > 0.95


@pytest.fixture(scope="module")
def run(catalogue: Path, quick: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was trained for another readout."""
    folder = tmp_path_factory.mktemp("together")
    recipe = dataclasses.replace(quick.recipe, together=2)
    settings = dataclasses.replace(quick, recipe=recipe, attributes=("type", "sleeve"))
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=folder / "run",
        settings=settings,
        cache=folder / "cache",
    )
    return folder / "run"


def test_any_run_can_be_exported_as_together(run: Path, tmp_path: Path) -> None:
    """Whatever readout it was trained for, it keeps the combinations of its training images."""
    record = read_run(run)
    head = load_head(run, record)
    assert head is not None
    assert len(head.combinations) > 1
    assert record.readout != "together"
    manifest = export_model(run, tmp_path / "model.onnx", readout="together")
    assert manifest.readout == "together"
    assert manifest.dimensions == len(head.combinations) + head.look_width


def test_too_few_combinations_are_told_before_anything_is_done(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """The error says how many there are and what to do, and no folder is left behind."""
    recipe = dataclasses.replace(quick.recipe, together=1000)
    settings = dataclasses.replace(quick, readout="together", recipe=recipe)
    with pytest.raises(UsageError, match=r"0 combinations of labels in 1000 or more images"):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=settings,
            cache=tmp_path / "cache",
        )
    assert not (tmp_path / "run").exists()
