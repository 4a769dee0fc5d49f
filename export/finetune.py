"""Train a whole network on the labelled images: from random weights, or from those it has.

Multi-task: one linear classifier per attribute on the pooled features, all thrown away at the
end. What is kept is the backbone; the head that serves is fitted afterwards, as on any backbone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from boost_edge.export.artefacts import read_tensors, write_tensors
from boost_edge.export.batches import Batches, Begun, Pictures, step_seed
from boost_edge.export.finetune_recipe import FinetuneRecipe
from boost_edge.export.run import FinetuneEpoch
from boost_edge.export.student import Student
from boost_edge.export.teacher import Teacher
from boost_edge.export.temperature import UNKNOWN, calibrated_loss
from boost_edge.models.backbones import Backbone
from boost_edge.models.devices import best_device
from boost_edge.runtime.errors import RunError
from boost_edge.runtime.records import record_from_json

__all__ = ["finetune"]

# How long a training may run without being written down, in seconds.
_CHECKPOINT_INTERVAL = 60.0
_EVALUATION_BATCH = 256
_SIZE_STEP = 8
_DIGESTED = 64


def finetune(
    backbone: Backbone,
    train: Pictures,
    val: Pictures,
    classes: Sequence[int],
    recipe: FinetuneRecipe,
    *,
    seed: int,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FinetuneEpoch, ...]:
    """Train the backbone in place, and return what each epoch came to.

    It ends with the exponential moving average of its weights. With ``checkpoint``, an
    interrupted training goes on where it was and, on a CPU, ends with the same weights as one that
    was never interrupted: there the same arguments on the same machine give the same weights. A
    GPU adds up in no fixed order.

    Parameters
    ----------
    backbone
        On the CPU; a CUDA device is used, in bfloat16, where there is one.
    classes
        Number of values of each attribute, A numbers.
    teacher
        Whoever says something of the training images besides their labels.
    progress
        Called with (steps done, steps in all).

    Raises
    ------
    RunError
        When the checkpoint is damaged or belongs to other data or settings, or when a GPU has too
        little memory.
    """
    digest = _digest(backbone, train, val, classes, recipe, seed, teacher)
    run = _Run(backbone, train, classes, recipe, seed, teacher)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint, digest)
    written = time.monotonic()
    steps = run.batches.begin(run.done, run.steps)
    with closing(steps), _naming_the_device():
        while run.done < run.steps:
            run.step(steps)
            if run.done % run.steps_per_epoch == 0:
                run.end_epoch(val)
            now = time.monotonic()
            if checkpoint is not None and now - written > _CHECKPOINT_INTERVAL:
                run.save(checkpoint, digest)
                written = now
            if progress is not None:
                progress(run.done, run.steps)
    if checkpoint is not None:
        # What is done with the network afterwards may be interrupted as well.
        run.save(checkpoint, digest)
    run.finish()
    return tuple(run.history)


@contextmanager
def _naming_the_device() -> Generator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise RunError(
            "the GPU has too little memory for this training: take a smaller --batch-size, or hide "
            "it with CUDA_VISIBLE_DEVICES="
        ) from error


class _Run:
    """A training as it goes: the network, its average, the optimiser, and where it is."""

    def __init__(
        self,
        backbone: Backbone,
        train: Pictures,
        classes: Sequence[int],
        recipe: FinetuneRecipe,
        seed: int,
        teacher: Teacher | None,
    ) -> None:
        self.recipe, self.seed, self.teacher = recipe, seed, teacher
        self.full = int(train.pixels.shape[1])
        self.smallest = _smallest_size(backbone, self.full)
        self.device = best_device()
        self.batches = Batches(
            train,
            recipe.augmentation,
            batch_size=recipe.batch_size,
            seed=seed,
            device=self.device,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            looks = None if teacher is None else teacher.look_width
            self.student = Student(backbone, classes, looks, recipe.dropout)
        for module in backbone.stages.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1  # torch's own; a network of random weights came with none
                module.reset_running_stats()
        backbone.stages.requires_grad_(requires_grad=True)
        self.student.to(self.device).to(memory_format=torch.channels_last)
        self.average = {
            name: value.detach().clone() for name, value in self.student.state_dict().items()
        }
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.student, recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            # One kernel for all weights: a small network on a GPU mostly waits to be told.
            fused=self.device.type == "cuda",
        )
        self.steps_per_epoch = self.batches.per_epoch
        self.steps = self.steps_per_epoch * recipe.epochs
        self.done = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=self.device)
        self.seconds = 0.0
        self.history: list[FinetuneEpoch] = []

    def step(self, steps: Iterator[Begun]) -> None:
        """Train on the next batch."""
        began = time.monotonic()
        batch = self.batches.finish(next(steps), self._size())
        for group in self.optimiser.param_groups:
            group["lr"] = _learning_rate(self.recipe, self.done, self.steps)
        self.student.train()
        self.student.backbone.stages.train()
        with torch.random.fork_rng(devices=[]), self._precision():
            torch.manual_seed(step_seed(self.seed, self.done))
            said = None
            if self.teacher is not None:
                said = self.teacher.say(batch.items, batch.pixels)
            loss = self.student.loss(batch.pixels, batch.codes, self.recipe, said)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimiser.step()
        self.done += 1
        self._follow()
        self.loss += loss.detach()
        self.seconds += time.monotonic() - began

    def end_epoch(self, val: Pictures) -> None:
        """Note what the averaged weights are worth."""
        began = time.monotonic()
        train_loss = float(self.loss) / self.steps_per_epoch  # waits for the device
        self.seconds += time.monotonic() - began
        logits = self._evaluate(val) if len(val) else []
        accuracies: list[float | None] = []
        for column in range(val.codes.shape[1]):
            truth = val.codes[:, column]
            known = truth != UNKNOWN
            if not known.any():
                accuracies.append(None)
                continue
            right = logits[column].argmax(axis=1)[known] == truth[known]
            accuracies.append(float(right.mean()))
        self.history.append(
            FinetuneEpoch(
                size=self._size(self.done - 1),
                train_loss=train_loss,
                val_loss=calibrated_loss(logits, val.codes) if logits else None,
                accuracy=tuple(accuracies),
                seconds=self.seconds,
            )
        )
        self.loss.zero_()
        self.seconds = 0.0

    def finish(self) -> None:
        """Leave the averaged weights in the backbone, frozen and on the CPU."""
        backbone = self.student.backbone
        self.student.load_state_dict(self.average)
        self.student.to("cpu").to(memory_format=torch.contiguous_format)
        backbone.requires_grad_(requires_grad=False)
        backbone.eval()
        backbone.stages.eval()

    def _size(self, step: int | None = None) -> int:
        """Return the edge of the images at a step: small first, as quick epochs teach much."""
        recipe = self.recipe
        epoch = (self.done if step is None else step) // self.steps_per_epoch
        grown = min(1.0, epoch / max(1.0, recipe.growth * recipe.epochs))
        share = recipe.smallest + (recipe.largest - recipe.smallest) * grown
        size = round(share * self.full / _SIZE_STEP) * _SIZE_STEP
        return min(self.full, max(self.smallest, size))

    def _precision(self) -> torch.autocast | nullcontext[None]:
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    def _follow(self) -> None:
        """Move the average towards the weights; at first it is little more than the weights."""
        decay = min(self.recipe.average, (1 + self.done) / (10 + self.done))
        pairs = [(self.average[name], now) for name, now in self.student.state_dict().items()]
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        with torch.no_grad():
            follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch leaves it
            follow([mean for mean, _ in floating], [now for _, now in floating], self.done)
            for mean, now in pairs:
                if not mean.is_floating_point():
                    mean.copy_(now)

    def _evaluate(self, pictures: Pictures) -> list[NDArray[np.float32]]:
        now = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict(self.average)
        self.student.eval()
        self.student.backbone.stages.eval()
        batches: list[tuple[Tensor, ...]] = []
        with torch.inference_mode():
            for start in range(0, len(pictures), _EVALUATION_BATCH):
                items = np.arange(start, min(start + _EVALUATION_BATCH, len(pictures)))
                batch = torch.from_numpy(pictures.take(items))
                logits, _ = self.student(batch.to(self.device))
                batches.append(tuple(each.float().cpu() for each in logits))
        self.student.load_state_dict(now)
        return [torch.cat(each).numpy() for each in zip(*batches, strict=True)]

    def save(self, path: Path, digest: str) -> None:
        """Write everything down that the rest of the training depends on."""
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        note = {
            "digest": digest,
            "done": self.done,
            "loss": float(self.loss),
            "seconds": self.seconds,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
        }
        # Channels last in memory; a file of tensors knows one order only.
        plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
        write_tensors(path, plain, {"checkpoint": json.dumps(note)})

    def restore(self, path: Path, digest: str) -> None:
        """Go back to where an interrupted training was."""
        tensors, metadata = read_tensors(path)
        try:
            note = json.loads(metadata["checkpoint"])
            if note["digest"] != digest:
                raise RunError(
                    f"{path}: belongs to a training with other data or settings: delete the "
                    "folder, or choose another one with --out"
                )
            self.done, self.seconds = note["done"], note["seconds"]
            self.loss.fill_(note["loss"])
            self.history = [
                record_from_json(FinetuneEpoch, epoch, "history") for epoch in note["history"]
            ]
            self.student.load_state_dict(_under("student.", tensors))
            for name, value in _under("average.", tensors).items():
                self.average[name].copy_(value)
            saved = self.optimiser.state_dict()
            for name, value in _under("optimiser.", tensors).items():
                index, key = name.split(".", 1)
                saved["state"].setdefault(int(index), {})[key] = value
            self.optimiser.load_state_dict(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: damaged checkpoint ({error}): delete it to train from the start"
            ) from error


def _smallest_size(backbone: Backbone, full: int) -> int:
    """Return the smallest edge in pixels, by steps, that the network and its grids can take."""
    sizes = range(_SIZE_STEP, full, _SIZE_STEP)
    return next((size for size in sizes if backbone.takes(size)), full)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _parameter_groups(student: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Spare biases and normalisations the weight decay, as is usual."""
    parameters = [each for each in student.parameters() if each.requires_grad]
    return [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]


def _learning_rate(recipe: FinetuneRecipe, step: int, steps: int) -> float:
    """Rise in a line, then fall as a cosine to zero."""
    warm = recipe.warm_up * steps
    if step < warm:
        return recipe.learning_rate * (step + 1) / (warm + 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def _digest(
    backbone: Backbone,
    train: Pictures,
    val: Pictures,
    classes: Sequence[int],
    recipe: FinetuneRecipe,
    seed: int,
    teacher: Teacher | None,
) -> str:
    """Name all that a training depends on; of the images their labels, and the pixels of some.

    The latter change with the resize policy.
    """
    content = hashlib.sha256()
    taught = None if teacher is None else teacher.sha256
    settings = [dataclasses.asdict(recipe), seed, list(classes), taught, len(val)]
    content.update(json.dumps(settings, sort_keys=True).encode())
    content.update(f"{backbone.digest()} {train.pixels.shape[1:]} {len(train)}".encode())
    content.update(train.take(np.arange(min(len(train), _DIGESTED))).tobytes())
    for pictures in (train, val):
        content.update(np.ascontiguousarray(pictures.codes).tobytes())
    return content.hexdigest()
