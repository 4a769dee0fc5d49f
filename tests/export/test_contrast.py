"""The contrastive loss: as its definition says, and nothing where nobody is alike."""

from __future__ import annotations

import dataclasses
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.export.combinations import number_combinations
from boost_edge.export.contrast import contrast_of
from boost_edge.export.fit import Rows, fit_head
from boost_edge.export.recipes import RECIPES
from boost_edge.runtime.errors import MissingExtraError, UsageError

QUICK = dataclasses.replace(
    RECIPES["contrastive"], width=16, epochs=5, dropout=0.2, combination_images=2
)


def naive(hidden: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
    """Sum over pairs of rows as the paper's second formula does, with plain loops."""
    rows = [number for number, code in enumerate(codes.tolist()) if min(code) >= 0]
    unit = {row: hidden[row].astype(np.float64) / np.linalg.norm(hidden[row]) for row in rows}
    losses: list[float] = []
    if len({tuple(codes[row].tolist()) for row in rows}) < 2:
        return 0.0
    for row in rows:
        others = [other for other in rows if other != row]
        alike = [other for other in others if codes[other].tolist() == codes[row].tolist()]
        if not alike:
            continue
        scores = {other: float(unit[row] @ unit[other]) / 0.1 for other in others}
        total = math.log(sum(math.exp(score) for score in scores.values()))
        losses.append(-sum(scores[other] - total for other in alike) / len(alike))
    return sum(losses) / len(losses) if losses else 0.0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_loss_is_its_definition(seed: int, count: int) -> None:
    """Whoever is alike, and whatever is unknown."""
    random = np.random.default_rng(seed)
    codes = random.integers(-1, 2, size=(count, 2))
    hidden = random.normal(size=(count, 5)).astype(np.float32)
    # Two rows more that are alike, so that the loss is to be had, and never named.
    loss = contrast_of(np.concatenate([codes, [[7, 7], [7, 7]]]))
    found = loss(torch.from_numpy(hidden), torch.arange(count))
    assert float(found) == pytest.approx(naive(hidden, codes), rel=1e-4, abs=1e-5)


def test_the_rows_are_those_that_are_named() -> None:
    """A batch is compared by the labels of its own rows, in its own order."""
    codes = np.array([[0], [1], [0], [1], [2]])
    hidden = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    rows = torch.tensor([3, 0, 1])
    expected = naive(hidden.numpy(), codes[rows.numpy()])
    assert expected > 0
    assert float(contrast_of(codes)(hidden, rows)) == pytest.approx(expected, rel=1e-4)


def test_combinations_are_numbered() -> None:
    """Equal labels have equal numbers, in the order of the codes; unknown ones have none."""
    codes = np.array([[1, 0], [0, 2], [1, 0], [0, -1], [-1, -1]])
    assert number_combinations(codes).tolist() == [1, 0, 1, -1, -1]
    assert number_combinations(codes[:0]).tolist() == []


def table(seed: int, count: int) -> Rows:
    """Return features of which the first two say the labels and the others nothing."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 8)).astype(np.float32)
    return Rows(features=features, codes=(features[:, :2] > 0).astype(np.int64))


def test_equal_labels_are_drawn_together() -> None:
    """Of unseen rows, the nearest by the hidden vector share the labels more often than without."""
    train, val, test = table(1, 1500), table(2, 300), table(3, 400)

    def agreement(contrast: float) -> float:
        recipe = dataclasses.replace(QUICK, width=64, epochs=20, contrast=contrast)
        head = fit_head(train, val, [2, 2], recipe, seed=0).head
        with torch.inference_mode():
            hidden, _ = head.classify(head.prepare(torch.from_numpy(test.features)))
        unit = torch.nn.functional.normalize(hidden, dim=1)
        nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(dim=1).numpy()
        return float((test.codes[nearest] == test.codes).all(axis=1).mean())

    assert agreement(0.5) > agreement(0.0) + 0.02


def test_the_loss_moves_the_head_but_is_not_told_as_the_attributes_loss() -> None:
    """What is noted of each epoch is the attributes' own loss, in nats."""
    train, val = table(1, 200), table(2, 100)
    plain = dataclasses.replace(QUICK, contrast=0.0, learning_rate=1e-9)
    drawn = dataclasses.replace(plain, contrast=0.5)
    first, second = (fit_head(train, val, [2, 2], each, seed=0) for each in (plain, drawn))
    assert not torch.equal(first.head.hidden.weight, second.head.hidden.weight)
    for one, other in zip(first.history, second.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    with pytest.raises(MissingExtraError, match=r"pytorch-metric-learning.*'boost-edge\[train\]'"):
        contrast_of(np.zeros((2, 1), np.int64))


@pytest.mark.parametrize("codes", [[[0, 1], [1, 0]], [[0, -1], [0, -1]], [[-1, -1]]])
def test_labels_without_two_alike_are_refused(codes: list[list[int]]) -> None:
    """The loss would be none: whoever asks for it is told so."""
    with pytest.raises(UsageError, match=r"no two training images have all labels.*--contrast 0"):
        contrast_of(np.array(codes))
