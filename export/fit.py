"""Fit the head on features that are already extracted: seconds to minutes on a CPU."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from boost_edge.export.artefacts import read_tensors, write_tensors
from boost_edge.export.combinations import find_combinations
from boost_edge.export.contrast import Contrast, contrast_of
from boost_edge.export.importance import information
from boost_edge.export.recipes import Recipe
from boost_edge.export.temperature import UNKNOWN, calibrated_loss
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import RunError

__all__ = [
    "Epoch",
    "Fitted",
    "Rows",
    "classify_rows",
    "fit_head",
    "make_head",
    "mean_loss",
    "predict_logits",
    "prepare_rows",
]

# How long a training may run without being written down, in seconds.
_CHECKPOINT_INTERVAL = 5.0

# Rows whose features are standardised at a time, at most.
_PREPARED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Labelled features: ``(n, F) float32`` and ``(n, A) int64`` codes, -1 where unknown."""

    features: NDArray[np.float32]
    codes: NDArray[np.int64]

    def joined(self, more: Rows) -> Rows:
        """Return these rows and then the others."""
        return Rows(
            features=np.concatenate([self.features, more.features]),
            codes=np.concatenate([self.codes, more.codes]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Mean losses of one epoch, in nats per attribute.

    ``val_loss`` is that at the best temperatures (`calibrated_loss`); ``None`` without such a part.
    """

    train_loss: float
    val_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A trained head, every epoch's losses, and the epoch (from 0) whose weights it holds."""

    head: BoostHead
    history: tuple[Epoch, ...]
    best_epoch: int


def fit_head(
    train: Rows,
    val: Rows | None,
    classes: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train a boost head; the same arguments on the same machine give the same weights.

    The loss is the mean over the attributes of the cross entropy over the rows whose label is
    known, and ``recipe.contrast`` times that of the hidden vector. With ``checkpoint``, an
    interrupted training goes on where it was and ends with the same weights as one that was never
    interrupted.

    Parameters
    ----------
    train, val
        The rows to learn from, and those to choose the epoch by (``recipe.validation``).
    classes
        Number of values of each attribute, A numbers.
    epochs
        End after so many of the recipe's schedule; ``None`` for when the recipe says.
    progress
        Called with (epochs done, most epochs there can be).

    Raises
    ------
    RunError
        When the checkpoint is damaged or belongs to other data or settings.
    MissingExtraError
        When the recipe needs a library that is not installed.
    """
    with _one_thread():
        return _fit_head(train, val, classes, recipe, seed, epochs, checkpoint, progress)


def _fit_head(
    train: Rows,
    val: Rows | None,
    classes: Sequence[int],
    recipe: Recipe,
    seed: int,
    epochs: int | None,
    checkpoint: Path | None,
    progress: Callable[[int, int], None] | None,
) -> Fitted:
    state = _State.start(train, classes, recipe, seed)
    digest = _digest(train, val, classes, recipe, seed, epochs)
    if checkpoint is not None and checkpoint.exists():
        state.restore(checkpoint, digest)
    prepared, codes = prepare_rows(state.head, train.features), torch.from_numpy(train.codes)
    held_out = None if val is None else prepare_rows(state.head, val.features)
    contrast = contrast_of(train.codes) if recipe.contrast else None
    written = time.monotonic()
    while not state.finished(recipe, epochs):
        epoch = len(state.history)
        loss = _train_epoch(state, prepared, codes, recipe, seed, epoch, contrast)
        val_loss = None
        if val is not None and held_out is not None:
            val_loss = calibrated_loss(classify_rows(state.head, held_out), val.codes)
        state.keep(Epoch(train_loss=loss, val_loss=val_loss))
        if progress is not None:
            progress(epoch + 1, epochs or recipe.epochs)
        if checkpoint is not None and time.monotonic() - written > _CHECKPOINT_INTERVAL:
            state.save(checkpoint, digest)
            written = time.monotonic()
    state.head.load_state_dict(state.best)
    state.head.eval()
    return Fitted(head=state.head, history=tuple(state.history), best_epoch=state.best_epoch)


def make_head(train: Rows, classes: Sequence[int], recipe: Recipe) -> BoostHead:
    """Return the head that a training starts with: its weights are drawn as torch is seeded.

    What is not trained, such as the standardisation, is taken from the training rows. ``classes``
    are as in `fit_head`.
    """
    features = train.features.shape[1]
    head = BoostHead(
        features,
        recipe.width or features,
        classes,
        dropout=recipe.dropout,
        standardise=recipe.standardise,
        components=recipe.components,
    )
    head.fit_standardisation(torch.from_numpy(train.features))
    head.combinations = torch.from_numpy(find_combinations(train.codes, recipe.combination_images))
    if recipe.importance == "information":
        head.importance.copy_(information(train.codes))
    return head


def predict_logits(
    head: BoostHead, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], ...]:
    """Return the logits of each attribute, ``(n, K_a) float32``, before the temperature."""
    return classify_rows(head, prepare_rows(head, features))


def prepare_rows(head: BoostHead, features: NDArray[np.float32]) -> torch.Tensor:
    """Return what the head's first layer takes of features ``(n, F)``; see `BoostHead.prepare`.

    Training changes nothing of it. Pieces of equal size: what is in between is held of one of
    them, and none is so small that its products are added up in another way.
    """
    with torch.no_grad():
        count = max(1, math.ceil(len(features) / _PREPARED_AT_ONCE))
        pieces = torch.tensor_split(torch.from_numpy(features), count)
        return torch.cat([head.prepare(piece) for piece in pieces])


def classify_rows(head: BoostHead, prepared: torch.Tensor) -> tuple[NDArray[np.float32], ...]:
    """Return the logits of prepared rows, as `predict_logits`."""
    head.eval()
    with torch.inference_mode():
        _, logits = head.classify(prepared)
    return tuple(each.numpy() for each in logits)


@contextmanager
def _one_thread() -> Generator[None]:
    """Let torch use one thread, so that sums do not depend on the number of cores.

    The head is too small to gain from more: they mostly wait for each other.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(slots=True, kw_only=True)
class _State:
    """What a training carries from epoch to epoch."""

    head: BoostHead
    optimiser: torch.optim.Adam
    history: list[Epoch]
    best: dict[str, torch.Tensor]
    best_epoch: int

    @classmethod
    def start(cls, train: Rows, classes: Sequence[int], recipe: Recipe, seed: int) -> _State:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = make_head(train, classes, recipe)
        kind = torch.optim.AdamW if recipe.decoupled_decay else torch.optim.Adam
        optimiser = kind(
            [each for each in head.parameters() if each.requires_grad],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        return cls(head=head, optimiser=optimiser, history=[], best={}, best_epoch=-1)

    def keep(self, epoch: Epoch) -> None:
        """Note an epoch, and its weights if they are the ones to return so far."""
        losses = [each.val_loss for each in self.history if each.val_loss is not None]
        self.history.append(epoch)
        if epoch.val_loss is None or epoch.val_loss < min(losses, default=math.inf):
            self.best_epoch = len(self.history) - 1
            self.best = {name: value.clone() for name, value in self.head.state_dict().items()}

    def finished(self, recipe: Recipe, epochs: int | None) -> bool:
        done = len(self.history)
        if epochs is not None:
            return done == epochs
        if done == 0:
            return False
        reached = recipe.stop_loss is not None and self.history[-1].train_loss < recipe.stop_loss
        stale = recipe.validation and done - 1 - self.best_epoch >= recipe.patience
        return done >= recipe.epochs or reached or stale

    def save(self, path: Path, digest: str) -> None:
        tensors = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        note = {
            "digest": digest,
            "best_epoch": self.best_epoch,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
        }
        write_tensors(path, tensors, {"checkpoint": json.dumps(note)})

    def restore(self, path: Path, digest: str) -> None:
        tensors, metadata = read_tensors(path)
        try:
            note = json.loads(metadata["checkpoint"])
            if note["digest"] != digest:
                raise RunError(
                    f"{path}: belongs to a training with other data or settings: delete the "
                    "folder, or choose another one with --out"
                )
            self.history = [Epoch(**epoch) for epoch in note["history"]]
            self.best_epoch = note["best_epoch"]
            self.head.load_state_dict(_under("head.", tensors))
            self.best = _under("best.", tensors)
            saved = self.optimiser.state_dict()
            for name, value in _under("optimiser.", tensors).items():
                index, key = name.split(".", 1)
                saved["state"].setdefault(int(index), {})[key] = value
            self.optimiser.load_state_dict(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: damaged checkpoint ({error}): delete it to train from the start"
            ) from error


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _train_epoch(
    state: _State,
    prepared: torch.Tensor,
    codes: torch.Tensor,
    recipe: Recipe,
    seed: int,
    epoch: int,
    contrast: Contrast | None,
) -> float:
    """Go over the training rows once, in an order that depends on seed and epoch alone.

    Returns the mean loss of the attributes.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = _learning_rate(recipe, epoch)
    state.head.train()
    total = 0.0
    # The random state of an epoch is a function of its number, so that a resumed training
    # draws what an uninterrupted one would have drawn.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + epoch + 1)
        for batch in torch.split(torch.randperm(len(prepared)), recipe.batch_size):
            hidden, logits = state.head.classify(prepared[batch])
            loss = mean_loss(logits, codes[batch], recipe.label_smoothing)
            total += float(loss.detach()) * len(batch)
            if contrast is not None:
                loss = loss + recipe.contrast * contrast(hidden, batch)
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            state.optimiser.step()
    return total / len(prepared)


def _learning_rate(recipe: Recipe, epoch: int) -> float:
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))


def mean_loss(
    logits: Sequence[torch.Tensor], codes: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """Return the mean over the attributes; an attribute without a known row counts as zero."""
    losses = [
        cross_entropy(
            each,
            codes[:, column],
            ignore_index=UNKNOWN,
            label_smoothing=smoothing,
            reduction="sum",
        )
        / (codes[:, column] != UNKNOWN).sum().clamp(min=1)
        for column, each in enumerate(logits)
    ]
    return torch.stack(losses).mean()


def _digest(
    train: Rows,
    val: Rows | None,
    classes: Sequence[int],
    recipe: Recipe,
    seed: int,
    epochs: int | None,
) -> str:
    content = hashlib.sha256()
    content.update(
        json.dumps([recipe.settings(), seed, list(classes), epochs], sort_keys=True).encode()
    )
    for rows in (train, val):
        if rows is not None:
            content.update(np.ascontiguousarray(rows.features).data)
            content.update(np.ascontiguousarray(rows.codes).data)
    return content.hexdigest()
