"""``boost-edge choose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.labelled import FORMATS, print_labelled
from boost_edge.cli.model import shipped_model_with_warning
from boost_edge.cli.options import (
    chosen_format,
    count_option,
    exclude_option,
    hidden_option,
    image_column_option,
    include_option,
    json_format_option,
    names,
    shipped_model_option,
    threads_option,
    use_threads,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import warn
from boost_edge.cli.user_labels import read_user_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boost_edge.cli.user_labels import UserLabels
    from boost_edge.runtime.choosing import Choice

__all__ = ["command"]


@click.command("choose")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(path_type=Path, readable=False),
)
@shipped_model_option
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Label table of what a person labelled, its names relative to PATH, which is one folder "
    "then: images for which it knows an attribute of the model (or of --doubts-of) are not chosen.",
)
@image_column_option
@count_option("-n", "--limit", default=300, text="How many images to choose.")
@click.option(
    "--doubts-of",
    callback=names,
    metavar="A,B",
    help="Attributes whose doubts count; default: all, those with many values most.",
)
@count_option("--seed", default=0, least=0, text="Another seed gives another choice.")
@include_option
@exclude_option
@hidden_option
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    show_default="table",
    help="How to print; csv and jsonl are label tables with the model's guesses, to correct.",
)
@json_format_option
@threads_option
@click.pass_context
def command(
    context: click.Context,
    paths: tuple[Path, ...],
    model: Path | None,
    labels: Path | None,
    image_column: str | None,
    limit: int,
    doubts_of: tuple[str, ...] | None,
    seed: int,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    format: str | None,  # noqa: A002 - its environment variable is called so too
    json: bool,
    threads: int | None,
) -> int:
    """Choose which images to label next: what a model doubts, no two alike.

    Each PATH is a file or a folder of photos. A model learns many kinds of things sooner when it
    says itself where it is unsure: label some images, train and export, choose some hundred more
    with that model, label them too, and so on. The first images, before there is a model of your
    own, may be any. Where kinds matter no more than colours, chance chooses as well or better.

    With --labels the tables of --format csv and jsonl have its columns: correct the guesses, fill
    in what is blank, and append the rows. What is chosen is hard: keep others apart to judge by.

    Images that cannot be read are named, and the exit code is 3 (1 where none could be read).
    Patterns are those of index.

    \b
    Example:
      boost-edge choose photos/ --model shop.onnx --labels labels.csv -n 300 \\
        --format csv > next.csv
    """
    style = chosen_format(context, format, json=json)
    from boost_edge.runtime.choosing import choose_images
    from boost_edge.runtime.crawl import require_paths
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.selection import Selection

    require_paths(paths)
    selection = Selection(include=include, exclude=exclude, hidden=hidden)
    table = None if labels is None else read_user_labels(labels, paths, image_column)
    chosen_model = shipped_model_with_warning() if model is None else model
    use_threads(threads)
    with Encoder.open(chosen_model, threads=threads) as encoder, Bars() as bars:
        known = [attribute.name for attribute in encoder.manifest.attributes]
        choice = choose_images(
            encoder,
            paths,
            count=limit,
            done=[] if table is None else _labelled(table, doubts_of or known),
            doubts_of=doubts_of,
            seed=seed,
            selection=selection,
            progress=bars,
        )
        for error in choice.skipped:
            bars.warn(f"skipped {error}")
    if choice.skipped and not choice.candidates and not choice.labelled:
        return ExitCode.FAILED
    print_labelled(choice.images, style, images=paths, encoder=encoder, table=table)
    _warn(choice, limit, attributes=bool(known))
    return ExitCode.SKIPPED if choice.skipped else ExitCode.FINE


def _labelled(table: UserLabels, attributes: Sequence[str]) -> list[str]:
    """Return the images for which a table knows an attribute; without attributes, any cell."""
    return [
        path
        for path, cells in table.by_image.items()
        if (any(name in cells for name in attributes) if attributes else cells)
    ]


def _warn(choice: Choice, limit: int, *, attributes: bool) -> None:
    """Say what is not as it was asked for."""
    if not choice.candidates:
        warn(
            "all images here have labels already: nothing was chosen"
            if choice.labelled
            else "there are no images here: nothing was chosen"
        )
    elif len(choice.images) < limit:
        warn(f"fewer images than {limit:,} are left to label here: all of them are chosen")
    if choice.candidates and not attributes:
        warn("this model predicts no attributes, so it has no doubts: chosen by how images look")
