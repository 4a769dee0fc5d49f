"""A head trained with more than its attributes: tags of the name.

For ablations only: a small training loop of its own, which without tags trains as
`boost_edge.export.fit` does. What it finds out is worth more than what it would add to a recipe.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.relevance import name_words

if TYPE_CHECKING:
    from torch import Tensor

    from boost_edge.export.fit import Rows
    from boost_edge.export.recipes import Recipe
    from boost_edge.models.head import BoostHead

__all__ = ["ExtraLosses", "tag_matrix", "train_with_extras"]

_FEWEST = 5
_MOST_TAGS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraLosses:
    """Weights of the losses that are added up.

    ``attributes`` is that of the recipe's own loss (0: the paper's Task 2), ``tags`` of the binary
    cross entropy of the tags, divided by the mean number of tags of an image (with both: Task 3).
    """

    attributes: float = 1.0
    tags: float = 0.0


def tag_matrix(names: Sequence[str], fitted: int) -> NDArray[np.float32]:
    """Return which tags each name has, ``(n, T) float32`` of 0 and 1.

    Tags are the words that at least 5 of the first ``fitted`` names have, at most 500 of them, the
    commonest; equally common ones in the order of the alphabet.
    """
    words = [set(name_words(name)) for name in names]
    counts = Counter(word for each in words[:fitted] for word in each)
    common = sorted((-count, word) for word, count in counts.items() if count >= _FEWEST)
    tags = [word for _, word in common[:_MOST_TAGS]]
    matrix = [[float(tag in each) for tag in tags] for each in words]
    return np.array(matrix, np.float32).reshape(len(names), len(tags))


def train_with_extras(
    train: Rows,
    val: Rows,
    classes: Sequence[int],
    recipe: Recipe,
    losses: ExtraLosses,
    *,
    tags: NDArray[np.float32],
    seed: int,
) -> BoostHead:
    """Return a calibrated head; its epoch is chosen by the validation rows' attributes.

    Without a loss of the attributes there is nothing to choose by: the last epoch is returned.

    Parameters
    ----------
    tags
        ``(n, T)`` of the training rows.
    """
    import torch

    from boost_edge.export.calibrate import calibrate_head
    from boost_edge.export.fit import classify_rows, prepare_rows
    from boost_edge.export.temperature import calibrated_loss

    work = _Training(train, classes, recipe, losses, tags=tags, seed=seed)
    best: dict[str, torch.Tensor] = {}
    best_loss, stale = math.inf, 0
    held_out = prepare_rows(work.head, val.features)
    for epoch in range(recipe.epochs):
        work.train_epoch(epoch)
        if not losses.attributes:
            continue
        val_loss = calibrated_loss(classify_rows(work.head, held_out), val.codes)
        stale += 1
        if val_loss < best_loss:
            best_loss, stale = val_loss, 0
            best = {name: value.clone() for name, value in work.head.state_dict().items()}
        if stale >= recipe.patience:
            break
    if best:
        work.head.load_state_dict(best)
        calibrate_head(work.head.eval(), val)
    return work.head.eval()


class _Training:
    """A head with a classifier of tags, and the rows they learn from."""

    def __init__(
        self,
        train: Rows,
        classes: Sequence[int],
        recipe: Recipe,
        losses: ExtraLosses,
        *,
        tags: NDArray[np.float32],
        seed: int,
    ) -> None:
        import torch

        from boost_edge.export.contrast import contrast_of
        from boost_edge.export.fit import make_head, prepare_rows

        self.recipe, self.losses, self.seed = recipe, losses, seed
        self.codes = torch.from_numpy(train.codes)
        self.tags = torch.from_numpy(tags)
        self.contrast = contrast_of(train.codes) if recipe.contrast else None
        self.mean_tags = max(1.0, float(tags.sum(axis=1).mean()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = make_head(train, classes, recipe)
            self.tagger = torch.nn.Linear(self.head.width, max(1, tags.shape[1]))
        self.prepared = prepare_rows(self.head, train.features)
        trained = [each for each in self.head.parameters() if each.requires_grad]
        self.optimiser = torch.optim.AdamW(
            [*trained, *self.tagger.parameters()],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )

    def train_epoch(self, epoch: int) -> None:
        """Go over the rows once, in the order that the recipe's own training has."""
        import torch

        recipe = self.recipe
        for group in self.optimiser.param_groups:
            fall = 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
            group["lr"] = recipe.learning_rate * fall
        self.head.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1_000_003 + epoch + 1)
            for batch in torch.split(torch.randperm(len(self.prepared)), recipe.batch_size):
                loss = self.loss(batch)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                self.optimiser.step()

    def loss(self, batch: Tensor) -> Tensor:
        """Return the weighted sum of the losses of some rows."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        hidden, logits = self.head.classify(self.prepared[batch])
        codes, losses = self.codes[batch], self.losses
        total: Tensor = hidden.sum() * 0.0
        if losses.attributes:
            parts = [
                cross_entropy(each, codes[:, column], ignore_index=-1)
                for column, each in enumerate(logits)
                if (codes[:, column] >= 0).any()
            ]
            total = total + losses.attributes * torch.stack(parts).sum() / len(logits)
        if self.contrast is not None:
            total = total + self.recipe.contrast * self.contrast(hidden, batch)
        if losses.tags and self.tags.shape[1]:
            error = binary_cross_entropy_with_logits(
                self.tagger(self.head.dropout(hidden)), self.tags[batch], reduction="sum"
            )
            total = total + losses.tags * error / (self.mean_tags * len(batch))
        return total
