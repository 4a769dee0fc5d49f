"""``boost-edge query``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import (
    chosen_format,
    count_option,
    gallery_option,
    json_format_option,
    model_option,
    threads_option,
    use_threads,
    where_option,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.query_stream import answer_stream
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import warn, warn_of_nothing
from boost_edge.cli.results import FORMATS, print_answers
from boost_edge.runtime.errors import ImageError, UsageError

if TYPE_CHECKING:
    from boost_edge.runtime.hits import QueryResult

__all__ = ["command"]

# Of what SQLite takes for an integer.
_MOST_DIGITS = 18


@click.command("query")
@click.argument(
    # Text, not Path: that would take the file ./- for the stream -.
    "images",
    nargs=-1,
    required=False,
    metavar="[IMAGE]...",
    type=click.Path(readable=False),
)
@gallery_option
@model_option
@count_option("-k", default=10, text="How many hits.")
@click.option(
    "--min-score",
    type=RealNumber(-1.0, 1.0),
    metavar="X",
    help="Leave out hits below this cosine similarity.",
)
@where_option
@click.option(
    "--prefer",
    multiple=True,
    metavar="NAME=VALUE[:W]",
    help="Lift images of this value by W in [-1, 1], default 0.1; may be repeated.",
)
@click.option(
    "--like",
    multiple=True,
    metavar="EXAMPLE",
    help="Search by examples together, as one query: an image, or id:N of one in the gallery; may "
    "be repeated.",
)
@click.option(
    "--unlike",
    multiple=True,
    metavar="EXAMPLE",
    help="Search away from this example, beside --like; may be repeated.",
)
@click.option(
    "--unlike-weight",
    type=RealNumber(min=0),
    metavar="X",
    help="How much the mean of --unlike counts beside that of --like; default: 0.2.",
)
@click.option("--facets", is_flag=True, help="Also count the values of attributes of the hits.")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    show_default="table",
    help="How to print the hits; json is one object, for several images a list.",
)
@json_format_option
@click.option(
    "-0", "--null", is_flag=True, help="Beside -: each path ends with NUL, not with a newline."
)
@threads_option
@click.pass_context
def command(
    context: click.Context,
    images: tuple[str, ...],
    gallery: Path,
    model: Path | None,
    k: int,
    min_score: float | None,
    where: str | None,
    prefer: tuple[str, ...],
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    unlike_weight: float | None,
    facets: bool,
    format: str | None,  # noqa: A002 - its environment variable is called so too
    json: bool,
    null: bool,
    threads: int | None,
) -> int:
    """Find the images of a gallery that are most like each IMAGE.

    Each IMAGE is a query of its own; the examples of --like and --unlike are one more. Images that
    are missing or cannot be read are named, and the exit code is 3 (1 where none could be read).

    With - for IMAGE, paths are read from standard input, one a line, until its end. Each is
    answered with one line of JSON before the next is waited for, from the gallery as it is then.

    \b
    Example:
      boost-edge query img.jpg -k 5
      boost-edge query img.jpg --json
      boost-edge query img.jpg --where "colour = red and p(type) >= 0.8"
      boost-edge query img.jpg --prefer colour=red:0.2 --facets
      boost-edge query --like a.jpg --like id:17 --unlike b.jpg
      boost-edge query *.jpg --format html > hits.html
      boost-edge query - < paths.txt > hits.jsonl
    """
    streamed = "-" in images
    if streamed:
        _check_stream(images, like, format)
    elif null:
        raise UsageError("-0 is for paths on standard input: give - as the only IMAGE")
    style = chosen_format(context, format, json=json)
    _check(images, like, unlike, unlike_weight, counted_as=style if facets else "")
    wanted, unwanted = ([_example(each) for each in some] for some in (like, unlike))
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.examples import UNLIKE_WEIGHT
    from boost_edge.runtime.gallery import Gallery

    use_threads(threads)
    # Examples that are given by their id are known, and not encoded.
    shown = sum(isinstance(each, Path) for each in (*wanted, *unwanted))
    count = None if streamed else len(images) + shown
    encoder = None if model is None else Encoder.open(model, threads=threads, images=count)
    with (
        Bars() as bars,
        Gallery.open(
            gallery, encoder, create=False, threads=threads, images=count, progress=bars
        ) as opened,
    ):
        asked = partial(opened.query, k=k, min_score=min_score, where=where, prefer=prefer)
        if streamed:
            end = b"\0" if null else b"\n"
            return answer_stream(asked, _standard_input(), end=end, facets=facets)
        queries = [partial(asked, image) for image in images]
        if like:
            examples = partial(opened.query_examples, k=k, min_score=min_score, where=where)
            weight = UNLIKE_WEIGHT if unlike_weight is None else unlike_weight
            queries.append(partial(examples, wanted, unwanted, unlike_weight=weight, prefer=prefer))
        answers = [_answer(query) for query in queries]
    unread = [each for each in answers if isinstance(each, ImageError)]
    failed = len(unread) == len(answers)
    for each in unread:
        warn(f"skipped {each}" if not failed else str(each))
    if not failed or style in ("json", "jsonl"):
        print_answers(answers, style, preferred=bool(prefer), facets=facets)
    if failed:
        return ExitCode.FAILED
    if where is not None and min_score is None and not any(map(_has_hits, answers)):
        warn_of_nothing(where)
    elif prefer and any(map(_has_hits, answers)) and not any(map(_is_lifted, answers)):
        warn(
            f"no hit was lifted or lowered by --prefer {' '.join(prefer)}: boost-edge facets lists "
            "the values; capitals matter"
        )
    return ExitCode.SKIPPED if unread else ExitCode.FINE


def _answer(query: Callable[[], QueryResult]) -> QueryResult | ImageError:
    try:
        return query()
    except ImageError as error:
        return error


def _is_lifted(answer: QueryResult | ImageError) -> bool:
    return not isinstance(answer, ImageError) and any(hit.preference for hit in answer.hits)


def _has_hits(answer: QueryResult | ImageError) -> bool:
    return not isinstance(answer, ImageError) and len(answer) > 0


def _check_stream(images: Sequence[str], like: Sequence[str], style: str | None) -> None:
    """Refuse what makes no sense beside paths that come one by one."""
    if len(images) > 1 or like:
        raise UsageError("- reads the paths from standard input: give no other IMAGE and no --like")
    if style not in (None, "json", "jsonl"):
        raise UsageError(f"- answers with lines of JSON as paths come, not with {style}")


def _standard_input() -> Callable[[int], bytes]:
    """Return a function that reads what is there, where a buffer would wait for more."""
    if not sys.stdin:
        raise UsageError("standard input is closed: there are no paths to read")
    return partial(os.read, sys.stdin.fileno())


def _check(
    images: Sequence[str],
    like: Sequence[str],
    unlike: Sequence[str],
    unlike_weight: float | None,
    *,
    counted_as: str,
) -> None:
    """Refuse what click cannot know makes no sense."""
    if not images and not like:
        if unlike:
            raise UsageError("--unlike needs --like: say what to look for instead")
        raise click.UsageError("Missing argument 'IMAGE...' (or give --like).")
    if unlike and not like:
        raise UsageError("--unlike needs --like: an IMAGE is a query of its own, without examples")
    if unlike_weight is not None and not unlike:
        raise UsageError("--unlike-weight needs --unlike: there is nothing to weigh")
    if counted_as == "csv":
        raise UsageError("--facets has no place in csv: choose another --format")


def _example(given: str) -> Path | int:
    """Read an example: an image, or ``id:17``; a file of such a name is ``./id:17``."""
    if not given.startswith("id:"):
        return Path(given)
    number = given.removeprefix("id:")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise UsageError(f"{given}: an id is a number, as in id:17 (a file is ./{given})")
    return int(number)
