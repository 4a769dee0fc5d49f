"""Options that several verbs share, declared once."""

from __future__ import annotations

from pathlib import Path

import click

from boost_edge.runtime.manifest import DEFAULT_READOUT, DEFAULT_RESIZE, READOUTS, RESIZE_POLICIES

__all__ = [
    "DEFAULT_GALLERY",
    "gallery_argument",
    "gallery_option",
    "image_column_option",
    "images_option",
    "json_option",
    "model_option",
    "names",
    "readout_option",
    "resize_option",
    "threads_option",
    "where_option",
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
image_column_option = click.option(
    "--image-column",
    metavar="NAME",
    help="Column of the label table that names the image; default: file_name, else id.",
)
model_option = click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The ONNX file; default: the one that the gallery was made with.",
)
gallery_option = click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    default=DEFAULT_GALLERY,
    show_default=True,
    metavar="DIR",
    help="Folder of the gallery.",
)
gallery_argument = click.argument(
    "gallery", type=click.Path(path_type=Path), default=DEFAULT_GALLERY, metavar="[GALLERY]"
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads of the network; default: all cores that this process may use.",
)
readout_option = click.option(
    "--readout",
    type=click.Choice(READOUTS),
    help=f"What the embedding is. Default when training: {DEFAULT_READOUT}; later: as trained.",
)
resize_option = click.option(
    "--resize",
    type=click.Choice(RESIZE_POLICIES),
    default=DEFAULT_RESIZE,
    show_default=True,
    help="How an image becomes a square.",
)
where_option = click.option(
    "--where",
    metavar="EXPR",
    help="Only images whose attributes pass this filter: =, !=, <, <=, >, >=, in (a, b), and, or, "
    "not, p(name) for the probability of a prediction.",
)
# Parameters are called as their options are, for their environment variables are called so too.
json_option = click.option("--json", is_flag=True, help="Print JSON instead of text.")
