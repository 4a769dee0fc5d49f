"""Options that several verbs share, declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import (
    DEFAULT_MAX_LOSS,
    DEFAULT_READOUT,
    DEFAULT_RESIZE,
    READOUTS,
    RESIZE_POLICIES,
)

__all__ = [
    "DEFAULT_GALLERY",
    "attributes_option",
    "chosen_format",
    "count_option",
    "exclude_option",
    "gallery_argument",
    "gallery_option",
    "hidden_option",
    "image_column_option",
    "images_option",
    "include_option",
    "json_format_option",
    "json_option",
    "max_loss_option",
    "model_option",
    "names",
    "readout_option",
    "resize_option",
    "shipped_model_option",
    "threads_option",
    "training_seed_option",
    "use_threads",
    "where_option",
    "whole_numbers",
]


_Function = TypeVar("_Function", bound=Callable[..., Any])

DEFAULT_GALLERY = Path(".boost-edge")
# More than any machine has cores for.
_MOST_THREADS = 1024


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


def whole_numbers(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read a comma-separated list of whole numbers from 1; a click callback."""
    parts = names(ctx, parameter, value)
    if parts is None:
        return None
    if wrong := [part for part in parts if not (part.isascii() and part.isdigit() and int(part))]:
        raise click.BadParameter(f"{wrong[0]!r} is not a whole number from 1", param=parameter)
    return tuple(int(part) for part in parts)


def count_option(
    *flags: str, default: int, text: str, least: int = 1
) -> Callable[[_Function], _Function]:
    """Give a command an option that is a whole number; 1 is the least unless said otherwise."""
    return click.option(
        *flags,
        type=WholeNumber(min=least),
        default=default,
        show_default=True,
        metavar="N",
        help=text,
    )


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
attributes_option = click.option(
    "--attributes",
    callback=names,
    metavar="A,B,C",
    help="Label columns to learn; default: every categorical column.",
)
training_seed_option = count_option(
    "--seed", default=0, least=0, text="Decides split, initial weights and order."
)
max_loss_option = click.option(
    "--max-loss",
    type=RealNumber(min=0),
    default=DEFAULT_MAX_LOSS,
    show_default=True,
    metavar="POINTS",
    help="Most points of mAP@10, on held-out images, that int8 may lose.",
)
model_option = click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The ONNX file; default: the one that the gallery was made with.",
)
shipped_model_option = click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The ONNX file; default: the shipped one, which knows photos of fashion.",
)
include_option = click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Take only images whose path below a given folder matches; may be repeated.",
)
exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out images whose path below a given folder matches; may be repeated.",
)
hidden_option = click.option("--hidden", is_flag=True, help="Take names that begin with a dot too.")
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
    type=WholeNumber(min=1, max=_MOST_THREADS),
    metavar="N",
    help="Threads of the network; default: all cores that this process may use.",
)


def use_threads(threads: int | None) -> None:
    """Let OpenCV use no more threads than were asked for: a process may, a library must not.

    To be called before images are read, which is when OpenCV is imported anyway.
    """
    if threads is not None:
        import cv2

        cv2.setNumThreads(threads)


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
json_format_option = click.option("--json", is_flag=True, help="The same as --format json.")


def chosen_format(context: click.Context, given: str | None, *, json: bool) -> str:
    """Return how to print: as --format says, or --json; what is typed wins over variables.

    The parameters of the command are called ``format`` and ``json``.

    Raises
    ------
    UsageError
        When both are given, with different meanings.
    """
    if not json or given == "json":
        return given or "table"
    if given is None:
        return "json"
    typed = {
        name: context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        for name in ("json", "format")
    }
    if typed["json"] == typed["format"]:
        raise UsageError(f"--json is --format json, and --format {given} another: give one of them")
    return "json" if typed["json"] else given
