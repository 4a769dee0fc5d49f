"""The boost head: a shallow classifier on pooled features, one linear layer per attribute.

The layer that matters is the first one: its activation is the paper's embedding ("Boosting image
retrieval with accurately labelled small data", Mersha, whose initialisation is kept here), and
the posteriors it leads to are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from boost_edge.runtime.errors import UsageError

__all__ = ["BoostHead"]

_BIAS = 0.01
_SMALLEST_STD = 1e-6
# Of the largest eigenvalue; below it an axis is rounding.
_SMALLEST_SHARE = 1e-9
# More rows than this change the leading axes no more, where the features are as many.
_MOST_AXIS_ROWS = 4096
# Float64 values that are held of the standardised features at a time, at most: 32 MiB.
_HELD = 1 << 22
# As little is a posterior ever believed: its likeliest value stays the likeliest.
_LEAST_FAMILIAR = 0.01


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
    components
        Number K of principal components to keep beside the features, at most F of them; ``None``
        for none. Where F is larger than both K and W, the first layer takes them as its input.

    Attributes
    ----------
    mean, std : Tensor
        ``(F,)`` float32 buffers, zeros and ones until ``fit_standardisation`` is called.
    projection : nn.Linear
        F to K, fitted once by ``fit_standardisation`` and never trained; only with components.
    spread : Tensor
        ``(K,)`` float32 buffer, the projections' standard deviations; only with components.
    importance : Tensor
        ``(A,)`` float32 buffer, ones until set: the weights of the readout ``match``.
    temperature : Tensor
        ``(A,)`` float32 buffer, ones until calibrated. ``forward`` does not apply it.
    typical : Tensor or None
        ``()`` float32 buffer, None until set: how far the ``look`` of most images like the training
        ones is from their mean, at most. See ``familiarity``.
    even : Tensor
        ``(sum K_a,)`` float32 buffer that is not stored, what is said of an image by one who knows
        nothing of it: ``1 / K_a`` for each value.
    combinations : Tensor
        ``(C, A)`` int64 buffer, no rows until set: the combinations of labels that are known to
        occur, as the codes of their values.
    hidden : nn.Linear
        F, or K where ``reduces``, to W.
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
    importance: Tensor
    spread: Tensor
    typical: Tensor | None
    even: Tensor
    projection: nn.Linear | None
    combinations: Tensor
    classifiers: nn.ModuleList

    def __init__(
        self,
        features: int,
        width: int,
        classes: Sequence[int],
        *,
        dropout: float = 0.0,
        standardise: bool,
        components: int | None = None,
    ) -> None:
        super().__init__()
        if features < 1 or width < 1:
            raise UsageError(f"a head needs positive widths, not {features} features to {width}")
        if not classes or min(classes) < 2:
            raise UsageError(f"every attribute needs at least two values, not {list(classes)}")
        if not 0.0 <= dropout < 1.0:
            raise UsageError(f"dropout is {dropout}, but must be at least 0 and below 1")
        if components is not None and not (standardise and components >= 1):
            raise UsageError("principal components need standardised features, and at least one")
        self.features = features
        self.width = width
        self.classes = tuple(classes)
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.register_buffer("temperature", torch.ones(len(self.classes)))
        self.register_buffer("importance", torch.ones(len(self.classes)))
        self.register_buffer("typical", None)
        self.register_buffer("combinations", torch.zeros(0, len(self.classes), dtype=torch.int64))
        even = torch.cat([torch.full((count,), 1.0 / count) for count in self.classes])
        self.register_buffer("even", even, persistent=False)
        kept = None if components is None else min(components, features)
        self.reduces = kept is not None and kept < features and features > width
        fan_in = kept if kept is not None and self.reduces else features
        self.hidden = nn.Linear(fan_in, width)
        self.dropout = nn.Dropout(dropout)
        self.classifiers = nn.ModuleList(nn.Linear(width, count) for count in self.classes)
        for layer in (self.hidden, *self.classifiers):
            _initialise(layer)
        # Last, so that the layers above draw the same weights with components as without.
        self.projection = None
        if kept is not None:
            self.projection = nn.Linear(features, kept).requires_grad_(requires_grad=False)
            nn.init.zeros_(self.projection.bias)
            self.register_buffer("spread", torch.ones(kept))

    def fit_standardisation(self, features: Tensor) -> None:
        """Set ``mean``, ``std`` and the projection from training features ``(n, F)``, n >= 2.

        Does nothing for a head that does not standardise. A feature that is constant over the
        rows is centred but not scaled. The projections on the components have mean square 1 over
        all of them, so that the first layer starts as it would on standardised features. Of more
        than 4,096 rows and features the components are those of so many rows, evenly spaced.

        Computed in float64, a piece of the rows or of the features at a time: beside ``features``
        it holds a few times 32 MiB, and what the axes take: their rows' products, and of more than
        4,096 rows a copy of those that are taken.
        """
        if not self.standardise:
            return
        rows = features.detach()
        for columns in _slices(self.features, len(rows)):
            piece = rows[:, columns].to(torch.float64)
            std = piece.std(dim=0, correction=0)
            self.mean[columns] = piece.mean(dim=0).to(self.mean.dtype)
            self.std[columns] = torch.where(std > _SMALLEST_STD, std, 1.0).to(self.std.dtype)
        if self.projection is None:
            return
        axes = self._principal_axes(rows, self.projection.out_features)
        squares = torch.zeros(len(axes), dtype=torch.float64)
        for chosen in _slices(len(rows), self.features):
            squares += (self._standardise_exactly(rows[chosen]) @ axes.T).square().sum(dim=0)
        spread = (squares / len(rows)).sqrt()
        scale = spread.square().mean().sqrt()
        with torch.no_grad():
            self.projection.weight.copy_(axes / scale)
        self.spread.copy_(torch.where(spread > _SMALLEST_STD, spread / scale, 1.0))

    def forward(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map features ``(N, F)`` float32 to the hidden vector ``(N, W)`` and the logits.

        The logits are one ``(N, K_a)`` tensor per attribute, before the temperature. Dropout
        acts on what the classifiers see, never on the hidden vector that is returned.
        """
        return self.classify(self.prepare(features))

    def prepare(self, features: Tensor) -> Tensor:
        """Map features ``(N, F)`` float32 to what the first layer takes, ``(N, F)`` or ``(N, K)``.

        Nothing in it is trained: once is enough for all epochs.
        """
        standard = self._standardised(features)
        if self.projection is None or not self.reduces:
            return standard
        components: Tensor = self.projection(standard)
        return components

    def classify(self, prepared: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map what `prepare` returns to the hidden vector and the logits, as ``forward`` does."""
        hidden = torch.relu(self.hidden(prepared))
        dropped = self.dropout(hidden)
        return hidden, tuple(classifier(dropped) for classifier in self.classifiers)

    def look(self, features: Tensor) -> Tensor:
        """Map features ``(N, F)`` float32 to what an image looks like, labels aside.

        That is its projections ``(N, K)`` on the components, each at standard deviation 1; without
        components the (standardised) features themselves.
        """
        standard = self._standardised(features)
        if self.projection is None:
            return standard
        components: Tensor = self.projection(standard)
        return components / self.spread

    def familiarity(self, look: Tensor) -> Tensor | None:
        """Return how far to believe what is said of images that look so ``(N, K)``: ``(N, 1)``.

        The mean square of a look is the squared Mahalanobis distance to the training images, over
        its dimensions (Lee et al., "A simple unified framework for detecting out-of-distribution
        samples and adversarial attacks", 2018). Up to ``typical`` that is 1; from there it falls,
        to 0.01 at twice as much. None where ``typical`` is not set: everything is believed.
        """
        if self.typical is None:
            return None
        distance = look.square().mean(dim=1, keepdim=True)
        return (2.0 - distance / self.typical).clamp(min=_LEAST_FAMILIAR, max=1.0)

    def combine(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the posteriors ``(N, C)`` of the known combinations, each row's sum 1.

        ``logits`` are ``(N, K_a)`` of each attribute, calibrated. A combination is as likely as
        the product of its values' posteriors; what is not known to occur is ruled out. The
        normalisers of the posteriors are common to all combinations and cancel out: logits do.
        """
        values = self.combinations.unbind(dim=1)
        scores = torch.stack(
            [part[:, chosen] for part, chosen in zip(logits, values, strict=True)]
        ).sum(dim=0)
        return scores.softmax(dim=1)

    @property
    def look_width(self) -> int:
        """Return the width of ``look``."""
        return self.features if self.projection is None else self.projection.out_features

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std if self.standardise else features

    def _principal_axes(self, rows: Tensor, count: int) -> Tensor:
        """Return the leading principal axes ``(count, F)`` of rows ``(n, F)``, float64.

        Of the standardised rows, that is. An axis' largest value is positive. Axes beyond the rank
        of the rows are zero.
        """
        if min(rows.shape) > _MOST_AXIS_ROWS:
            rows = rows[
                torch.linspace(0, len(rows) - 1, _MOST_AXIS_ROWS, dtype=torch.float64).long()
            ]
        # The smaller of the two Gram matrices has all eigenvalues that are not zero.
        wide = len(rows) < self.features
        edge = min(rows.shape)
        gram = torch.zeros(edge, edge, dtype=torch.float64)
        if wide:
            for columns in _slices(self.features, len(rows)):
                piece = self._standardise_exactly(rows, columns)
                gram.addmm_(piece, piece.T)
        else:
            for chosen in _slices(len(rows), self.features):
                piece = self._standardise_exactly(rows[chosen])
                gram.addmm_(piece.T, piece)
        values, vectors = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(gram))
        kept = min(count, int((values > values[-1] * _SMALLEST_SHARE).sum()))
        leading = vectors.flip(1)[:, :kept]
        axes = torch.zeros(count, self.features, dtype=torch.float64)
        if wide:
            weights = (leading / values.flip(0)[:kept].sqrt()).T
            for columns in _slices(self.features, len(rows)):
                axes[:kept, columns] = weights @ self._standardise_exactly(rows, columns)
        else:
            axes[:kept] = leading.T
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        return torch.where(largest < 0, -axes, axes)

    def _standardise_exactly(self, rows: Tensor, columns: slice = slice(None)) -> Tensor:
        """Return some columns of rows ``(n, F)``, standardised in float64."""
        return (rows[:, columns].to(torch.float64) - self.mean[columns]) / self.std[columns]


def _slices(count: int, width: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows of that width, each as large as may be held."""
    step = max(1, _HELD // max(1, width))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _initialise(layer: nn.Module) -> None:
    """Kaiming uniform weights and a constant bias of 0.01, as in the paper's code."""
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_uniform_(layer.weight)
        nn.init.constant_(layer.bias, _BIAS)
