"""How a head is trained: the options of ``train`` and ``tune`` that say so, together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from boost_edge.cli.option_group import option_group
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_RECIPE

if TYPE_CHECKING:
    from boost_edge.export.recipes import Recipe

__all__ = ["HeadOptions", "head_options"]

_OPTIONS = (
    click.option(
        "--recipe",
        type=click.Choice([DEFAULT_RECIPE, "paper", "finetuned", "contrastive"]),
        show_default=DEFAULT_RECIPE,
        help="How the head is trained; finetuned is for a network that was trained on the same "
        "labels, contrastive for searches for kinds of things that no label names "
        "(docs/labels.md).",
    ),
    click.option(
        "--components",
        type=WholeNumber(min=1),
        metavar="N",
        help="Principal components of the features that say what an image looks like, at most: "
        "more tell better what is unlike the training images, and make longer embeddings; default: "
        "the recipe's.",
    ),
    click.option(
        "--contrast",
        type=RealNumber(min=0),
        metavar="WEIGHT",
        help="Weight of the loss that draws images with equal labels together in the head's hidden "
        "vector, 0 for none: the readouts hidden and blend find more; some images must have all "
        "labels, and the same ones; default: the recipe's.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadOptions:
    """What the options say, each ``None`` where it is not given."""

    recipe: str | None
    components: int | None
    contrast: float | None

    def given(self) -> bool:
        """Return whether one of them was."""
        return any(each is not None for each in (self.recipe, self.components, self.contrast))

    def make(self) -> Recipe:
        """Return the recipe that they say.

        Raises
        ------
        UsageError
            When there are to be components, and the recipe keeps none.
        """
        from boost_edge.export.recipes import RECIPES

        recipe = RECIPES[self.recipe or DEFAULT_RECIPE]
        if self.components and not recipe.components:
            raise UsageError(
                f"--components does not go with --recipe {recipe.name}, which keeps none"
            )
        return dataclasses.replace(
            recipe,
            components=self.components or recipe.components,
            contrast=recipe.contrast if self.contrast is None else self.contrast,
        )


head_options = option_group("head", HeadOptions, _OPTIONS)
"""Gives a command these options, as its one argument ``head``."""
