"""How a head is trained: the options of ``train`` and ``tune`` that say so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from boost_edge.cli.ranges import WholeNumber
from boost_edge.runtime.errors import UsageError

if TYPE_CHECKING:
    from boost_edge.export.recipes import Recipe

__all__ = ["DEFAULT_RECIPE", "components_option", "head_recipe", "recipe_option"]

DEFAULT_RECIPE = "boost"

recipe_option = click.option(
    "--recipe",
    type=click.Choice([DEFAULT_RECIPE, "paper", "finetuned", "contrastive"]),
    show_default=DEFAULT_RECIPE,
    help="How the head is trained; finetuned is for a network that was trained on the same labels, "
    "contrastive for searches for kinds of things that no label names (docs/labels.md).",
)
components_option = click.option(
    "--components",
    type=WholeNumber(min=1),
    metavar="N",
    help="Principal components of the features that say what an image looks like, at most: more "
    "tell better what is unlike the training images, and make longer embeddings; default: the "
    "recipe's.",
)


def head_recipe(name: str | None, components: int | None) -> Recipe:
    """Return the recipe of these options, each ``None`` where it is not given.

    Raises
    ------
    UsageError
        When there are to be components, and the recipe keeps none.
    """
    from boost_edge.export.recipes import RECIPES

    recipe = RECIPES[name or DEFAULT_RECIPE]
    if components and not recipe.components:
        raise UsageError(f"--components does not go with --recipe {name}, which keeps none")
    return dataclasses.replace(recipe, components=components or recipe.components)
