"""``boost-edge label``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.labelled import FORMATS, print_labelled
from boost_edge.cli.model import shipped_model_with_warning
from boost_edge.cli.options import (
    chosen_format,
    exclude_option,
    hidden_option,
    include_option,
    json_format_option,
    shipped_model_option,
    threads_option,
    use_threads,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import warn
from boost_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.labelling import Labelled

__all__ = ["command"]


@click.command("label")
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE...",
    type=click.Path(path_type=Path, readable=False),
)
@shipped_model_option
@click.option(
    "--min-p",
    multiple=True,
    metavar="[NAME=]P",
    help="Leave a value unknown below this probability, of all attributes or of one; may be "
    "repeated; default: 0.5.",
)
@include_option
@exclude_option
@hidden_option
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    show_default="table",
    help="How to print; csv and jsonl are label tables, json is one object, for a folder or "
    "several images a list.",
)
@json_format_option
@threads_option
@click.pass_context
def command(
    context: click.Context,
    images: tuple[Path, ...],
    model: Path | None,
    min_p: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    format: str | None,  # noqa: A002 - its environment variable is called so too
    json: bool,
    threads: int | None,
) -> int:
    """Print the attributes that a model predicts of images.

    Each IMAGE is a file or a folder. Each value comes with its calibrated probability; one that is
    more likely wrong than right (below 0.5, or --min-p) is unknown, or blank in a label table.
    Images that cannot be read are named, and the exit code is 3 (1 where none could be read).
    Patterns are those of index.

    The label tables can be corrected by hand and given to train and to index --labels. Their
    file_name is relative to the folder given, or to the one that all IMAGEs are in.

    \b
    Example:
      boost-edge label img.jpg --model model.onnx
      boost-edge label photos/ --model model.onnx --format csv > labels.csv
      boost-edge label photos/ --min-p 0.8 --min-p colour=0.9 --json
    """
    style = chosen_format(context, format, json=json)
    given = dict(map(_least, min_p))
    from boost_edge.runtime.crawl import require_paths
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.labelling import label_images
    from boost_edge.runtime.selection import Selection

    require_paths(images)
    selection = Selection(include=include, exclude=exclude, hidden=hidden)
    chosen = shipped_model_with_warning() if model is None else model
    use_threads(threads)
    count = len(images) if all(each.is_file() for each in images) else None
    with Encoder.open(chosen, threads=threads, images=count) as encoder, Bars() as bars:
        # A bar among the lines of a terminal would only be in the way.
        show = None if sys.stdout and sys.stdout.isatty() else bars
        found = label_images(
            encoder, images, min_p=_by_name(given, encoder), selection=selection, progress=show
        )
        with closing(found):
            watched = _Watched(found, bars)
            print_labelled(watched, style, images=images, encoder=encoder)
    if not watched.count:
        warn("there are no images here: nothing was labelled")
    failed = watched.unread == watched.count > 0
    if failed:
        return ExitCode.FAILED
    return ExitCode.SKIPPED if watched.unread else ExitCode.FINE


class _Watched:
    """Goes through answers once, names on stderr what could not be read, and counts."""

    def __init__(self, answers: Iterator[Labelled | ImageError], bars: Bars) -> None:
        self._answers = answers
        self._bars = bars
        self.count = 0
        self.unread = 0

    def __iter__(self) -> Iterator[Labelled | ImageError]:
        for each in self._answers:
            self.count += 1
            if isinstance(each, ImageError):
                self.unread += 1
                self._bars.warn(f"skipped {each}")
            yield each


def _least(given: str) -> tuple[str, float]:
    """Read one ``--min-p``: the attribute, empty for all, and the probability."""
    name, _, number = given.rpartition("=")
    try:
        p = float(number)
    except ValueError:
        p = -1.0
    if not 0 <= p <= 1 or (not name and "=" in given):
        raise click.UsageError(
            f"--min-p {given}: is neither a probability in [0, 1] nor NAME=P, as in colour=0.8."
        )
    return name, p


def _by_name(given: dict[str, float], encoder: Encoder) -> dict[str, float]:
    """Return the probabilities by attribute, where an empty name means all others."""
    named = {name: p for name, p in given.items() if name}
    if "" not in given:
        return named
    return dict.fromkeys((each.name for each in encoder.manifest.attributes), given[""]) | named
