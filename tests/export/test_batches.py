"""Batches: every picture once in an epoch, the same whenever they are asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from boost_edge.export.batches import Batch, Batches, Pictures
from boost_edge.export.finetune_recipe import FINETUNE


def pictures(count: int = 20) -> Pictures:
    """Return plain pictures, each with its number for a colour and for a label."""
    pixels = np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 16, 16, 3))
    order = np.random.default_rng(0).permutation(count)
    return Pictures(pixels=pixels, rows=order, codes=order[:, None])


def batches(
    seen: Pictures | None = None, *, size: int = 6, seed: int = 0, mixup: float = 0.0
) -> Batches:
    """Return batches on the CPU."""
    return Batches(
        seen or pictures(),
        dataclasses.replace(FINETUNE.augmentation, mixup=mixup),
        batch_size=size,
        seed=seed,
        device=torch.device("cpu"),
    )


def shown(steps: Batches, first: int, last: int, size: int = 16) -> list[Batch]:
    """Return some steps in order."""
    return [steps.finish(begun, size) for begun in steps.begin(first, last)]


def test_an_epoch_shows_each_picture_at_most_once() -> None:
    """Whole batches alone, of different pictures; the next epoch has another order."""
    steps = batches()
    assert steps.per_epoch == 3
    first = np.concatenate([batch.items for batch in shown(steps, 0, 3)])
    second = np.concatenate([batch.items for batch in shown(steps, 3, 6)])
    assert len(set(first.tolist())) == len(first) == 18
    assert len(set(second.tolist())) == 18
    assert first.tolist() != second.tolist()


def test_pixels_and_labels_belong_together() -> None:
    """What is shown is the picture whose labels come with it, changed but little."""
    seen = pictures()
    (batch,) = shown(batches(seen), 2, 3, size=8)
    assert batch.pixels.shape == (6, 8, 8, 3)
    np.testing.assert_array_equal(batch.codes, seen.codes[batch.items])
    brightness = batch.pixels.mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(brightness, batch.codes[:, 0], atol=1.0, rtol=0.35)


@pytest.mark.parametrize("start", [0, 4])
def test_a_step_is_the_same_whenever_it_is_asked_for(start: int) -> None:
    """In order, out of order or as the first after an interruption."""
    in_order = shown(batches(), 0, 6, size=12)
    steps = batches()
    (alone,) = shown(steps, start, start + 1, size=12)
    assert torch.equal(alone.pixels, in_order[start].pixels)
    (again,) = shown(steps, start, start + 1, size=12)
    assert torch.equal(again.pixels, in_order[start].pixels)
    (other,) = shown(batches(seed=1), start, start + 1, size=12)
    assert not torch.equal(other.pixels, alone.pixels)


def test_fewer_pictures_than_a_batch_are_one() -> None:
    """A handful of pictures is an epoch of one step."""
    steps = batches(pictures(3))
    assert steps.per_epoch == 1
    (batch,) = shown(steps, 0, 1)
    assert sorted(batch.items.tolist()) == [0, 1, 2]


def test_of_a_mixture_only_what_both_pictures_are_is_a_label() -> None:
    """A label holds where both have it; where they differ it is unknown."""
    seen = pictures(200)
    codes = np.stack([np.full(200, 3), np.arange(200)], axis=1)
    seen = dataclasses.replace(seen, codes=codes)
    (batch,) = shown(batches(seen, size=200, mixup=1.0), 0, 1)
    assert (batch.codes[:, 0] == 3).all()
    known = batch.codes[:, 1] != -1
    assert 0 < known.sum() < 10  # whom the lot gave themselves
    np.testing.assert_array_equal(batch.codes[known, 1], codes[batch.items[known], 1])
