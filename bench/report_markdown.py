"""A report as Markdown (GitHub's): pictures become the tables of their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from boost_edge.bench.report_blocks import (
    Block,
    Bold,
    Cell,
    Code,
    Command,
    Figure,
    Link,
    Paragraph,
    Pictures,
    Section,
    Table,
)

__all__ = ["to_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def to_markdown(sections: Sequence[Section], *, title: str, lead: str) -> str:
    """Return the document."""
    parts = [f"# {_escaped(title)}", _escaped(lead)]
    for section in sections:
        parts.append(f"## {_escaped(section.title)}")
        parts.extend(_block(block) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            mark = "> " if block.tone in ("claim", "hurts", "absent") else ""
            return mark + _inline(block.text)
        case Command():
            return f"```\n{block.line}\n```"
        case Table():
            return _table(block)
        case Pictures():
            # No pictures: they are their owner's, and the page holds them.
            answers = [f"- {_escaped(name)}" for name, _ in block.answers]
            return "\n".join([f"{_escaped(block.query.value)}:", "", *answers])
        case Figure():
            return f"{_escaped(block.description)}\n\n{_table(block.table)}"


def _table(table: Table) -> str:
    header = [
        f"*{_escaped(name)}*" if column in table.quoted else _escaped(name)
        for column, name in enumerate(table.header)
    ]
    rules = ["---:" if column in table.right else "---" for column in range(len(table.header))]
    rows = [[_inline(cell) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, rules, *rows)]
    return f"**{_escaped(table.caption)}**\n\n" + "\n".join(lines)


def _inline(cell: Cell) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    return "".join(_part(part) for part in cell)


def _part(part: str | Link | Bold | Code) -> str:
    match part:
        case Link():
            return f"[{_escaped(part.words)}]({part.href.replace(' ', '%20')})"
        case Bold():
            return _bold(part.words)
        case Code():
            # Nothing is special inside, but a pipe would end a table's cell.
            return f"`{_one_line(part.words).replace('`', chr(39)).replace('|', '/')}`"
        case _:
            return _escaped(part)


def _bold(text: str) -> str:
    """Return bold words; spaces at their ends would undo the marks."""
    text, inner = _one_line(text), _one_line(text).strip()
    if not inner:
        return text
    before, _, after = text.partition(inner)
    return f"{before}**{_escaped(inner)}**{after}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
