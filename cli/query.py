"""``boost-edge query``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_option, threads_option
from boost_edge.cli.render import printable, table, warn
from boost_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from boost_edge.runtime.gallery import QueryResult

__all__ = ["command", "result_table"]

_FORMATS = ("table", "json", "jsonl", "csv", "html")


@click.command("query")
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@gallery_option
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The ONNX file; default: the one the gallery was built with.",
)
@click.option(
    "-k",
    "count",
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
    "--format",
    "style",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="How to print the hits.",
)
@threads_option
def command(
    images: tuple[Path, ...],
    gallery: Path,
    model: Path | None,
    count: int,
    min_score: float | None,
    style: str,
    threads: int | None,
) -> int:
    """Find the images of a gallery that are most like each IMAGE.

    \b
    Example:
      boost-edge query img.jpg -k 5
      boost-edge query img.jpg --format json
      boost-edge query *.jpg --format html > hits.html
    """
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.gallery import Gallery

    encoder = None if model is None else Encoder.open(model, threads=threads)
    results: list[QueryResult] = []
    unread: list[ImageError] = []
    with Gallery.open(gallery, encoder, create=False, threads=threads) as opened:
        for image in images:
            try:
                results.append(opened.query(image, k=count, min_score=min_score))
            except ImageError as error:
                unread.append(error)
    if not results:
        for each in unread[1:]:
            warn(f"skipped {each}")
        raise unread[0]
    for each in unread:
        warn(f"skipped {each}")
    click.echo(_render(results, unread, style), nl=style != "csv")
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
        lines.append(f"  {printable(predicted)}")
    rows = [
        [
            str(hit.rank),
            f"{hit.score:.3f}",
            _short(hit.path),
            " ".join(hit.agrees) if result.attributes else "",
        ]
        for hit in result.hits
    ]
    header = ["rank", "score", "path", "agrees with the query in" if result.attributes else ""]
    lines += ["", *table(header, rows, right=(0, 1))] if rows else ["", "no hits"]
    return "\n".join(lines)


def _short(path: str) -> str:
    """Return the path relative to the working folder where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _render(results: Sequence[QueryResult], unread: Sequence[ImageError], style: str) -> str:
    match style:
        case "json":
            objects = [_as_object(result) for result in results]
            objects += [_as_error(error) for error in unread]
            return json.dumps(objects if len(objects) > 1 else objects[0], indent=2)
        case "jsonl":
            objects = [_as_object(result) for result in results]
            objects += [_as_error(error) for error in unread]
            return "\n".join(json.dumps(each) for each in objects)
        case "csv":
            return _as_csv(results)
        case "html":
            from boost_edge.cli.page import results_page

            return results_page(
                results, title="boost-edge query", lead="The most similar images, best first."
            ).rstrip()
        case _:
            return "\n\n".join(result_table(result) for result in results)


def _as_object(result: QueryResult) -> dict[str, Any]:
    """Return the documented JSON object of one query."""
    return dataclasses.asdict(result)


def _as_error(error: ImageError) -> dict[str, Any]:
    return {"query": error.path, "error": {"reason": error.reason, "detail": error.detail}}


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
