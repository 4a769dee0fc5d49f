"""Text for people: tables that fit a terminal, sizes, warnings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import click

from boost_edge.runtime.manifest import AttributeQuality

__all__ = ["megabytes", "printable", "quality_table", "table", "warn"]

_GAP = "  "
_NARROWEST = 12


def warn(message: str) -> None:
    """Print one line to stderr."""
    click.echo(f"boost-edge: {printable(message)}", err=True)


def printable(text: str) -> str:
    r"""Escape what would break a line or a terminal: control characters and undecodable bytes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode("utf-8", "backslashreplace").decode()
    )


def megabytes(size: int) -> str:
    """Return a size in bytes as text, such as ``11.2 MB`` (1 MB = 1,000,000 bytes)."""
    return f"{size / 1e6:.1f} MB"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> list[str]:
    """Lay out rows of text in columns; the last column is cut to the terminal's width.

    ``right`` are the numbers of the columns to align right.
    """
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    room = shutil.get_terminal_size((100, 24)).columns
    taken = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(room - taken, _NARROWEST))
    lines: list[str] = []
    for row in cells:
        aligned = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        last = aligned[-1]
        aligned[-1] = last if len(last) <= widths[-1] else last[: widths[-1] - 1] + "…"
        lines.append(_GAP.join(aligned).rstrip())
    return lines


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
    )
