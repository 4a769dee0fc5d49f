"""Augmentation: repeatable, within bounds, and it keeps what the labels speak of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from boost_edge.export.augment import Augmentation, augment, compress, mix
from boost_edge.export.finetune_recipe import FINETUNE

NOTHING = Augmentation(
    smallest_area=1.0, stretch=1.0, flip=0.0, light=0.0, saturation=0.0, blur=0.0, jpeg=0.0,
    jpeg_quality=50, mixup=0.0,
)  # fmt: skip


def pictures(count: int = 6, size: int = 16) -> NDArray[np.uint8]:
    """Return random pictures, the same every time."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def changed(images: NDArray[np.uint8], size: int, how: Augmentation, seed: int = 0) -> np.ndarray:
    """Return the pictures after the augmentation."""
    generator = torch.Generator().manual_seed(seed)
    compressed = compress(images, how, generator)
    return augment(torch.from_numpy(compressed), size, how, generator).numpy()


def test_no_change_asked_is_no_change() -> None:
    """With every change off the pictures come back as they were."""
    images = pictures()
    np.testing.assert_allclose(changed(images, 16, NOTHING), images, atol=1e-3)


def test_same_generator_same_pictures() -> None:
    """The same seed draws the same changes, another seed others; the input is left alone."""
    images = pictures()
    before = images.copy()
    first = changed(images, 12, FINETUNE.augmentation)
    assert first.shape == (6, 12, 12, 3)
    np.testing.assert_array_equal(first, changed(images, 12, FINETUNE.augmentation))
    assert np.abs(first - changed(images, 12, FINETUNE.augmentation, seed=1)).max() > 1
    np.testing.assert_array_equal(images, before)


def test_flip_mirrors_left_and_right() -> None:
    """A share of 1 mirrors every picture, and nothing else."""
    images = pictures()
    mirrored = changed(images, 16, dataclasses.replace(NOTHING, flip=1.0))
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-3)


def test_crops_stay_inside_the_picture() -> None:
    """A crop shows parts of the picture only: a ramp keeps its bounds and its order."""
    ramp = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[None, None, :, None], (50, 32, 1, 3))
    how = dataclasses.replace(NOTHING, smallest_area=0.3, stretch=1.3)
    cropped = changed(ramp, 24, how)
    assert cropped.min() >= 0
    assert cropped.max() <= 255
    assert (np.diff(cropped, axis=2) >= -1e-3).all()
    spans = cropped[:, 0, -1, 0] - cropped[:, 0, 0, 0]
    assert spans.min() > 0.3 * 255 * 0.8
    assert spans.std() > 5


@pytest.mark.parametrize(
    "colour", [(200, 30, 30), (30, 160, 40), (40, 50, 190), (230, 210, 40), (120, 120, 120)]
)
def test_hue_is_never_changed(colour: tuple[int, int, int]) -> None:
    """However the light changes, the order of red, green and blue stays, and grey stays grey."""
    images = np.tile(np.array(colour, np.uint8), (40, 8, 8, 1))
    seen = changed(images, 8, FINETUNE.augmentation).mean(axis=(1, 2))
    if len(set(colour)) == 1:
        assert np.ptp(seen, axis=1).max() < 6
        return
    order = np.argsort(colour)
    assert (seen[:, order[2]] > seen[:, order[1]] - 6).all()
    assert (seen[:, order[2]] > seen[:, order[0]] + 20).all()


def test_blur_and_jpeg_touch_the_share_asked() -> None:
    """About half of the pictures are blurred, or compressed, where half is asked."""
    images = pictures(400, 8)
    for how in (
        dataclasses.replace(NOTHING, blur=0.5),
        dataclasses.replace(NOTHING, jpeg=0.5),
    ):
        touched = np.abs(changed(images, 8, how) - images).max(axis=(1, 2, 3)) > 1
        assert 0.4 < touched.mean() < 0.6


def test_mixtures_lie_between_their_two_pictures() -> None:
    """A share of the pictures is laid over with another one, and it is said which."""
    shown = torch.from_numpy(pictures(400, 4)).float()
    mixed, others = mix(shown, 0.5, torch.Generator().manual_seed(0))
    alone = others == torch.arange(400)
    assert 0.4 < 1 - alone.float().mean() < 0.6
    torch.testing.assert_close(mixed[alone], shown[alone])
    apart = shown - shown[others]
    along = ((mixed - shown[others]) * apart).sum(dim=(1, 2, 3))
    weights = (along / apart.square().sum(dim=(1, 2, 3)))[~alone]
    again = shown[others][~alone] + weights.reshape(-1, 1, 1, 1) * apart[~alone]
    torch.testing.assert_close(mixed[~alone], again, atol=1e-2, rtol=0)
    assert (weights > 0).all()
    assert (weights < 1).all()
    assert 0.4 < weights.mean() < 0.6


def test_nothing_is_mixed_or_drawn_where_no_mixture_is_asked_for() -> None:
    """The pictures come back as they are, and the generator is left where it was."""
    shown = torch.from_numpy(pictures()).float()
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    mixed, others = mix(shown, 0.0, generator)
    assert mixed is shown
    assert others.tolist() == list(range(6))
    assert torch.equal(generator.get_state(), state)
