"""Text for people and JSON for programs: tables that fit a terminal, sizes, warnings."""

from __future__ import annotations

import json
import shutil
import textwrap
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.manifest import AttributeQuality, Quantisation
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.encoder import Prediction

__all__ = [
    "counts",
    "decodable",
    "megabytes",
    "of_gallery",
    "predictions_text",
    "print_csv",
    "print_json",
    "printable",
    "quality_table",
    "quantisation_facts",
    "skipped_objects",
    "table",
    "to_json",
    "warn",
    "warn_of_gaps",
    "warn_of_nothing",
    "wrapped",
]

_GAP = "  "
_NARROWEST = 12
_SHOWN = 10


def print_csv(text: str) -> None:
    """Print lines of CSV as they are, but for what is no UTF-8 in names.

    Without ``color`` click would take out what looks like a colour in a file's name.
    """
    click.echo(decodable(text), nl=False, color=True)


def warn(message: str) -> None:
    """Print one line to stderr."""
    click.echo(f"boost-edge: {printable(message)}", err=True)


def warn_of_nothing(where: str) -> None:
    """Say on stderr that a filter lets no image pass, which a wrong value does too."""
    warn(f"no image passes {where!r}: boost-edge facets lists the values; capitals matter")


def warn_of_gaps(missing: Sequence[str], skipped: Sequence[ImageError]) -> None:
    """Name on stderr the rows of a label table without image, and what cannot be read."""
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        rest = len(missing) - _SHOWN
        warn(
            f"{counted(len(missing), 'image')} of the table missing: {shown}"
            + (f" and {rest} more (--json lists all)" if rest > 0 else "")
        )
    for error in skipped:
        warn(f"skipped {error}")


def skipped_objects(skipped: Sequence[ImageError]) -> list[dict[str, str]]:
    """Return the documented JSON objects of files that could not be read."""
    return [
        {"path": error.path, "reason": error.reason, "detail": error.detail} for error in skipped
    ]


def print_json(value: object) -> None:
    """Print a value as JSON, indented."""
    click.echo(to_json(value, indent=2))


def of_gallery(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts about a gallery for JSON: every verb names it in ``gallery``, absolute."""
    others = {name: value for name, value in facts.items() if name != "path"}
    return {"gallery": str(path.absolute()), **others}


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON in ASCII, which any terminal, pipe and undecodable path survives."""
    return json.dumps(value, indent=indent)


def decodable(text: str) -> str:
    """Escape the bytes of file names that are no UTF-8, as JSON does."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    r"""Escape what would break a line or a terminal: control characters and undecodable bytes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode("utf-8", "backslashreplace").decode()
    )


def predictions_text(predicted: Mapping[str, Prediction], known: Collection[str]) -> str:
    """Return what a model predicts of an image as text; what is not known, as a guess."""
    return ", ".join(
        f"{name} {best.value} ({best.p:.2f})"
        if name in known
        else f"{name} unknown ({best.value} {best.p:.2f})"
        for name, best in predicted.items()
    )


def megabytes(size: int) -> str:
    """Return a size in bytes as text, such as ``11.2 MB`` (1 MB = 1,000,000 bytes)."""
    return f"{size / 1e6:.1f} MB"


def counts(images: Mapping[str, int]) -> str:
    """Return the number of images by part as text, in the order in which they are used."""
    order = ("train", "val", "test")
    return ", ".join(f"{images[part]:,} {part}" for part in order if part in images)


def wrapped(text: str, *, indent: str) -> list[str]:
    """Return text as indented lines that fit the terminal."""
    room = _room()
    if room is None:
        return [indent + printable(text)]
    # Where the first word does not fit, wrap drops spaces before it that are not its indent.
    return textwrap.wrap(
        printable(text),
        max(room, 2 * _NARROWEST),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def quantisation_facts(found: Quantisation) -> list[list[str]]:
    """Return what the gate of a model in 8 bits measured, as names and values."""
    return [
        [
            "speed",
            f"{found.fp32_ms:.2f} -> {found.int8_ms:.2f} ms on one thread of {found.processor}, "
            f"{found.fp32_ms / found.int8_ms:.2f} times as fast as fp32",
        ],
        [
            "mAP@10",
            f"{found.map10_fp32:.1f} -> {found.map10_int8:.1f} on {found.images} held-out images "
            f"(95%: loses {found.loss_low:.2f} to {found.loss_high:.2f})",
        ],
        ["layers", f"{found.layers - found.fp32_layers} of {found.layers} in 8 bits"],
    ]


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    squeeze: int | None = None,
) -> list[str]:
    """Lay out rows of text in columns that fit the terminal; nothing is cut in a file or a pipe.

    ``right`` are the numbers of the columns to align right. Where the room is short, the column
    ``squeeze`` loses its beginnings first (ends of paths tell more), then the last its ends.
    """
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(header))]
    room = _room()
    if room is not None:
        for column in (squeeze, len(widths) - 1):
            excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
            if column is not None and excess > 0:
                narrowest = min(widths[column], _NARROWEST)
                widths[column] = max(widths[column] - excess, narrowest)
    return [
        _GAP.join(
            _fit(cell, width, right=column in right, from_left=column == squeeze)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def quality_table(quality: Sequence[AttributeQuality]) -> list[str]:
    """Show how well each attribute is predicted on the held-out images."""
    return table(
        ["attribute", "held-out images", "accuracy", "majority", "calibration error"],
        [
            [
                each.name,
                str(each.images),
                f"{each.accuracy:.3f}",
                f"{each.majority:.3f}",
                f"{each.calibration_error:.3f}",
            ]
            for each in quality
        ],
        right=(1, 2, 3, 4),
        squeeze=0,
    )


def _room() -> int | None:
    """Return the columns of the terminal (or COLUMNS); None where stdout is none."""
    return shutil.get_terminal_size((0, 0)).columns or None


def _width(text: str) -> int:
    """Return how many columns a terminal shows a text in: most of East Asia's letters take two."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if _is_wide(letter) else 1 for letter in text
    )


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _fit(cell: str, width: int, *, right: bool, from_left: bool) -> str:
    """Cut or pad a cell to a width; ``from_left`` cuts its beginning."""
    if _width(cell) > width:
        while _width(cell) > width - 1:
            cell = cell[1:] if from_left else cell[:-1]
        cell = f"…{cell}" if from_left else f"{cell}…"
    padding = " " * (width - _width(cell))
    return padding + cell if right else cell + padding
