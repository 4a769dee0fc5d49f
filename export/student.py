"""A network while it is trained as a whole: what it is asked for, and its loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, kl_div, log_softmax

from boost_edge.export.finetune_recipe import FinetuneRecipe
from boost_edge.export.fit import mean_loss
from boost_edge.export.teacher import Said
from boost_edge.models.backbones import Backbone

__all__ = ["Student"]


class Student(nn.Module):
    """The backbone, its classifiers, and a view of what it sees in the teacher's terms.

    ``classes`` are the numbers of values of the A attributes, ``looks`` the width of what the
    teacher sees, ``None`` without one.
    """

    def __init__(
        self, backbone: Backbone, classes: Sequence[int], looks: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifiers = nn.ModuleList(nn.Linear(backbone.width, count) for count in classes)
        self.look = None if looks is None else nn.Linear(backbone.width, looks)

    def forward(self, pixels: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Map pixels ``(n, s, s, 3)`` to each attribute's logits and, with a teacher, a look."""
        features = self.backbone(pixels)
        dropped = self.dropout(features)
        look = None if self.look is None else self.look(features)
        return tuple(classifier(dropped) for classifier in self.classifiers), look

    def loss(
        self,
        pixels: Tensor,
        codes: NDArray[np.int64],
        recipe: FinetuneRecipe,
        said: Said | None,
    ) -> Tensor:
        """Return the loss of a batch: against its labels, and against what the teacher says.

        ``pixels`` is ``(n, s, s, 3)``, ``codes`` ``(n, A)`` the labels, -1 where unknown.
        """
        logits, look = self(pixels)
        logits = [each.float() for each in logits]
        truth = torch.from_numpy(codes).to(pixels.device, non_blocking=True)
        loss = mean_loss(logits, truth, recipe.label_smoothing)
        if said is None or look is None:
            return loss
        apart = torch.stack(
            [
                kl_div(log_softmax(each, dim=1), theirs, reduction="batchmean")
                for each, theirs in zip(logits, said.posteriors, strict=True)
            ]
        ).mean()
        unlike = 1.0 - cosine_similarity(look.float(), said.looks).mean()
        return (1 - recipe.teacher) * loss + recipe.teacher * apart + recipe.look * unlike
