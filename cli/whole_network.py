"""How a whole network is trained: the options of ``train`` that say so, together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.option_group import option_group
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.runtime.errors import UsageError

if TYPE_CHECKING:
    from boost_edge.export.finetune_recipe import FinetuneRecipe

__all__ = ["WholeNetwork", "whole_network_options"]

_OPTIONS = (
    click.option(
        "--finetune",
        is_flag=True,
        help="Train the whole backbone too, not only a head on it: hours on a CPU, minutes on a "
        "GPU.",
    ),
    click.option(
        "--teacher",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        multiple=True,
        metavar="RUN",
        help="With --finetune: learn from this finished run on the same labels as well; again for "
        "each of several.",
    ),
    click.option(
        "--teacher-weight",
        type=RealNumber(min=0, max=1),
        metavar="W",
        help="With --teacher: weight of what it says against the labels; default: 0.5.",
    ),
    click.option(
        "--consistent",
        is_flag=True,
        help="With --teacher: it looks at what is shown, at every step, instead of once at each "
        "image: a better teacher, which takes its own time as often.",
    ),
    click.option(
        "--mixup",
        type=RealNumber(min=0, max=1),
        metavar="SHARE",
        help="With --consistent: lay another image over this share of the images; default: 0.",
    ),
    click.option(
        "--epochs",
        type=WholeNumber(min=1),
        metavar="N",
        help="With --finetune: how often to go over the images.",
    ),
    click.option(
        "--batch-size",
        type=WholeNumber(min=2),
        metavar="N",
        help="With --finetune: images in a step; more keep a GPU busy.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNetwork:
    """What the options say, each as click gives it."""

    finetune: bool
    teacher: tuple[Path, ...]
    teacher_weight: float | None
    consistent: bool
    mixup: float | None
    epochs: int | None
    batch_size: int | None

    def check(self) -> None:
        """Refuse options that would be ignored, before anything is imported for them.

        Raises
        ------
        UsageError
            When there is such an option.
        """
        if not self.finetune and dataclasses.replace(self, finetune=True) != _NOTHING:
            raise UsageError(
                "--teacher, --teacher-weight, --consistent, --mixup, --epochs and --batch-size "
                "belong to the training of the whole network: add --finetune"
            )
        if self.teacher_weight is not None and not self.teacher:
            raise UsageError("--teacher-weight is said of a teacher: give --teacher RUN too")

    def recipe(self, weights: str) -> FinetuneRecipe | None:
        """Return how to train a network that begins with these weights, ``None`` for not at all."""
        if not self.finetune:
            return None
        from boost_edge.export.finetune_recipe import FINETUNE, FURTHER

        recipe = FINETUNE if weights == "none" else FURTHER
        return dataclasses.replace(
            recipe,
            epochs=self.epochs or recipe.epochs,
            batch_size=self.batch_size or recipe.batch_size,
            teacher=recipe.teacher if self.teacher_weight is None else self.teacher_weight,
            consistent=self.consistent,
            augmentation=dataclasses.replace(recipe.augmentation, mixup=self.mixup or 0.0),
        )


_NOTHING = WholeNetwork(
    finetune=True,
    teacher=(),
    teacher_weight=None,
    consistent=False,
    mixup=None,
    epochs=None,
    batch_size=None,
)


whole_network_options = option_group("whole", WholeNetwork, _OPTIONS)
"""Gives a command these options, as its one argument ``whole``, which is still to be checked."""
