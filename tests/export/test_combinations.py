"""Combinations of labels against a naive count, and what knows them: runs, exports, refusals."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.export.training import TrainInto

from boost_edge.export.combinations import find_combinations, need_combinations
from boost_edge.export.convert import export_model
from boost_edge.export.fit import Rows, fit_head
from boost_edge.export.labels import read_labels
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import load_head, read_run
from boost_edge.export.splits import split_rows
from boost_edge.export.train import TrainSettings
from boost_edge.models.head import BoostHead
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.gallery import Gallery


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


def test_what_does_not_occur_is_ruled_out() -> None:
    """Where each attribute by itself favours a combination that never occurred, others share it."""
    head = BoostHead(3, 2, [2, 2], standardise=False)
    head.combinations = torch.tensor([[0, 0], [0, 1], [1, 0]])
    # Of (1, 1) the posteriors' product would be 0.64, of (0, 1) and (1, 0) 0.16, of (0, 0) 0.04.
    said = torch.tensor([[0.2, 0.8]]).log() + 5.0
    posteriors = head.combine([said, said - 7.0])
    np.testing.assert_allclose(posteriors[0], [0.04 / 0.36, 0.16 / 0.36, 0.16 / 0.36], rtol=1e-5)


def test_a_head_knows_the_combinations_of_its_rows() -> None:
    """Those with enough images, whether it was trained for the readout or not."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], [40, 40, 2])
    rows = Rows(
        features=rng.normal(size=(82, 6)).astype(np.float32),
        codes=np.stack([kinds // 2, kinds % 2], axis=1),
    )
    recipe = dataclasses.replace(RECIPES["boost"], width=8, epochs=1)
    head = fit_head(rows, rows, [2, 2], recipe, seed=0).head
    assert recipe.combination_images == 3
    assert head.combinations.tolist() == [[0, 0], [0, 1]]


@pytest.fixture(scope="module")
def run(
    train_into: TrainInto, quick: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a run that was trained for another readout."""
    folder = tmp_path_factory.mktemp("together")
    recipe = dataclasses.replace(quick.recipe, combination_images=2)
    settings = dataclasses.replace(quick, recipe=recipe, attributes=("type", "sleeve"))
    train_into(folder / "run", settings)
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


def test_a_gallery_of_together_answers(run: Path, catalogue: Path, tmp_path: Path) -> None:
    """What was exported so indexes and finds an image again."""
    model = tmp_path / "model.onnx"
    export_model(run, model, readout="together")
    image = sorted((catalogue / "images").iterdir())[0]
    with Encoder.open(model) as encoder, Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([catalogue / "images"])
        [hit] = gallery.query(image, k=1).hits
    assert hit.path == str(image.resolve())
    assert hit.score == pytest.approx(1.0, abs=1e-3)


def test_labels_that_never_come_together_train_as_ever(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """A run without combinations is exported as it was trained for, and refused as together."""
    recipe = dataclasses.replace(quick.recipe, combination_images=1000)
    train_into(tmp_path / "run", dataclasses.replace(quick, recipe=recipe))
    assert export_model(tmp_path / "run", tmp_path / "match.onnx").readout == "match"
    with pytest.raises(UsageError, match=r"together needs two combinations.*knows 0.*train again"):
        export_model(tmp_path / "run", tmp_path / "together.onnx", readout="together")
    assert not (tmp_path / "together.onnx").exists()


def test_a_recipe_without_validation_counts_all_it_learns(
    catalogue: Path, train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """What is enough with the validation part is enough, where the head is trained on both."""
    table = read_labels(catalogue / "labels.csv", images=catalogue / "images", attributes=("type",))
    split = split_rows(table, seed=0)
    most = [
        np.sort(np.unique(table.codes[rows], axis=0, return_counts=True)[1])[-2]
        for rows in (split.train, split.fitted)
    ]
    assert most[0] < most[1]
    for validation in (False, True):
        recipe = dataclasses.replace(
            quick.recipe, combination_images=int(most[1]), validation=validation
        )
        settings = dataclasses.replace(
            quick, recipe=recipe, readout="together", attributes=("type",)
        )
        start = partial(train_into, tmp_path / str(validation), settings)
        if validation:
            with pytest.raises(UsageError, match="readout together: "):
                start()
        else:
            assert start().record.readout == "together"


def test_too_few_combinations_are_told_before_anything_is_done(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """The error says how many there are and what to do, and no folder is left behind."""
    recipe = dataclasses.replace(quick.recipe, combination_images=1000)
    settings = dataclasses.replace(quick, readout="together", recipe=recipe)
    with pytest.raises(UsageError, match=r"0 combinations of labels in 1000 or more images"):
        train_into(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
