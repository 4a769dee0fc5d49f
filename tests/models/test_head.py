"""The boost head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import boost_edge.models.head as head_module
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import UsageError


def _rows(count: int, features: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3.0 * torch.randn(count, features, generator=generator) + 2.0


def test_shapes_follow_the_widths_and_classes() -> None:
    """A head gives one hidden vector per row and one set of logits per attribute."""
    head = BoostHead(6, 5, (2, 3, 4), standardise=False)
    hidden, logits = head(_rows(7, 6))
    assert hidden.shape == (7, 5)
    assert [part.shape for part in logits] == [(7, 2), (7, 3), (7, 4)]
    assert bool((hidden >= 0).all())


def test_initialisation_is_the_papers() -> None:
    """Biases start at 0.01 and weights within Kaiming's uniform bound, sqrt(6 / fan in)."""
    head = BoostHead(50, 40, (3,), standardise=False)
    for layer, fan_in in ((head.hidden, 50), (head.classifiers[0], 40)):
        assert isinstance(layer, nn.Linear)
        assert bool((layer.bias == 0.01).all())
        bound = math.sqrt(6.0 / fan_in)
        assert 0.9 * bound < layer.weight.abs().max().item() <= bound


def test_standardisation_matches_numpy() -> None:
    """The first layer sees features of mean 0 and standard deviation 1."""
    head = BoostHead(4, 3, (2,), standardise=True)
    rows = _rows(20, 4)
    head.fit_standardisation(rows)
    table = rows.numpy().astype(np.float64)
    np.testing.assert_allclose(head.mean.numpy(), table.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(head.std.numpy(), table.std(axis=0), rtol=1e-6)
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    weight, bias = (part.detach().numpy() for part in (head.hidden.weight, head.hidden.bias))
    expected = np.maximum(standard @ weight.T + bias, 0.0)
    np.testing.assert_allclose(head(rows)[0].detach().numpy(), expected, atol=1e-5)


def test_constant_feature_is_centred_but_not_scaled() -> None:
    """A feature without variance must not divide by zero."""
    head = BoostHead(2, 3, (2,), standardise=True)
    rows = _rows(9, 2)
    rows[:, 1] = 7.0
    head.fit_standardisation(rows)
    assert head.std[1].item() == 1.0
    assert bool(torch.isfinite(head(rows)[0]).all())


def test_head_without_standardisation_keeps_identity_buffers() -> None:
    """Fitting a head that does not standardise changes nothing."""
    head = BoostHead(3, 4, (2,), standardise=False)
    rows = _rows(5, 3)
    before = head(rows)[0]
    head.fit_standardisation(rows)
    assert torch.equal(head(rows)[0], before)
    assert torch.equal(head.std, torch.ones(3))


def test_gradient_reaches_every_parameter() -> None:
    """A loss over all attributes moves the hidden layer and every classifier."""
    head = BoostHead(6, 8, (2, 3), standardise=True, dropout=0.2)
    _, logits = head(_rows(16, 6))
    torch.autograd.backward(torch.stack([part.square().mean() for part in logits]).sum())
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum().item() > 0, name


def test_dropout_leaves_the_hidden_vector_alone() -> None:
    """In training the classifiers see dropped values, the returned hidden vector is whole."""
    torch.default_generator.manual_seed(0)
    head = BoostHead(6, 64, (3,), standardise=False, dropout=0.5)
    rows = _rows(4, 6)
    trained_hidden, trained_logits = head.train()(rows)
    hidden, logits = head.eval()(rows)
    assert torch.equal(trained_hidden, hidden)
    assert not torch.allclose(trained_logits[0], logits[0])


def test_state_holds_the_buffers() -> None:
    """Mean, standard deviation and temperature survive a state dictionary."""
    head = BoostHead(3, 4, (2, 2), standardise=True)
    head.fit_standardisation(_rows(6, 3))
    head.temperature.copy_(torch.tensor([0.5, 2.0]))
    copy = BoostHead(3, 4, (2, 2), standardise=True)
    copy.load_state_dict(head.state_dict())
    assert torch.equal(copy.temperature, head.temperature)
    assert torch.equal(copy(_rows(2, 3))[0], head(_rows(2, 3))[0])


@pytest.mark.parametrize(("count", "width"), [(9, 4), (9, 40), (60, 4), (60, 40)])
def test_look_is_whitened_principal_components(count: int, width: int) -> None:
    """The look is numpy's leading components of the standardised rows at deviation 1."""
    head = BoostHead(20, width, (2,), standardise=True, components=5)
    rows = _rows(count, 20)
    head.fit_standardisation(rows)
    table = rows.numpy().astype(np.float64)
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    left = np.linalg.svd(standard, full_matrices=False)[0][:, :5] * np.sqrt(count)
    look = head.look(rows).numpy()
    np.testing.assert_allclose(np.abs(look), np.abs(left), atol=1e-3)
    assert head.look_width == 5


@pytest.mark.parametrize(("count", "features"), [(31, 20), (9, 20), (20, 20)])
@pytest.mark.parametrize("held", [1, 50, 10_000])
def test_pieces_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, count: int, features: int, held: int
) -> None:
    """However little is held at a time, what is fitted is the same."""
    rows = _rows(count, features)
    whole = BoostHead(features, 4, (2,), standardise=True, components=5)
    whole.fit_standardisation(rows)
    monkeypatch.setattr(head_module, "_HELD", held)
    pieces = BoostHead(features, 4, (2,), standardise=True, components=5)
    pieces.fit_standardisation(rows)
    for name in ("mean", "std", "spread"):
        torch.testing.assert_close(getattr(pieces, name), getattr(whole, name))
    torch.testing.assert_close(pieces.look(rows), whole.look(rows), atol=1e-4, rtol=1e-4)


def test_of_many_rows_and_features_some_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The axes are those of evenly spaced rows; mean, deviation and spread are those of all."""
    monkeypatch.setattr(head_module, "_MOST_AXIS_ROWS", 8)
    rows = _rows(29, 20)
    head = BoostHead(20, 4, (2,), standardise=True, components=5)
    head.fit_standardisation(rows)
    table = rows.numpy().astype(np.float64)
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    some = standard[[0, 4, 8, 12, 16, 20, 24, 28]]
    axes = np.linalg.svd(some, full_matrices=False)[2][:5]
    expected = standard @ axes.T
    expected /= np.sqrt(np.square(expected).mean(axis=0))
    np.testing.assert_allclose(np.abs(head.look(rows).numpy()), np.abs(expected), atol=1e-3)


def test_first_layer_takes_components_only_where_features_are_many() -> None:
    """More features than hidden units are reduced; fewer go in whole, and nothing changes."""
    rows = _rows(30, 20)
    torch.default_generator.manual_seed(0)
    reduced = BoostHead(20, 19, (2,), standardise=True, components=5)
    torch.default_generator.manual_seed(0)
    whole = BoostHead(20, 20, (2,), standardise=True, components=5)
    torch.default_generator.manual_seed(0)
    plain = BoostHead(20, 20, (2,), standardise=True)
    for head in (reduced, whole, plain):
        head.fit_standardisation(rows)
    assert reduced.hidden.in_features == 5
    assert torch.equal(whole(rows)[0], plain(rows)[0])
    assert reduced.projection is not None
    standard = (rows - reduced.mean) / reduced.std
    expected = torch.relu(reduced.hidden(standard @ reduced.projection.weight.T))
    torch.testing.assert_close(reduced(rows)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("width", "prepared_width"), [(10, 5), (40, 20)])
def test_what_is_not_trained_can_be_done_beforehand(width: int, prepared_width: int) -> None:
    """Rows prepared once give, after a step of training too, what the head gives."""
    head = BoostHead(20, width, (2, 3), standardise=True, components=5)
    rows = _rows(30, 20)
    head.fit_standardisation(rows)
    prepared = head.prepare(rows)
    assert prepared.shape == (30, prepared_width)
    assert not prepared.requires_grad
    optimiser = torch.optim.SGD([each for each in head.parameters() if each.requires_grad], lr=0.1)
    torch.autograd.backward(torch.stack([each.square().mean() for each in head(rows)[1]]).sum())
    optimiser.step()
    hidden, logits = head(rows)
    again, same = head.classify(prepared)
    torch.testing.assert_close(again, hidden)
    torch.testing.assert_close(same, logits)


def test_components_beyond_the_rank_are_zero() -> None:
    """A handful of images has fewer components than are asked for: the others say nothing."""
    head = BoostHead(20, 4, (2,), standardise=True, components=10)
    rows = _rows(4, 20)
    head.fit_standardisation(rows)
    look = head.look(rows)
    assert bool(torch.isfinite(look).all())
    assert bool((look[:, 3:] == 0).all())


def test_components_are_never_trained() -> None:
    """The projection is fitted once: an optimiser leaves it alone."""
    head = BoostHead(20, 4, (2,), standardise=True, components=5)
    names = {name for name, each in head.named_parameters() if not each.requires_grad}
    assert names == {"projection.weight", "projection.bias"}


def test_components_without_standardisation_are_refused() -> None:
    """Components are those of standardised features."""
    with pytest.raises(UsageError, match="need standardised features"):
        BoostHead(20, 4, (2,), standardise=False, components=5)


@pytest.mark.parametrize(
    ("features", "width", "classes", "dropout", "says"),
    [
        (0, 4, (2,), 0.0, "positive widths"),
        (4, 0, (2,), 0.0, "positive widths"),
        (4, 4, (), 0.0, "at least two values"),
        (4, 4, (2, 1), 0.0, "at least two values"),
        (4, 4, (2,), 1.0, "dropout is 1.0"),
        (4, 4, (2,), -0.1, "dropout is -0.1"),
    ],
)
def test_impossible_settings_are_refused(
    features: int, width: int, classes: Sequence[int], dropout: float, says: str
) -> None:
    """A head that cannot exist is a usage error that says why."""
    with pytest.raises(UsageError, match=says):
        BoostHead(features, width, classes, dropout=dropout, standardise=False)


@pytest.mark.parametrize("components", [None, 4])
def test_familiarity_falls_with_the_mahalanobis_distance(components: int | None) -> None:
    """Up to the typical distance all is believed, at twice as much a hundredth, linear between."""
    head = BoostHead(4, 3, (2,), standardise=True, components=components)
    rows = _rows(200, 4)
    head.fit_standardisation(rows)
    assert head.familiarity(head.look(rows)) is None
    head.typical = torch.tensor(1.5)
    found = head.familiarity(head.look(rows))
    assert found is not None
    table = rows.numpy().astype(np.float64)
    offsets: NDArray[np.float64] = table - table.mean(axis=0)
    # Without components the axes are the features, each by itself.
    covariance = np.cov(table.T, bias=True)
    if components is None:
        covariance = np.diag(np.diag(covariance))
    distances = (offsets * np.linalg.solve(covariance, offsets.T).T).sum(axis=1) / 4
    for row, distance in enumerate(distances.tolist()):
        expected = min(1.0, max(0.01, 2.0 - distance / 1.5))
        assert found[row].item() == pytest.approx(expected, abs=1e-4)
    # Some are believed as they are, some hardly, some in between.
    believed = found.numpy().astype(np.float64)
    assert (believed.min(), believed.max()) == (pytest.approx(0.01), 1.0)
    assert bool(((believed > 0.02) & (believed < 0.98)).any())


def test_what_is_typical_is_stored_only_where_it_is_known() -> None:
    """Heads of before load as they are, and even odds are never written down."""
    head = BoostHead(4, 3, (2, 4), standardise=True)
    assert {"typical", "even"}.isdisjoint(head.state_dict())
    head.typical = torch.tensor(2.0)
    assert head.state_dict()["typical"] == 2.0
    assert head.even.tolist() == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
