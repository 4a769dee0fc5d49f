"""Batches: every picture once in an epoch, the same whenever they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from boost_edge.export.batches import Batches, Pictures
from boost_edge.export.finetune_recipe import FINETUNE


def pictures(count: int = 20) -> Pictures:
    """Return plain pictures, each with its number for a colour and for a label."""
    pixels = np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 16, 16, 3))
    order = np.random.default_rng(0).permutation(count)
    return Pictures(pixels=pixels, rows=order, codes=order[:, None])


def batches(shown: Pictures | None = None, *, size: int = 6, seed: int = 0) -> Batches:
    """Return batches on the CPU."""
    return Batches(
        shown or pictures(),
        FINETUNE.augmentation,
        batch_size=size,
        seed=seed,
        device=torch.device("cpu"),
    )


def test_an_epoch_shows_each_picture_at_most_once() -> None:
    """Whole batches alone, of different pictures; the next epoch has another order."""
    with batches() as steps:
        assert steps.per_epoch == 3
        first = np.concatenate([steps.get(step, 16).items for step in range(3)])
        second = np.concatenate([steps.get(step, 16).items for step in range(3, 6)])
    assert len(set(first.tolist())) == len(first) == 18
    assert len(set(second.tolist())) == 18
    assert first.tolist() != second.tolist()


def test_pixels_and_labels_belong_together() -> None:
    """What is shown is the picture whose labels come with it, changed but little."""
    shown = pictures()
    with batches(shown) as steps:
        batch = steps.get(2, 8)
    assert batch.pixels.shape == (6, 8, 8, 3)
    np.testing.assert_array_equal(batch.codes, shown.codes[batch.items])
    seen = batch.pixels.mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(seen, batch.codes[:, 0], atol=1.0, rtol=0.35)


@pytest.mark.parametrize("start", [0, 4])
def test_a_step_is_the_same_whenever_it_is_asked_for(start: int) -> None:
    """In order, out of order or as the first after an interruption."""
    with batches() as steps:
        in_order = [steps.get(step, 12) for step in range(6)]
    with batches() as steps:
        alone = steps.get(start, 12)
        assert torch.equal(alone.pixels, in_order[start].pixels)
        again = steps.get(start, 12)
    assert torch.equal(again.pixels, in_order[start].pixels)
    with batches(seed=1) as steps:
        assert not torch.equal(steps.get(start, 12).pixels, alone.pixels)


def test_fewer_pictures_than_a_batch_are_one() -> None:
    """A handful of pictures is an epoch of one step."""
    with batches(pictures(3)) as steps:
        assert steps.per_epoch == 1
        assert sorted(steps.get(0, 16).items.tolist()) == [0, 1, 2]
