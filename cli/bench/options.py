"""What the measurements have in common: options, and what happens to a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import count_option, images_option, json_option, names
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.cli.render import print_json
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_RECIPE, READOUTS

if TYPE_CHECKING:
    from boost_edge.bench.subject import Setup
    from boost_edge.runtime.manifest import Readout

__all__ = [
    "check_choice",
    "check_recipes",
    "chosen_readouts",
    "finish",
    "make_setup",
    "readouts_option",
    "recipe_option",
    "result_options",
    "seconds_option",
    "setup_options",
    "subject_options",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result as JSON to this file too.",
)
# The readouts that every label table allows.
_ANYWHERE = tuple(each for each in READOUTS if each != "together")
readouts_option = click.option(
    "--readout",
    callback=names,
    default=",".join(_ANYWHERE),
    show_default=True,
    metavar="A,B",
    help="Readouts to compare; together needs combinations of labels with several images each.",
)
recipe_option = click.option(
    "--recipe",
    default=DEFAULT_RECIPE,
    show_default=True,
    metavar="NAME",
    help="Recipe, as for train.",
)
_SUBJECT = (
    click.argument("labels", type=click.Path(path_type=Path)),
    images_option,
    click.option(
        "--backbone",
        default="resnet18",
        show_default=True,
        metavar="NAME",
        help="Backbone, as for train.",
    ),
    click.option(
        "--weights",
        default="imagenet",
        show_default=True,
        metavar="imagenet|none|FILE",
        help="Weights of the backbone, as for train.",
    ),
    click.option(
        "--tap",
        metavar="STAGE[:NxN][+STAGE]",
        help="Stages whose outputs, pooled over all or over N x N cells, are the features; "
        "default: as train has it for a head.",
    ),
    click.option(
        "--image-size",
        type=WholeNumber(min=8),
        metavar="S",
        help="Edge of the network's input in pixels; default: the backbone's own.",
    ),
    click.option(
        "--attributes",
        callback=names,
        metavar="A,B",
        help="Columns to learn and to judge by; default: all that look categorical.",
    ),
    click.option(
        "--name-column",
        metavar="NAME",
        help="Column whose words grade what agrees; default: all that agrees is relevant alike.",
    ),
)
_SEEDS = count_option("--seeds", default=5, text="How many samples are drawn, and heads trained.")
_PROTOCOL = (
    count_option(
        "--groups", default=100, text="How many groups of images with equal attributes are drawn."
    ),
    count_option(
        "--per-group",
        default=40,
        text="How many images of each group; smaller groups are left out.",
    ),
    count_option(
        "--test", default=1000, text="How many of the images drawn are searched, not trained on."
    ),
)


def seconds_option(what: str) -> Callable[[_Function], _Function]:
    """Give a command --seconds, for each of what it times in turns."""
    return click.option(
        "--seconds",
        type=RealNumber(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="X",
        help=f"Longest time of each {what}, over all its turns.",
    )


def setup_options(function: _Function) -> _Function:
    """Give a command LABELS, --images, and what says how to measure: `make_setup` takes that."""
    for option in reversed((*_SUBJECT, *_PROTOCOL, _SEEDS)):
        function = option(function)
    return function


def subject_options(function: _Function) -> _Function:
    """Give a command the same, but for how images are drawn, which it decides itself."""
    for option in reversed((*_SUBJECT, _SEEDS)):
        function = option(function)
    return function


def result_options(function: _Function) -> _Function:
    """Give a command --out and --json, which `finish` takes; they stand last."""
    return _out_option(json_option(function))


def make_setup(
    *,
    backbone: str,
    weights: str,
    tap: str | None,
    image_size: int | None,
    attributes: tuple[str, ...] | None,
    name_column: str | None,
    seeds: int,
    groups: int | None = None,
    per_group: int | None = None,
    test: int | None = None,
) -> Setup:
    """Return the setup that the options describe: of `setup_options`, or of `subject_options`."""
    from boost_edge.bench.relevance import PAPER, Protocol
    from boost_edge.bench.subject import Setup
    from boost_edge.models.backbones import parse_taps

    protocol = PAPER
    if groups is not None and per_group is not None and test is not None:
        protocol = Protocol(groups=groups, per_group=per_group, min_size=per_group, test=test)
    return Setup(
        backbone=backbone,
        weights=weights,
        taps=None if tap is None else parse_taps(tap, backbone),
        image_size=image_size,
        attributes=attributes,
        name_column=name_column,
        protocol=protocol,
        seeds=seeds,
    )


def check_choice(given: Sequence[str], known: Sequence[str], option: str) -> None:
    """Refuse a name that is not known."""
    for each in given:
        if each not in known:
            raise UsageError(f"{option}: {each!r} is not one of {', '.join(known)}")


def check_recipes(given: Sequence[str]) -> None:
    """Refuse a recipe that is not known."""
    from boost_edge.export.recipes import RECIPES

    check_choice(given, tuple(RECIPES), "--recipe")


def chosen_readouts(given: Sequence[str]) -> tuple[Readout, ...]:
    """Return the readouts asked for, in the order of all."""
    check_choice(given, READOUTS, "--readout")
    return tuple(each for each in READOUTS if each in given)


def finish(result: dict[str, Any], out: Path | None, json: bool, text: list[str]) -> int:
    """Print a result, and write it."""
    from boost_edge.bench.results import write_result

    if json:
        print_json(result)
    else:
        click.echo("\n".join(text))
    # Last: a file that cannot be written must not cost the result of hours.
    if out is not None:
        write_result(out, result)
    return ExitCode.FINE
