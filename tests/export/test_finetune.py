"""Training a whole network: it learns, it repeats itself, it survives, it listens to a teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from boost_edge.export import finetune as module
from boost_edge.export.finetune import Pictures, finetune
from boost_edge.export.finetune_recipe import FINETUNE, FinetuneRecipe
from boost_edge.export.run import FinetuneEpoch
from boost_edge.export.teacher import Lessons
from boost_edge.models.backbones import Backbone, build_backbone
from boost_edge.runtime.errors import RunError

QUICK = dataclasses.replace(FINETUNE, epochs=2, batch_size=16, average=0.5)
CLASSES = (2, 3)


def pictures(seed: int, count: int) -> Pictures:
    """Return pictures whose brightness and redness are their labels; some are unknown."""
    generator = np.random.default_rng(seed)
    codes = np.stack([generator.integers(0, 2, count), generator.integers(0, 3, count)], axis=1)
    pixels = generator.integers(0, 60, (count + 1, 32, 32, 3))
    pixels[:count, :16] += (120 * codes[:, 0])[:, None, None, None]
    pixels[:count, :, :, 0] += (60 * codes[:, 1])[:, None, None]
    codes[::9, 0] = -1
    # Out of order, and with a row that belongs to nobody.
    order = generator.permutation(count)
    return Pictures(pixels=pixels.clip(0, 255).astype(np.uint8), rows=order, codes=codes[order])


def network() -> Backbone:
    """Return a narrow network of random weights."""
    return build_backbone("resnet18_w40", weights="none", taps=("layer2",), image_size=32)


def trained(
    recipe: FinetuneRecipe = QUICK, *, seed: int = 0, lessons: Lessons | None = None,
    checkpoint: Path | None = None, progress: Callable[[int, int], None] | None = None,
) -> tuple[Backbone, tuple[FinetuneEpoch, ...]]:  # fmt: skip
    """Train a small network."""
    backbone = network()
    history = finetune(
        backbone, pictures(1, 64), pictures(2, 40), CLASSES, recipe, seed=seed, lessons=lessons,
        checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    return backbone, history


def without_seconds(history: tuple[FinetuneEpoch, ...]) -> list[FinetuneEpoch]:
    """Return the epochs as if they had taken no time."""
    return [dataclasses.replace(each, seconds=0.0) for each in history]


def same(one: Backbone, other: Backbone) -> bool:
    """Tell whether two networks have the same weights."""
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_network_learns_what_it_is_shown() -> None:
    """After some epochs unseen pictures are judged far better than by chance; images grow."""
    recipe = dataclasses.replace(QUICK, epochs=12, average=0.9)
    backbone = network()
    history = finetune(backbone, pictures(1, 256), pictures(2, 100), CLASSES, recipe, seed=0)
    assert history[-1].accuracy[0] > 0.9
    assert history[-1].accuracy[1] > 0.6
    assert history[-1].val_loss < history[0].val_loss
    sizes = [each.size for each in history]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] < 32
    assert not any(each.requires_grad for each in backbone.parameters())
    assert not any(each.training for each in backbone.stages.modules())
    batch = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    assert torch.equal(backbone(batch), backbone(batch))


def test_same_seed_same_weights() -> None:
    """The same arguments give the same weights, another seed others."""
    first, history = trained()
    again, repeated = trained()
    assert same(first, again)
    assert without_seconds(history) == without_seconds(repeated)
    other, _ = trained(seed=1)
    assert not same(first, other)


@pytest.mark.parametrize("after", [1, 5, 8])
def test_interrupted_training_goes_on(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted within or after an epoch, it ends with the weights of one that was not."""
    monkeypatch.setattr(module, "_CHECKPOINT_INTERVAL", 0.0)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(done: int, total: int) -> None:
        assert total == 8
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=checkpoint, progress=stop)
    seen: list[int] = []

    def note(done: int, _total: int) -> None:
        seen.append(done)

    resumed, history = trained(checkpoint=checkpoint, progress=note)
    assert seen == list(range(after + 1, 9))
    whole, uninterrupted = trained()
    assert same(resumed, whole)
    assert without_seconds(history) == without_seconds(uninterrupted)


def test_checkpoint_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint belongs to one training; a damaged one is called that."""
    monkeypatch.setattr(module, "_CHECKPOINT_INTERVAL", 0.0)
    checkpoint = tmp_path / "checkpoint.safetensors"
    trained(checkpoint=checkpoint)
    with pytest.raises(RunError, match="other data or settings"):
        trained(dataclasses.replace(QUICK, dropout=0.3), checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read"):
        trained(checkpoint=checkpoint)


def test_teacher_is_listened_to() -> None:
    """With the teacher's word alone, the network learns what the teacher says, not the labels."""
    shown = pictures(1, 256)
    contrary = 1 - np.abs(shown.codes[:, 0])
    contrary[shown.codes[:, 0] < 0] = 0
    posteriors = (
        np.eye(2, dtype=np.float32)[contrary],
        np.full((256, 3), 1 / 3, dtype=np.float32),
    )
    looks = np.eye(4, dtype=np.float32)[np.arange(256) % 4]
    lessons = Lessons(sha256="0" * 64, posteriors=posteriors, looks=looks)
    recipe = dataclasses.replace(QUICK, epochs=12, average=0.9, teacher=1.0, look=0.1)
    history = finetune(network(), shown, pictures(2, 100), CLASSES, recipe, seed=0, lessons=lessons)
    assert history[-1].accuracy[0] < 0.1
