"""A head trained with more than its attributes: tags of the name, and a metric-learning loss.

For ablations only: a small training loop of its own, which with both weights at 0 trains as
`boost_edge.export.fit` does. What it finds out is worth more than what it would add to a recipe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.relevance import name_words
from boost_edge.runtime.errors import MissingExtraError

if TYPE_CHECKING:
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
    cross entropy of the tags, divided by the mean number of tags of an image (with both: Task 3),
    ``contrast`` of the supervised contrastive loss on the hidden vector (Khosla et al., 2020, as
    pytorch-metric-learning has it), whose classes are the groups of equal attributes.
    """

    attributes: float = 1.0
    tags: float = 0.0
    contrast: float = 0.0


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
    groups: NDArray[np.int64],
    seed: int,
) -> BoostHead:
    """Return a calibrated head; its epoch is chosen by the validation rows' attributes.

    Without a loss of the attributes there is nothing to choose by: the last epoch is returned.

    Parameters
    ----------
    tags, groups
        ``(n, T)`` and ``(n,)`` of the training rows.

    Raises
    ------
    MissingExtraError
        When ``losses.contrast`` is not 0 and pytorch-metric-learning is not installed.
    """
    import math

    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    from boost_edge.export.calibrate import calibrate_head
    from boost_edge.export.fit import predict_logits
    from boost_edge.export.temperature import calibrated_loss
    from boost_edge.models.head import BoostHead

    contrast = _contrastive() if losses.contrast else None
    features, codes = torch.from_numpy(train.features), torch.from_numpy(train.codes)
    marks, members = torch.from_numpy(tags), torch.from_numpy(groups)
    mean_tags = max(1.0, float(tags.sum(axis=1).mean()))
    width = recipe.width or train.features.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = BoostHead(
            train.features.shape[1],
            width,
            classes,
            dropout=recipe.dropout,
            standardise=recipe.standardise,
        )
        tagger = torch.nn.Linear(width, max(1, tags.shape[1]))
    head.fit_standardisation(features)
    optimiser = torch.optim.AdamW(
        [*head.parameters(), *tagger.parameters()],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    best, best_loss, stale = {}, math.inf, 0
    for epoch in range(recipe.epochs):
        for group in optimiser.param_groups:
            fall = 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
            group["lr"] = recipe.learning_rate * fall
        head.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1_000_003 + epoch + 1)
            for batch in torch.split(torch.randperm(len(features)), recipe.batch_size):
                hidden, logits = head(features[batch])
                loss = hidden.sum() * 0.0
                if losses.attributes:
                    parts = [
                        cross_entropy(each, codes[batch, column], ignore_index=-1)
                        for column, each in enumerate(logits)
                        if (codes[batch, column] >= 0).any()
                    ]
                    loss = loss + losses.attributes * torch.stack(parts).sum() / len(classes)
                if losses.tags and tags.shape[1]:
                    said = tagger(head.dropout(hidden))
                    error = binary_cross_entropy_with_logits(said, marks[batch], reduction="sum")
                    loss = loss + losses.tags * error / (mean_tags * len(batch))
                known = members[batch] >= 0
                if contrast is not None and known.any():
                    loss = loss + losses.contrast * contrast(hidden[known], members[batch][known])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        if not losses.attributes:
            continue
        val_loss = calibrated_loss(predict_logits(head, val.features), val.codes)
        stale += 1
        if val_loss < best_loss:
            best, best_loss, stale = (
                {name: value.clone() for name, value in head.state_dict().items()},
                val_loss,
                0,
            )
        if stale >= recipe.patience:
            break
    if best:
        head.load_state_dict(best)
        calibrate_head(head.eval(), val)
    return head.eval()


def _contrastive() -> Any:
    try:
        from pytorch_metric_learning.losses import SupConLoss
    except ModuleNotFoundError as error:
        raise MissingExtraError("a contrastive loss", "bench", "pytorch-metric-learning") from error
    return SupConLoss(temperature=0.1)
