"""Answers of queries as a table, JSON, JSON lines, CSV or an HTML page."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.render import (
    predictions_text,
    print_csv,
    print_json,
    printable,
    table,
    to_json,
    wrapped,
)
from boost_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from boost_edge.runtime.hits import Hit, QueryResult

__all__ = ["FORMATS", "print_answers", "result_table"]

FORMATS = ("table", "json", "jsonl", "csv", "html")


def result_table(result: QueryResult, *, facets: bool = False) -> str:
    """Show one query: what was predicted for it, then its hits with what agrees."""
    known = [name for name, best in result.attributes.items() if best.is_likely]
    predicted = predictions_text(result.attributes, known)
    took = ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in result.took_ms.items())
    lines = [*_asked(result), f"  {took}"]
    if predicted:
        lines += wrapped(predicted, indent="  ")
    lines += ["", *_hit_table(result, agreeing=bool(predicted))] if result.hits else ["", "no hits"]
    if facets and result.hits:
        lines += ["", *_facet_table(result)]
    return "\n".join(lines)


def _asked(result: QueryResult) -> list[str]:
    if not result.like:
        return [printable(result.query)]
    named = (("like", result.like), ("unlike", result.unlike))
    return [printable(f"{how} {', '.join(some)}") for how, some in named if some]


def _hit_table(result: QueryResult, *, agreeing: bool) -> list[str]:
    agrees = "agrees with the query in" if agreeing else ""
    if not any(hit.preference for hit in result.hits):
        rows = [
            [str(hit.rank), f"{hit.score:.3f}", _short(hit.path), _agreement(hit, result)]
            for hit in result.hits
        ]
        return table(["rank", "score", "path", agrees], rows, right=(0, 1), squeeze=2)
    rows = [
        [
            str(hit.rank),
            f"{hit.score:.3f}",
            f"{hit.preference:+.3f}",
            _short(hit.path),
            _agreement(hit, result),
        ]
        for hit in result.hits
    ]
    header = ["rank", "score", "preference", "path", agrees]
    return table(header, rows, right=(0, 1, 2), squeeze=3)


def _facet_table(result: QueryResult) -> list[str]:
    rows = [
        [name, ", ".join(f"{value} {count}" for value, count in facet.values.items())]
        for name, facet in result.facets().items()
    ]
    return table(["attribute", "hits with each value"], rows)


def _agreement(hit: Hit, result: QueryResult) -> str:
    """Name the attributes that agree, of those that are known, or the fewer that do not."""
    known = [name for name, best in result.attributes.items() if best.is_likely]
    alike = [name for name in known if name in hit.agrees]
    others = [name for name in known if name not in hit.agrees]
    if alike and not others:
        return "all"
    if len(others) < len(alike):
        return f"all but {' '.join(others)}"
    return " ".join(alike) or ("nothing" if others else "")


def _short(path: str) -> str:
    """Return the path relative to the working folder where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def print_answers(
    answers: Sequence[QueryResult | ImageError], style: str, *, preferred: bool, facets: bool
) -> None:
    """Print the answers of some queries, or why they have none, as one of `FORMATS`."""
    results = [each for each in answers if not isinstance(each, ImageError)]
    match style:
        case "json":
            objects = [_as_object(each, facets=facets) for each in answers]
            print_json(objects if len(objects) > 1 else objects[0])
        case "jsonl":
            for each in answers:
                click.echo(to_json(_as_object(each, facets=facets)))
        case "csv":
            print_csv(_as_csv(results, preferred=preferred))
        case "html":
            from boost_edge.cli.page import results_page

            page = results_page(
                results,
                title="boost-edge query",
                lead="The most similar images, best first.",
                facets=facets,
            )
            click.echo(page, nl=False)
        case _:
            click.echo("\n\n".join(result_table(result, facets=facets) for result in results))


def _as_object(answer: QueryResult | ImageError, *, facets: bool) -> dict[str, Any]:
    """Return the documented JSON object of one query."""
    if isinstance(answer, ImageError):
        error = {"reason": answer.reason, "detail": answer.detail}
        return {"query": answer.path, "error": error}
    found = dataclasses.asdict(answer)
    for hit in found["hits"]:
        # An id may be larger than the numbers that every language reads exactly.
        hit["id"] = str(hit["id"])
    if not answer.like:
        del found["like"], found["unlike"]
    if facets:
        counted = answer.facets().items()
        found["facets"] = {name: dataclasses.asdict(facet) for name, facet in counted}
    return found


def _as_csv(results: Sequence[QueryResult], *, preferred: bool) -> str:
    names = list(dict.fromkeys(name for result in results for name in result.attributes))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bonus = ["preference"] if preferred else []
    writer.writerow(["query", "rank", "score", *bonus, "id", "path", "agrees", *names])
    for result in results:
        for hit in result.hits:
            values = [hit.attributes.get(name, "") for name in names]
            start = [result.query, hit.rank, f"{hit.score:.6f}"]
            added = [f"{hit.preference:.6f}"] if preferred else []
            agrees = " ".join(hit.agrees)
            writer.writerow([*start, *added, hit.id, hit.path, agrees, *values])
    return text.getvalue()
