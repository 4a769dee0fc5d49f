"""``boost-edge query``."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_option, model_option, threads_option
from boost_edge.cli.render import print_json, printable, table, to_json, warn, wrapped
from boost_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from boost_edge.runtime.gallery import Hit, QueryResult

__all__ = ["command", "result_table"]

_FORMATS = ("table", "json", "jsonl", "csv", "html")


@click.command("query")
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@gallery_option
@model_option
@click.option(
    "-k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many hits.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(-1.0, 1.0),
    metavar="X",
    help="Leave out hits below this cosine similarity.",
)
@click.option(
    "--where",
    metavar="EXPR",
    help="Only images whose attributes pass this filter: =, !=, <, <=, >, >=, in (a, b), and, or, "
    "not, p(name) for the probability of a prediction.",
)
@click.option(
    "--format",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="How to print the hits; json is one object, for several images a list.",
)
@threads_option
def command(
    images: tuple[Path, ...],
    gallery: Path,
    model: Path | None,
    k: int,
    min_score: float | None,
    where: str | None,
    format: str,  # noqa: A002 - its environment variable is called so too
    threads: int | None,
) -> int:
    """Find the images of a gallery that are most like each IMAGE.

    Images that cannot be read are named, and the exit code is 3 (1 where none could be read).

    \b
    Example:
      boost-edge query img.jpg -k 5
      boost-edge query img.jpg --where "colour = red and p(type) >= 0.8"
      boost-edge query img.jpg --format json
      boost-edge query *.jpg --format html > hits.html
    """
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.gallery import Gallery

    encoder = None if model is None else Encoder.open(model, threads=threads)
    answers: list[QueryResult | ImageError] = []
    with Gallery.open(gallery, encoder, create=False, threads=threads) as opened:
        for image in images:
            try:
                answers.append(opened.query(image, k=k, min_score=min_score, where=where))
            except ImageError as error:
                answers.append(error)
    unread = [each for each in answers if isinstance(each, ImageError)]
    failed = len(unread) == len(answers)
    for each in unread:
        warn(f"skipped {each}" if not failed else str(each))
    if not failed or format in ("json", "jsonl"):
        _print(answers, format)
    if failed:
        return ExitCode.FAILED
    return ExitCode.SKIPPED if unread else ExitCode.FINE


def result_table(result: QueryResult) -> str:
    """Show one query: what was predicted for it, then its hits with what agrees."""
    predicted = ", ".join(
        f"{name} {prediction.value} ({prediction.p:.2f})"
        for name, prediction in result.attributes.items()
    )
    took = ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in result.took_ms.items())
    lines = [printable(result.query), f"  {took}"]
    if predicted:
        lines += wrapped(predicted, indent="  ")
    rows = [
        [str(hit.rank), f"{hit.score:.3f}", _short(hit.path), _agreement(hit, result)]
        for hit in result.hits
    ]
    header = ["rank", "score", "path", "agrees with the query in" if predicted else ""]
    lines += ["", *table(header, rows, right=(0, 1), squeeze=2)] if rows else ["", "no hits"]
    return "\n".join(lines)


def _agreement(hit: Hit, result: QueryResult) -> str:
    """Name the attributes that agree, or the fewer that do not."""
    others = [name for name in result.attributes if name not in hit.agrees]
    if hit.agrees and not others:
        return "all"
    if len(others) < len(hit.agrees):
        return f"all but {' '.join(others)}"
    return " ".join(hit.agrees) or ("nothing" if others else "")


def _short(path: str) -> str:
    """Return the path relative to the working folder where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _print(answers: Sequence[QueryResult | ImageError], style: str) -> None:
    results = [each for each in answers if not isinstance(each, ImageError)]
    match style:
        case "json":
            objects = [_as_object(each) for each in answers]
            print_json(objects if len(objects) > 1 else objects[0])
        case "jsonl":
            for each in answers:
                click.echo(to_json(_as_object(each)))
        case "csv":
            click.echo(_decodable(_as_csv(results)), nl=False)
        case "html":
            from boost_edge.cli.page import results_page

            page = results_page(
                results, title="boost-edge query", lead="The most similar images, best first."
            )
            click.echo(page, nl=False)
        case _:
            click.echo("\n\n".join(result_table(result) for result in results))


def _as_object(answer: QueryResult | ImageError) -> dict[str, Any]:
    """Return the documented JSON object of one query."""
    if isinstance(answer, ImageError):
        error = {"reason": answer.reason, "detail": answer.detail}
        return {"query": answer.path, "error": error}
    return dataclasses.asdict(answer)


def _decodable(text: str) -> str:
    """Escape the bytes of file names that are no UTF-8, as JSON does."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_csv(results: Sequence[QueryResult]) -> str:
    names = list(dict.fromkeys(name for result in results for name in result.attributes))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "rank", "score", "id", "path", "agrees", *names])
    for result in results:
        for hit in result.hits:
            values = [hit.attributes.get(name, "") for name in names]
            agrees = " ".join(hit.agrees)
            writer.writerow(
                [result.query, hit.rank, f"{hit.score:.6f}", hit.id, hit.path, agrees, *values]
            )
    return text.getvalue()
