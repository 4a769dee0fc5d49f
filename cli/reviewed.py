"""A review of a label table as text, JSON, JSON lines, CSV or an HTML page."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.render import print_csv, print_json, printable, skipped_objects, table, to_json
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.review import Doubt, Review

__all__ = ["FORMATS", "print_review", "summary"]

FORMATS = ("table", "json", "jsonl", "csv", "html")


def print_review(review: Review, style: str) -> None:
    """Print a review as one of `FORMATS`; ``jsonl`` and ``csv`` have the list alone."""
    match style:
        case "json":
            print_json(_as_object(review))
        case "jsonl":
            for doubt in review.doubts:
                click.echo(to_json(_doubt(doubt)))
        case "csv":
            print_csv(_as_csv(review))
        case "html":
            from boost_edge.cli.review_page import review_page

            click.echo(review_page(review), nl=False)
        case _:
            click.echo("\n".join(_as_text(review)))


def summary(review: Review) -> str:
    """Return one sentence about what was judged and found."""
    listed = len(review.doubts)
    first = f" (the first {listed:,} are listed)" if listed < review.disagreements else ""
    return (
        f"{counted(review.labels, 'label')} of {counted(review.images, 'image')} in "
        f"{', '.join(review.attributes)}; "
        f"the model disagrees with {review.disagreements:,}{first}, "
        f"of which {review.likely:,} are likely to be wrong"
    )


def _as_object(review: Review) -> dict[str, Any]:
    """Return the documented JSON object."""
    return {
        "table": str(review.table),
        "model": review.model,
        "trained_on_table": review.trained_on_table,
        "attributes": review.attributes,
        "images": review.images,
        "labels": review.labels,
        "disagreements": review.disagreements,
        "likely": review.likely,
        "doubts": [_doubt(doubt) for doubt in review.doubts],
        "unknown_values": [dataclasses.asdict(each) for each in review.unknown_values],
        "missing": review.missing,
        "skipped": skipped_objects(review.skipped),
    }


def _doubt(doubt: Doubt) -> dict[str, Any]:
    return {**dataclasses.asdict(doubt), "path": str(doubt.path)}


def _as_csv(review: Review) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = ("p_given", "p_suggested", "score")
    writer.writerow(["row", "file_name", "attribute", "given", "suggested", *numbers, "likely"])
    for each in review.doubts:
        labels = [each.file_name, each.attribute, each.given, each.suggested]
        shown = [f"{number:.6f}" for number in (each.p_given, each.p_suggested, each.score)]
        writer.writerow([each.row, *labels, *shown, "yes" if each.likely else "no"])
    return text.getvalue()


def _as_text(review: Review) -> list[str]:
    lines = [printable(f"{review.table}: {summary(review)}")]
    if not review.doubts:
        return lines
    rows = [
        [
            f"{each.score:.3f}",
            "yes" if each.likely else "",
            each.attribute,
            each.given,
            f"{each.p_given:.2f}",
            each.suggested,
            f"{each.p_suggested:.2f}",
            str(each.row),
            each.file_name,
        ]
        for each in review.doubts
    ]
    header = ["score", "likely", "attribute", "given", "p", "suggested", "p", "row", "image"]
    return [*lines, "", *table(header, rows, right=(0, 4, 6, 7), squeeze=8)]
