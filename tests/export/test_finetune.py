"""Training a whole network: it learns, it repeats itself, it survives, it listens to a teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from boost_edge.export import finetune as module
from boost_edge.export.batches import Pictures
from boost_edge.export.finetune import finetune
from boost_edge.export.finetune_recipe import FINETUNE, FinetuneRecipe
from boost_edge.export.run import FinetuneEpoch
from boost_edge.export.teacher import Ensemble, Lessons, Teacher, Tutor
from boost_edge.models.backbones import Backbone, build_backbone
from boost_edge.models.head import BoostHead
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
    recipe: FinetuneRecipe = QUICK, *, seed: int = 0, teacher: Teacher | None = None,
    checkpoint: Path | None = None, progress: Callable[[int, int], None] | None = None,
    backbone: Backbone | None = None,
) -> tuple[Backbone, tuple[FinetuneEpoch, ...]]:  # fmt: skip
    """Train a small network."""
    backbone = backbone or network()
    history = finetune(
        backbone, pictures(1, 64), pictures(2, 40), CLASSES, recipe, seed=seed, teacher=teacher,
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
    colour, redness = history[-1].accuracy
    assert colour is not None
    assert colour > 0.9
    assert redness is not None
    assert redness > 0.6
    first, last = history[0].val_loss, history[-1].val_loss
    assert first is not None
    assert last is not None
    assert last < first
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
    other = network()
    next(other.parameters()).mul_(0.5)
    with pytest.raises(RunError, match="other data or settings"):
        trained(checkpoint=checkpoint, backbone=other)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read"):
        trained(checkpoint=checkpoint)


def test_what_is_finished_stays_finished(tmp_path: Path) -> None:
    """However little time it took, nothing is trained again after an interruption later on."""
    checkpoint = tmp_path / "checkpoint.safetensors"
    first, history = trained(checkpoint=checkpoint)
    seen: list[int] = []
    again, same_history = trained(checkpoint=checkpoint, progress=lambda done, _: seen.append(done))
    assert not seen
    assert same(first, again)
    assert same_history == history


def test_images_are_never_too_small_for_a_grid() -> None:
    """Small images come first, but none whose map is coarser than the grid that it is pooled on."""
    backbone = build_backbone("resnet18_w40", weights="none", taps=("layer2:4x4",), image_size=40)
    shown = pictures(1, 32)
    shown = dataclasses.replace(shown, pixels=np.pad(shown.pixels, ((0,), (4,), (4,), (0,))))
    history = finetune(backbone, shown, shown, CLASSES, QUICK, seed=0)
    assert [each.size for each in history] == [32, 32]


def test_a_transformer_is_trained_at_its_own_size() -> None:
    """Its positions are of one size of images only."""
    backbone = build_backbone(
        "vit_tiny_patch16_224", weights="none", taps=("encoder_layer_0",), image_size=32
    )
    history = finetune(backbone, pictures(1, 32), pictures(2, 16), CLASSES, QUICK, seed=0)
    assert [each.size for each in history] == [32, 32]


def test_what_no_validation_image_can_tell() -> None:
    """An attribute without a known label, or a part without images, has no figure."""
    val = pictures(2, 16)
    val.codes[:, 1] = -1
    history = finetune(network(), pictures(1, 32), val, CLASSES, QUICK, seed=0)
    assert history[-1].accuracy[0] is not None
    assert history[-1].accuracy[1] is None
    nothing = dataclasses.replace(val, rows=val.rows[:0], codes=val.codes[:0])
    history = finetune(network(), pictures(1, 32), nothing, CLASSES, QUICK, seed=0)
    assert history[-1].val_loss is None
    assert history[-1].accuracy == (None, None)


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
    history = finetune(network(), shown, pictures(2, 100), CLASSES, recipe, seed=0, teacher=lessons)
    [believed, _] = history[-1].accuracy
    assert believed is not None
    assert believed < 0.1


def mind() -> tuple[Backbone, BoostHead]:
    """Return a network of random weights for larger images than its student sees, and a head."""
    backbone = build_backbone("resnet18_w40", weights="none", taps=("layer1",), image_size=48)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = BoostHead(backbone.width, 8, [2, 4], standardise=False)
    head.temperature.copy_(torch.tensor([0.5, 2.0]))
    return backbone, head.eval()


def tutor(columns: tuple[list[int], ...] = ([0, 1], [0, 1, 2])) -> Tutor:
    """Return a teacher with that mind."""
    return Tutor(*mind(), columns, "0" * 64, 48)


def test_tutor_says_what_its_run_says_of_these_very_pixels() -> None:
    """At its own size it says what backbone, head and temperature say, by the student's values."""
    teacher = tutor(([1, 0], [3, 0, 2]))
    backbone, head = mind()
    shown = torch.randint(0, 256, (5, 48, 48, 3)).float()
    with torch.inference_mode():
        features = backbone(shown)
        _, (first, second) = head(features)
    said = teacher.say(np.arange(5), shown)
    expected = (first / 0.5).softmax(dim=1).flip(1)
    torch.testing.assert_close(said.posteriors[0], expected)
    picked = (second / 2.0).softmax(dim=1)[:, [3, 0, 2]]
    torch.testing.assert_close(said.posteriors[1], picked / picked.sum(dim=1, keepdim=True))
    torch.testing.assert_close(said.looks.norm(dim=1), torch.ones(5))
    direction = features / features.norm(dim=1, keepdim=True)
    torch.testing.assert_close(said.looks, direction)
    again = teacher.say(np.arange(5), shown[:, ::2, ::2])
    assert again.looks.shape == said.looks.shape
    assert not torch.equal(again.looks, said.looks)
    assert not any(each.requires_grad for each in said.posteriors)


def test_tutor_looks_at_the_size_it_is_told() -> None:
    """What it is shown is scaled to that size, whatever its network was built for."""
    shown = torch.randint(0, 256, (3, 32, 32, 3)).float()
    said = Tutor(*mind(), ([0, 1], [0, 1, 2]), "0" * 64, 32).say(np.arange(3), shown)
    backbone, head = mind()
    with torch.inference_mode():
        _, (first, _) = head(backbone(shown))
    torch.testing.assert_close(said.posteriors[0], (first / 0.5).softmax(dim=1))


def test_several_teachers_say_their_mean_and_show_all_they_see() -> None:
    """Posteriors are averaged; a cosine of the looks is the mean of the cosines of each."""
    rng = np.random.default_rng(0)

    def lessons(name: str, width: int) -> Lessons:
        looks = rng.standard_normal((20, width)).astype(np.float32)
        return Lessons(
            sha256=name,
            posteriors=tuple(
                rng.dirichlet(np.ones(count), 20).astype(np.float32) for count in (2, 3)
            ),
            looks=looks / np.linalg.norm(looks, axis=1, keepdims=True),
        )

    first, second = lessons("a" * 64, 4), lessons("b" * 64, 6)
    both = Ensemble([first, second])
    assert both.sha256 == "a" * 64 + " " + "b" * 64
    items = np.array([3, 1, 19])
    said = both.say(items, torch.zeros(3, 8, 8, 3))
    for column, mean in enumerate(said.posteriors):
        expected = (first.posteriors[column][items] + second.posteriors[column][items]) / 2
        np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)
    assert said.looks.shape == (3, both.look_width) == (3, 10)
    cosines = [each.looks[items] @ each.looks[items].T for each in (first, second)]
    np.testing.assert_allclose(
        (said.looks @ said.looks.T).numpy(), (cosines[0] + cosines[1]) / 2, atol=1e-6
    )


def test_one_teacher_is_what_it_says_alone() -> None:
    """An ensemble of one changes nothing, to the bit of the posteriors."""
    shown = torch.randint(0, 256, (5, 48, 48, 3)).float()
    alone, among = tutor().say(np.arange(5), shown), Ensemble([tutor()]).say(np.arange(5), shown)
    for one, other in zip(alone.posteriors, among.posteriors, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(alone.looks, among.looks)


def test_too_little_memory_of_a_gpu_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do is said: smaller batches, or no GPU."""

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Tutor, "say", fail)
    with pytest.raises(RunError, match="smaller --batch-size, or hide it"):
        trained(teacher=tutor())


def test_tutor_is_heard_and_a_training_with_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that hears a tutor becomes another one, the same however often interrupted."""
    monkeypatch.setattr(module, "_CHECKPOINT_INTERVAL", 0.0)
    alone, _ = trained()
    taught, history = trained(teacher=tutor())
    assert not same(alone, taught)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(teacher=tutor(), checkpoint=checkpoint, progress=stop)
    with pytest.raises(RunError, match="other data or settings"):
        trained(checkpoint=checkpoint)
    resumed, repeated = trained(teacher=tutor(), checkpoint=checkpoint)
    assert same(taught, resumed)
    assert without_seconds(history) == without_seconds(repeated)
