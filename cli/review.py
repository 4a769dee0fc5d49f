"""``boost-edge review``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.model import shipped_model_with_warning
from boost_edge.cli.options import (
    chosen_format,
    count_option,
    image_column_option,
    images_option,
    json_format_option,
    names,
    shipped_model_option,
    threads_option,
    use_threads,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import warn, warn_of_gaps
from boost_edge.cli.reviewed import FORMATS, print_review
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.review import Review

__all__ = ["command"]

_SHOWN = 10


@click.command("review")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@shipped_model_option
@click.option(
    "--attributes",
    callback=names,
    metavar="A,B,C",
    help="Label columns to judge; default: all that the model predicts.",
)
@image_column_option
@count_option("-n", "--limit", default=50, text="List at most N labels.")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    show_default="table",
    help="How to print the list; html is a page with the pictures.",
)
@json_format_option
@threads_option
@click.pass_context
def command(
    context: click.Context,
    labels: Path,
    images: Path,
    model: Path | None,
    attributes: tuple[str, ...] | None,
    image_column: str | None,
    limit: int,
    format: str | None,  # noqa: A002 - its environment variable is called so too
    json: bool,
    threads: int | None,
) -> int:
    """List the labels of a table that a model most disagrees with.

    LABELS is a label table as for train, and the list begins where the model is surest that a label
    is wrong: least p(given) - p(suggested). Nothing is changed. A label that is likely to be wrong
    is marked; whether it is, a person decides.

    A model tends to agree with labels that it was trained on, right or wrong: rows that it has not
    seen are judged more fairly. Rows without image, and images that cannot be read, are named, and
    the exit code is 3.

    \b
    Example:
      boost-edge review labels.csv --images photos/ --model model.onnx
      boost-edge review labels.csv --images photos/ --format html > review.html
    """
    style = chosen_format(context, format, json=json)
    from boost_edge.export.review import review_labels
    from boost_edge.runtime.encoder import Encoder

    use_threads(threads)
    chosen = shipped_model_with_warning() if model is None else model
    with Encoder.open(chosen, threads=threads) as encoder, Bars() as bars:
        review = review_labels(
            labels,
            images=images,
            encoder=encoder,
            attributes=attributes,
            image_column=image_column,
            limit=limit,
            progress=bars,
        )
    _warn(review)
    print_review(review, style)
    return ExitCode.SKIPPED if review.missing or review.skipped else ExitCode.FINE


def _warn(review: Review) -> None:
    """Say what was not judged, or not judged fairly."""
    if review.trained_on_table:
        warn(
            f"the model was trained on {review.table}: it tends to agree with the labels that it "
            "has learnt, and only those held out from the training are judged fairly"
        )
    warn_of_gaps(review.missing, review.skipped)
    if unknown := review.unknown_values:
        count = sum(each.count for each in unknown)
        shown = ", ".join(
            f"{each.attribute} {each.value} ({each.count}"
            + (f", near {each.nearest})" if each.nearest else ")")
            for each in unknown[:_SHOWN]
        )
        rest = len(unknown) - _SHOWN
        warn(
            f"{counted(count, 'label')} not judged, of values that the model does not know: {shown}"
            + (f" and {rest} more values (--json lists all)" if rest > 0 else "")
        )
