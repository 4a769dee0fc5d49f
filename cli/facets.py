"""``boost-edge facets``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_option, json_option, names, where_option
from boost_edge.cli.ranges import WholeNumber
from boost_edge.cli.render import of_gallery, print_json, printable, table, warn_of_nothing
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.facets import Facets

__all__ = ["command"]

# What a person reads; JSON has as many as the runtime lists.
_SHOWN = 10


@click.command("facets")
@gallery_option
@where_option
@click.option(
    "--attributes",
    callback=names,
    metavar="A,B,C",
    help="Attributes to count; default: all that are predicted or given as labels.",
)
@click.option(
    "--limit",
    type=WholeNumber(min=1),
    metavar="N",
    help="The N most frequent values of each attribute; default: 10, in JSON 1000.",
)
@json_option
def command(
    gallery: Path,
    where: str | None,
    attributes: tuple[str, ...] | None,
    limit: int | None,
    json: bool,
) -> int:
    """Count the images of a gallery by the values of their attributes.

    An image counts for the user's label where it has one, else for the predicted value. The
    gallery's model is not needed.

    \b
    Example:
      boost-edge facets
      boost-edge facets --where "colour = red" --attributes type,season
    """
    from boost_edge.runtime.facets import MOST_VALUES
    from boost_edge.runtime.gallery_facets import gallery_facets

    most = limit or (MOST_VALUES if json else _SHOWN)
    found = gallery_facets(gallery, where=where, attributes=attributes, limit=most)
    if json:
        print_json(of_gallery(gallery, dataclasses.asdict(found)))
    else:
        click.echo("\n".join(_as_text(found, gallery)))
    if where is not None and not found.images:
        warn_of_nothing(where)
    return ExitCode.FINE


def _as_text(found: Facets, gallery: Path) -> list[str]:
    rows: list[list[str]] = []
    for name, facet in found.facets.items():
        shown = [[value, f"{count:,}"] for value, count in facet.values.items()]
        if facet.more:
            shown.append([f"({facet.more:,} more)", ""])
        if facet.unknown:
            shown.append(["(unknown)", f"{facet.unknown:,}"])
        rows += [["" if place else name, *row] for place, row in enumerate(shown)]
    lines = [f"{printable(str(gallery))}: {counted(found.images, 'image')}"]
    if rows:
        lines += ["", *table(["attribute", "value", "images"], rows, right=(2,), squeeze=1)]
    return lines
