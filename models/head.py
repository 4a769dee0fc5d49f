"""The boost head: a shallow classifier on pooled features, one linear layer per attribute.

The layer that matters is the first one: its activation is the paper's embedding ("Boosting image
retrieval with accurately labelled small data", Mersha, whose initialisation is kept here), and
the posteriors it leads to are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from boost_edge.runtime.errors import UsageError

__all__ = ["BoostHead"]

_BIAS = 0.01
_SMALLEST_STD = 1e-6


class BoostHead(nn.Module):
    """Features to hidden vector to one set of logits per attribute.

    Parameters
    ----------
    features
        Width F of the pooled features.
    width
        Width W of the hidden vector.
    classes
        Number of values K_a of each of the A attributes, in output order.
    dropout
        Share of the hidden vector that is zeroed before the classifiers in training, in [0, 1).
    standardise
        Whether features are centred and scaled first; see ``fit_standardisation``.

    Attributes
    ----------
    mean, std : Tensor
        ``(F,)`` float32 buffers, zeros and ones until ``fit_standardisation`` is called.
    temperature : Tensor
        ``(A,)`` float32 buffer, ones until calibrated. ``forward`` does not apply it.
    hidden : nn.Linear
        F to W.
    classifiers : nn.ModuleList
        One ``nn.Linear`` from W to K_a per attribute.

    Raises
    ------
    UsageError
        When a width, a number of values or the dropout is out of range.
    """

    mean: Tensor
    std: Tensor
    temperature: Tensor
    classifiers: nn.ModuleList

    def __init__(
        self,
        features: int,
        width: int,
        classes: Sequence[int],
        *,
        dropout: float = 0.0,
        standardise: bool,
    ) -> None:
        super().__init__()
        if features < 1 or width < 1:
            raise UsageError(f"a head needs positive widths, not {features} features to {width}")
        if not classes or min(classes) < 2:
            raise UsageError(f"every attribute needs at least two values, not {list(classes)}")
        if not 0.0 <= dropout < 1.0:
            raise UsageError(f"dropout is {dropout}, but must be at least 0 and below 1")
        self.features = features
        self.width = width
        self.classes = tuple(classes)
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.register_buffer("temperature", torch.ones(len(self.classes)))
        self.hidden = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)
        self.classifiers = nn.ModuleList(nn.Linear(width, count) for count in self.classes)
        for layer in (self.hidden, *self.classifiers):
            _initialise(layer)

    def fit_standardisation(self, features: Tensor) -> None:
        """Set ``mean`` and ``std`` from training features ``(n, F)``, n >= 2.

        Does nothing for a head that does not standardise. A feature that is constant over the
        rows is centred but not scaled.
        """
        if not self.standardise:
            return
        rows = features.detach().to(torch.float64)
        std = rows.std(dim=0, correction=0)
        self.mean.copy_(rows.mean(dim=0))
        self.std.copy_(torch.where(std > _SMALLEST_STD, std, torch.ones_like(std)))

    def forward(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map features ``(N, F)`` float32 to the hidden vector ``(N, W)`` and the logits.

        The logits are one ``(N, K_a)`` tensor per attribute, before the temperature. Dropout
        acts on what the classifiers see, never on the hidden vector that is returned.
        """
        if self.standardise:
            features = (features - self.mean) / self.std
        hidden = torch.relu(self.hidden(features))
        dropped = self.dropout(hidden)
        return hidden, tuple(classifier(dropped) for classifier in self.classifiers)


def _initialise(layer: nn.Module) -> None:
    """Kaiming uniform weights and a constant bias of 0.01, as in the paper's code."""
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_uniform_(layer.weight)
        nn.init.constant_(layer.bias, _BIAS)
