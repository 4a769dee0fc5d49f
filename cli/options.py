"""Options that several verbs share, declared once."""

from __future__ import annotations

from pathlib import Path

import click

from boost_edge.runtime.manifest import READOUTS, RESIZE_POLICIES

__all__ = [
    "DEFAULT_GALLERY",
    "gallery_option",
    "images_option",
    "json_option",
    "names",
    "readout_option",
    "resize_option",
    "threads_option",
]


DEFAULT_GALLERY = Path(".boost-edge")


def names(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,
    value: str | None,
) -> tuple[str, ...] | None:
    """Read a comma-separated list; a click callback."""
    if value is None:
        return None
    parts = tuple(part.strip() for part in value.split(","))
    if not all(parts):
        raise click.BadParameter(f"{value!r} has an empty name", param=parameter)
    return parts


images_option = click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder that the image names of the label table are relative to.",
)
gallery_option = click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    default=DEFAULT_GALLERY,
    show_default=True,
    metavar="DIR",
    help="Folder of the gallery.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads of the network; default: all cores.",
)
readout_option = click.option(
    "--readout",
    type=click.Choice(READOUTS),
    help="What the embedding is; raw trains no head.",
)
resize_option = click.option(
    "--resize",
    type=click.Choice(RESIZE_POLICIES),
    default="squash",
    show_default=True,
    help="How an image becomes a square.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
