"""How a head is trained: the paper's recipe, ours, and ours for some purposes.

A recipe is plain data; ``RECIPES`` is the whole list. To try another setting from Python, use
``dataclasses.replace(RECIPES["boost"], width=1024)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from boost_edge.runtime.errors import UsageError

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of one training of the head.

    Parameters
    ----------
    width
        Width W of the hidden layer; ``None`` means the width F of the features.
    standardise
        Shift and scale each feature to mean 0, standard deviation 1 over the training part.
    components
        Principal components of the features to keep, at most; ``None`` for none. The readout
        ``match`` compares looks by them, and where the features outnumber the hidden units and
        them, the first layer sees them alone: see `boost_edge.models.head.BoostHead`.
    importance
        The attributes' weights in the readout ``match``: ``equal``, or ``information``, the
        square of the entropy of the attribute's values in the training part.
    dropout
        Probability of dropping a hidden unit while training.
    learning_rate, weight_decay, batch_size
        Of Adam, or of AdamW where ``decoupled_decay`` is set (Loshchilov & Hutter, 2019).
    schedule
        ``constant``, or ``cosine`` from the learning rate down to zero over ``epochs``.
    epochs
        At most this many passes over the training part.
    stop_loss
        Stop when an epoch's mean training loss falls below this; ``None``: never.
    validation
        Keep a validation part out of training, return the epoch with the lowest calibrated loss
        on it, stop ``patience`` epochs after that, and calibrate on it. Without it the head is
        trained on all fitted rows, its last epoch is returned and nothing is calibrated.
    refit
        Train again from the start on the validation part too, for as many epochs as were best, and
        keep what was calibrated: every label counts, and of the images that a run keeps for the
        gate of 8 bits, those of the validation part are no longer held out.
    label_smoothing
        Share of the target spread evenly over all values, in [0, 1).
    contrast
        Weight of the contrastive loss of the hidden vector (`boost_edge.export.contrast`) beside
        that of the attributes, at least 0.
    blend
        Weight b of the labels in the readouts ``blend`` and ``together``, in [0, 1].
    combination_images
        The readout ``together`` knows a combination of all labels that at least this many
        training images have.

    Raises
    ------
    UsageError
        When there are to be components of features that are not standardised, or a second training
        without the validation part that says for how many epochs.
    """

    name: str
    width: int | None
    standardise: bool
    components: int | None
    importance: Literal["equal", "information"]
    dropout: float
    learning_rate: float
    weight_decay: float
    decoupled_decay: bool
    batch_size: int
    schedule: Literal["constant", "cosine"]
    epochs: int
    stop_loss: float | None
    validation: bool
    patience: int
    refit: bool
    label_smoothing: float
    contrast: float
    blend: float
    combination_images: int

    def __post_init__(self) -> None:
        if self.components and not self.standardise:
            raise UsageError(
                f"recipe {self.name}: principal components need standardised features, and its own "
                "are not"
            )
        if self.refit and not self.validation:
            raise UsageError(
                f"recipe {self.name}: cannot refit: it keeps no validation part to say for how "
                "many epochs"
            )

    @property
    def reads_the_end(self) -> bool:
        """Tell whether its head is as wide as its features: the paper's, which reads the end."""
        return self.width is None

    def settings(self) -> dict[str, float | int | str | bool | None]:
        """Return the values by name, for the manifest."""
        return dataclasses.asdict(self)


_PAPER = Recipe(
    # Mersha, "Boosting image retrieval with accurately labelled small data", and its code.
    name="paper",
    width=None,
    standardise=False,
    components=None,
    importance="equal",
    dropout=0.0,
    learning_rate=1e-3,
    weight_decay=1e-5,
    decoupled_decay=False,
    batch_size=32,
    schedule="constant",
    epochs=200,
    stop_loss=0.002,
    validation=False,
    patience=0,
    refit=False,
    label_smoothing=0.0,
    contrast=0.0,
    blend=0.5,
    combination_images=3,
)

_BOOST = Recipe(
    name="boost",
    width=2048,
    standardise=True,
    components=384,
    importance="information",
    dropout=0.5,
    learning_rate=1e-3,
    weight_decay=1e-2,
    decoupled_decay=True,
    batch_size=128,
    schedule="cosine",
    epochs=60,
    stop_loss=None,
    validation=True,
    patience=10,
    refit=False,
    label_smoothing=0.0,
    contrast=0.0,
    blend=0.8,
    combination_images=3,
)

# The features of a network that was trained on these very labels know the training images by heart:
# a head on them learns too much, unless it is small, slow and forgetful (decision 15).
_FINETUNED = dataclasses.replace(
    _BOOST, name="finetuned", width=512, dropout=0.7, learning_rate=3e-4
)

# Its hidden vector finds more than the features do, of kinds that were trained on and of others
# (decision 18).
_CONTRASTIVE = dataclasses.replace(_BOOST, name="contrastive", contrast=0.5)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (_BOOST, _PAPER, _FINETUNED, _CONTRASTIVE)}
)
