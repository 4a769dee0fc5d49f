"""What a report is made of, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Block",
    "Bold",
    "Cell",
    "Code",
    "Command",
    "Figure",
    "Link",
    "Paragraph",
    "Picture",
    "Pictures",
    "Section",
    "Table",
    "Text",
    "Tone",
    "plain",
    "words",
]


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead to a file beside the report."""

    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Bold:
    """Words that matter."""

    words: str


@dataclass(frozen=True, slots=True)
class Code:
    """A name of a file, row, column or option."""

    words: str


Text: TypeAlias = tuple[str | Link | Bold | Code, ...]
Cell: TypeAlias = str | Text


Tone: TypeAlias = Literal["plain", "claim", "hurts", "absent", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph; ``tone`` says what it is: ``hurts`` a loss, ``absent`` what was not measured."""

    text: Text
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line to copy."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; every row is as long as ``header``.

    ``right`` are the columns of numbers, ``quoted`` those whose figures others published. A
    ``folded`` one is so long that a page shows it only to those who ask for it.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: tuple[int, ...] = ()
    quoted: tuple[int, ...] = ()
    folded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{self.caption}: {row} has not {len(self.header)} cells")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture as inline SVG, what it shows in words, and its numbers as a table.

    ``name`` is that of its file, without ending, where pictures are written apart from the page.
    """

    name: str
    caption: str
    description: str
    svg: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image that stands in the page (``address``; empty: unreadable), and its label."""

    address: str
    name: str
    value: str
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """A query, and what each gallery answers: its name, its hits in order."""

    query: Picture
    answers: tuple[tuple[str, tuple[Picture, ...]], ...]


Block: TypeAlias = Paragraph | Command | Table | Figure | Pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, its name for links inside the page, and what stands below it."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]


def plain(cell: Cell) -> str:
    """Return a cell or text without its marks."""
    if isinstance(cell, str):
        return cell
    return "".join(part if isinstance(part, str) else part.words for part in cell)


def words(*parts: str | Link | Bold | Code | Sequence[str | Link | Bold | Code]) -> Text:
    """Return a text put together from parts and texts."""
    found: list[str | Link | Bold | Code] = []
    for part in parts:
        found.extend([part] if isinstance(part, str | Link | Bold | Code) else part)
    return tuple(found)
