"""How a whole network is trained, as plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from boost_edge.export.augment import Augmentation
from boost_edge.runtime.errors import UsageError

__all__ = ["FINETUNE", "FURTHER", "FinetuneRecipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneRecipe:
    """The settings of one training of a network.

    Parameters
    ----------
    epochs, batch_size
        Passes over the training images; images in a step.
    learning_rate, weight_decay
        Of AdamW; the highest rate, reached after the share ``warm_up`` of all steps.
    label_smoothing
        Share of the target spread evenly over all values, in [0, 1).
    dropout
        Probability of dropping a pooled feature before the classifiers.
    average
        Decay of the moving average of the weights, by step.
    smallest, largest, growth
        Images begin at the share ``smallest`` of the full edge, and grow to the share ``largest``
        within the share ``growth`` of the epochs. Less than all of it: a crop shows things larger
        than the whole picture does (Touvron et al., "Fixing the train-test resolution
        discrepancy", 2019), and small images are quick.
    teacher
        Weight of the teachers' posteriors against the labels, in [0, 1].
    look
        Weight of the cosine distance to what the teachers see.
    consistent
        The teachers look at what the student sees, at every step, instead of once at the whole
        pictures.

    Raises
    ------
    UsageError
        When images are mixed and nobody looks at the mixtures.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    label_smoothing: float
    dropout: float
    average: float
    smallest: float
    largest: float
    growth: float
    teacher: float
    look: float
    consistent: bool
    augmentation: Augmentation

    def __post_init__(self) -> None:
        if self.augmentation.mixup and not self.consistent:
            raise UsageError(
                "--mixup shows pictures that no label is right for, so a teacher has to look at "
                "them: give --teacher RUN --consistent too"
            )

    def settings(self) -> dict[str, float | int | str | bool | None]:
        """Return the values by name, those of the augmentation too, for the manifest."""
        values = dataclasses.asdict(self)
        values |= values.pop("augmentation")
        return values


FINETUNE = FinetuneRecipe(
    epochs=20,
    batch_size=128,
    learning_rate=2e-3,
    warm_up=0.1,
    weight_decay=0.05,
    label_smoothing=0.05,
    dropout=0.1,
    average=0.999,
    smallest=0.55,
    largest=0.82,
    growth=0.7,
    teacher=0.5,
    look=1.0,
    consistent=False,
    augmentation=Augmentation(
        smallest_area=0.4,
        stretch=1.35,
        flip=0.5,
        light=0.15,
        saturation=0.15,
        blur=0.1,
        jpeg=0.15,
        jpeg_quality=40,
        mixup=0.0,
    ),
)
"""From random weights."""

FURTHER = dataclasses.replace(FINETUNE, learning_rate=3e-4)
"""From weights that know something: at the rate of `FINETUNE` they would forget it first."""
