"""Fitting the head: it learns, it repeats itself, and it survives interruptions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from boost_edge.export import fit
from boost_edge.export.fit import Rows, fit_head, predict_logits, prepare_rows
from boost_edge.export.head_training import refit_head
from boost_edge.export.importance import information
from boost_edge.export.recipes import RECIPES, Recipe
from boost_edge.export.temperature import calibrated_loss
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import RunError, UsageError

QUICK = dataclasses.replace(RECIPES["boost"], width=16, epochs=6, dropout=0.2)


def rows(seed: int, count: int = 120) -> Rows:
    """Return features that decide two attributes by thresholds; some labels are unknown."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 8)).astype(np.float32)
    codes = np.stack(
        [
            (features[:, 0] > 0).astype(np.int64),
            (features[:, 1] > -0.5).astype(np.int64) + (features[:, 1] > 0.5),
        ],
        axis=1,
    )
    codes[::7, 0] = -1
    return Rows(features=features, codes=codes)


def same(first: fit.Fitted, second: fit.Fitted) -> bool:
    """Tell whether two trainings ended with the same weights, losses and epoch."""
    one, other = first.head.state_dict(), second.head.state_dict()
    return (
        first.history == second.history
        and first.best_epoch == second.best_epoch
        and all(torch.equal(one[name], other[name]) for name in one)
    )


@pytest.mark.parametrize("name", ["boost", "paper"])
def test_head_learns(name: str) -> None:
    """Both recipes learn a rule that the features decide."""
    recipe = dataclasses.replace(RECIPES[name], width=64, epochs=30)
    val = rows(2, 500) if recipe.validation else None
    fitted = fit_head(rows(1, 3000), val, [2, 3], recipe, seed=0)
    unseen = rows(3, 300)
    for column, logits in enumerate(predict_logits(fitted.head, unseen.features)):
        truth = unseen.codes[:, column]
        known = truth >= 0
        assert (logits.argmax(axis=1) == truth)[known].mean() > 0.85


def test_same_seed_same_weights() -> None:
    """The same arguments give the same weights, another seed gives others."""
    first = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5)
    assert same(first, fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5))
    assert not same(first, fit_head(rows(1), rows(2), [2, 3], QUICK, seed=6))


def test_components_change_no_head_on_few_features() -> None:
    """Where features are fewer than hidden units, the head learns what it would without them."""
    with_components = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5)
    plain = dataclasses.replace(QUICK, components=None)
    without = fit_head(rows(1), rows(2), [2, 3], plain, seed=5)
    assert with_components.history == without.history
    state = with_components.head.state_dict()
    for name, value in without.head.state_dict().items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("width", [4, 16])
def test_rows_are_prepared_in_pieces(width: int) -> None:
    """However many rows there are, each is what the head prepares of it, reduced or not."""
    recipe = dataclasses.replace(QUICK, validation=False, width=width, components=3)
    head = fit_head(rows(1), None, [2, 3], recipe, seed=5).head
    assert head.reduces is (width == 4)
    many = rows(4, 2 * 1024 + 1).features
    whole = head.prepare(torch.from_numpy(many)).numpy()
    prepared = prepare_rows(head, many).numpy()
    assert prepared.shape == (len(many), 3 if head.reduces else 8)
    np.testing.assert_allclose(prepared, whole, rtol=1e-5, atol=1e-6)
    assert prepare_rows(head, many[:0]).shape == (0, prepared.shape[1])


def test_components_stay_as_fitted_when_they_are_the_input() -> None:
    """Training moves the layers, never the projection, which is that of the training part."""
    recipe = dataclasses.replace(QUICK, width=6, components=4)
    fitted = fit_head(rows(1), rows(2), [2, 3], recipe, seed=5)
    untouched = BoostHead(8, 6, [2, 3], standardise=True, components=4)
    untouched.fit_standardisation(torch.from_numpy(rows(1).features))
    assert fitted.head.projection is not None
    assert untouched.projection is not None
    assert fitted.head.reduces
    assert torch.equal(fitted.head.projection.weight, untouched.projection.weight)
    assert torch.equal(fitted.head.spread, untouched.spread)


def test_importance_is_the_recipe_s() -> None:
    """The recipe says whether attributes weigh alike or by what they tell."""
    informed = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5).head
    assert torch.equal(informed.importance, information(rows(1).codes))
    equal = dataclasses.replace(QUICK, importance="equal")
    head = fit_head(rows(1), rows(2), [2, 3], equal, seed=5).head
    assert torch.equal(head.importance, torch.ones(2))


def test_global_random_state_is_left_alone() -> None:
    """A training neither depends on torch's global random state nor changes it."""
    torch.manual_seed(1)
    first = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(after, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(first, fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5))


@pytest.mark.parametrize(("stop_after", "width"), [(1, 16), (3, 16), (5, 16), (3, 6)])
def test_interrupted_training_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, width: int
) -> None:
    """A training that is interrupted and resumed ends with the weights of one that was not."""
    recipe = dataclasses.replace(QUICK, width=width, components=4)
    monkeypatch.setattr(fit, "_CHECKPOINT_INTERVAL", 0.0)
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = fit_head(rows(1), rows(2), [2, 3], recipe, seed=5)

    def interrupt(done: int, total: int) -> None:
        assert total == QUICK.epochs
        if done == stop_after + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_head(
            rows(1), rows(2), [2, 3], recipe, seed=5, checkpoint=checkpoint, progress=interrupt
        )
    seen: list[int] = []
    resumed = fit_head(
        rows(1),
        rows(2),
        [2, 3],
        recipe,
        seed=5,
        checkpoint=checkpoint,
        progress=lambda done, _: seen.append(done),
    )
    assert seen[0] == stop_after + 1
    assert same(resumed, whole)


def checkpoint_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the checkpoint of an unfinished training."""
    monkeypatch.setattr(fit, "_CHECKPOINT_INTERVAL", 0.0)
    path = tmp_path / "checkpoint.safetensors"
    fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5, checkpoint=path)
    return path


def test_checkpoint_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other data, settings or seed do not go on from a checkpoint that is not theirs."""
    path = checkpoint_of(tmp_path, monkeypatch)
    other: list[tuple[Rows, Recipe, int]] = [
        (rows(9), QUICK, 5),
        (rows(1), dataclasses.replace(QUICK, dropout=0.3), 5),
        (rows(1), QUICK, 6),
    ]
    for data, recipe, seed in other:
        with pytest.raises(RunError, match="other data or settings"):
            fit_head(data, rows(2), [2, 3], recipe, seed=seed, checkpoint=path)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_damaged_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """A damaged checkpoint is named in one line, never loaded."""
    path = checkpoint_of(tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(RunError, match=r"checkpoint\.safetensors") as error:
        fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5, checkpoint=path)
    assert "\n" not in str(error.value)


def test_best_epoch_is_returned() -> None:
    """With validation, the weights are those of the epoch with the lowest validation loss."""
    fitted = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5)
    losses = [epoch.val_loss for epoch in fitted.history]
    assert fitted.best_epoch == losses.index(min(loss for loss in losses if loss is not None))
    logits = predict_logits(fitted.head, rows(2).features)
    assert calibrated_loss(logits, rows(2).codes) == pytest.approx(
        losses[fitted.best_epoch], rel=1e-5
    )


def test_patience_stops_early() -> None:
    """A training whose validation loss no longer falls stops after the patience."""
    recipe = dataclasses.replace(
        QUICK, epochs=400, patience=3, learning_rate=0.05, schedule="constant"
    )
    fitted = fit_head(rows(1, 40), rows(2), [2, 3], recipe, seed=0)
    assert len(fitted.history) == fitted.best_epoch + 1 + recipe.patience


def test_paper_recipe_stops_at_its_loss() -> None:
    """The paper's recipe ends when the training loss is low enough, and keeps its last epoch."""
    recipe = dataclasses.replace(RECIPES["paper"], stop_loss=0.5)
    fitted = fit_head(rows(1), None, [2, 3], recipe, seed=0)
    assert fitted.history[-1].train_loss < 0.5
    assert all(epoch.train_loss >= 0.5 for epoch in fitted.history[:-1])
    assert fitted.best_epoch == len(fitted.history) - 1


def test_unknown_labels_teach_nothing() -> None:
    """A row without any known label leaves the weights as they would be without a gradient."""
    data = rows(1)
    silent = Rows(features=data.features, codes=np.full_like(data.codes, -1))
    recipe = dataclasses.replace(QUICK, weight_decay=0.0, epochs=2)
    fitted = fit_head(silent, None, [2, 3], dataclasses.replace(recipe, validation=False), seed=3)
    untouched = fit_head(
        silent,
        None,
        [2, 3],
        dataclasses.replace(recipe, validation=False, learning_rate=0.0),
        seed=3,
    )
    for name, value in fitted.head.state_dict().items():
        assert torch.equal(value, untouched.head.state_dict()[name]), name


def test_a_refit_trains_on_both_parts_for_as_many_epochs() -> None:
    """It is what a training on all rows gives that ends there, calibrated as the first one was."""
    recipe = dataclasses.replace(QUICK, schedule="constant", epochs=12, patience=3)
    first = fit_head(rows(1), rows(2), [2, 3], recipe, seed=5)
    first.head.temperature.copy_(torch.tensor([0.5, 2.0]))
    first.head.typical = torch.tensor(7.0)
    both = Rows(
        features=np.concatenate([rows(1).features, rows(2).features]),
        codes=np.concatenate([rows(1).codes, rows(2).codes]),
    )
    again = refit_head(first, rows(1).joined(rows(2)), [2, 3], recipe, seed=5)
    epochs = first.best_epoch + 1
    plain = dataclasses.replace(recipe, validation=False, epochs=epochs)
    expected = fit_head(both, None, [2, 3], plain, seed=5).head
    for name in ("hidden.weight", "classifiers.1.weight", "mean", "importance", "combinations"):
        assert torch.equal(again.head.state_dict()[name], expected.state_dict()[name]), name
    assert again.head.temperature.tolist() == [0.5, 2.0]
    assert float(again.head.typical or 0.0) == 7.0
    assert (again.history, again.best_epoch) == (first.history, first.best_epoch)


def test_an_interrupted_refit_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a checkpoint of its own, and goes on from there."""
    monkeypatch.setattr(fit, "_CHECKPOINT_INTERVAL", 0.0)
    first = fit_head(rows(1), rows(2), [2, 3], QUICK, seed=5)
    parts = (first, rows(1).joined(rows(2)), [2, 3], QUICK)
    whole = refit_head(*parts, seed=5)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def interrupt(done: int, total: int) -> None:
        assert total == first.best_epoch + 1
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refit_head(*parts, seed=5, checkpoint=checkpoint, progress=interrupt)
    seen: list[int] = []
    resumed = refit_head(
        *parts, seed=5, checkpoint=checkpoint, progress=lambda done, _: seen.append(done)
    )
    assert seen[0] == 2
    assert same(whole, resumed)


def test_a_refit_needs_a_validation_part() -> None:
    """A recipe that has none cannot say for how long to train again."""
    with pytest.raises(UsageError, match="recipe paper: cannot refit: it keeps no validation part"):
        dataclasses.replace(RECIPES["paper"], refit=True)
