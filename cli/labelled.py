"""Predicted attributes as text, JSON, or a label table in CSV or JSON lines, image by image."""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.render import (
    decodable,
    predictions_text,
    print_csv,
    printable,
    to_json,
    warn,
    wrapped,
)
from boost_edge.runtime.errors import ImageError, UsageError

if TYPE_CHECKING:
    from boost_edge.cli.user_labels import UserLabels
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.labelling import Labelled

__all__ = ["FORMATS", "print_labelled"]

FORMATS = ("table", "json", "jsonl", "csv")
_TABLES = ("jsonl", "csv")
_NAME = "file_name"


def print_labelled(
    answers: Iterable[Labelled | ImageError],
    style: str,
    *,
    images: Sequence[Path],
    encoder: Encoder,
    table: UserLabels | None = None,
) -> None:
    """Print each answer as soon as it comes, as one of `FORMATS`.

    ``images`` are the files and folders that were asked for. With ``table`` a label table has its
    columns, so that the rows can be appended to it.

    Raises
    ------
    UsageError
        Before anything is printed, when an attribute has the name of another column.
    """
    if style == "json":
        alone = len(images) == 1 and not images[0].is_dir()
        _print_json((_as_object(each, encoder.sha256) for each in answers), alone=alone)
        return
    read = (each for each in answers if not isinstance(each, ImageError))
    if style in _TABLES and table is not None:
        _print_rows(style, table.columns, (_row_of(each, table) for each in read))
        return
    if style in _TABLES:
        folder = _folder_of(images)
        columns = _columns(encoder)
        if len(images) > 1:
            warn(f"{_NAME} is relative to {folder}: give --images {folder} with this table")
        rows = (_row(each, folder, columns) for each in read)
        _print_rows(style, columns, rows)
        return
    for each in read:
        click.echo("\n".join(_as_text(each)))


def _print_json(objects: Iterator[dict[str, Any]], *, alone: bool) -> None:
    """Print one object, or a list of any length without holding it."""
    if alone:
        for each in objects:
            click.echo(to_json(each, indent=2))
        return
    before = "["
    for each in objects:
        click.echo(f"{before}\n{textwrap.indent(to_json(each, indent=2), '  ')}", nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _as_object(answer: Labelled | ImageError, model: str) -> dict[str, Any]:
    """Return the documented JSON object of one image."""
    if isinstance(answer, ImageError):
        error = {"reason": answer.reason, "detail": answer.detail}
        return {"path": answer.path, "error": error}
    attributes = {
        name: {"value": best.value, "p": best.p}
        if name in answer.labels
        else {"value": None, "p": best.p, "guess": best.value}
        for name, best in answer.attributes.items()
    }
    return {"path": answer.path, "model": model, "attributes": attributes}


def _as_text(answer: Labelled) -> list[str]:
    predicted = predictions_text(answer.attributes, answer.labels)
    return [printable(answer.path), *wrapped(predicted, indent="  ")]


def _columns(encoder: Encoder) -> list[str]:
    """Return the columns of a label table: ``p(NAME)`` is no label to those that read it."""
    names = [attribute.name for attribute in encoder.manifest.attributes]
    columns = [_NAME, *(column for name in names for column in (name, f"p({name})"))]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{encoder.path}: its attribute {twice} has the name of another column of a label "
            "table: take --format json"
        )
    return columns


def _row(answer: Labelled, folder: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return the cells of one image by column, None where the value is unknown."""
    from boost_edge.runtime.crawl import absolute

    cells: list[str | float | None] = [decodable(os.path.relpath(absolute(answer.path), folder))]
    for name, best in answer.attributes.items():
        cells += [answer.labels.get(name), best.p]
    return dict(zip(columns, cells, strict=True))


def _row_of(answer: Labelled, table: UserLabels) -> dict[str, Any]:
    """Return the cells of one image in the columns of a table, None where nothing is known."""
    from boost_edge.export.label_attributes import SPLIT_COLUMN
    from boost_edge.export.label_images import name_in_table
    from boost_edge.runtime.crawl import absolute

    relative = decodable(os.path.relpath(absolute(answer.path), absolute(table.folder)))
    cells: dict[str, str] = {
        **answer.labels,
        # A table that says so for one row must say it for all.
        SPLIT_COLUMN: "train",
        table.image_column: name_in_table(relative, table.image_column),
    }
    return {name: cells.get(name) for name in table.columns}


def _print_rows(style: str, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    if style == "csv":
        _print_csv(columns, rows)
        return
    for row in rows:
        click.echo(to_json(row))


def _print_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print a table, line by line."""
    _print_line(columns)
    for row in rows:
        _print_line([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row.values()])


def _print_line(cells: Sequence[str | None]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    print_csv(line.getvalue())


def _folder_of(images: Sequence[Path]) -> str:
    """Return the folder that all images asked for are in, absolute, with links as given."""
    from boost_edge.runtime.crawl import absolute

    paths = [absolute(path) for path in images]
    return os.path.commonpath(
        [path if Path(path).is_dir() else str(Path(path).parent) for path in paths]
    )
