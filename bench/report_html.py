"""A report as one self-contained HTML page, all of whose elements are closed."""

from __future__ import annotations

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
    Picture,
    Pictures,
    Section,
    Table,
)
from boost_edge.bench.report_svg import SERIES
from boost_edge.runtime.page_frame import escaped, framed, palette_style

__all__ = ["STYLE", "to_html"]

_TONES = {
    "hurts": ("#a8271f", "#ff9d92"),
    "hurts-paper": ("#fbe9e7", "#3a1a17"),
    "quoted": ("#f1eee6", "#24221c"),
}
STYLE = (
    palette_style({**SERIES, **_TONES})
    + """
body { overflow-wrap: break-word; }
h2 { font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p, .claim { max-width: 50rem; margin: .6rem 0; }
a { color: var(--accent); }
code { font-size: .88em; }
nav ul { list-style: none; padding: 0; margin: 0; display: flex; flex-wrap: wrap;
  gap: .3rem 1.1rem; }
.claim { margin: .8rem 0; padding: .75rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-left: .3rem solid var(--accent); border-radius: .4rem; }
.hurts { padding: .6rem 1rem; background: var(--hurts-paper); border-left: .3rem solid var(--hurts);
  border-radius: .4rem; }
.hurts a { color: var(--hurts); }
.absent { padding: .6rem 1rem; border: 1px dashed var(--soft); border-radius: .4rem; }
.source { color: var(--soft); font-size: .85rem; }
.box { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--card); }
.box:focus-visible { outline: .15rem solid var(--accent); }
pre { margin: 0; padding: .75rem 1rem; font-size: .85rem; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; line-height: 1.35; }
caption { text-align: left; font-weight: 600; padding: .6rem .55rem; }
th, td { padding: .35rem .5rem; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line); }
td:first-child, thead th:first-child { position: sticky; left: 0; background: var(--card); }
thead th { vertical-align: bottom; color: var(--soft); font-weight: 600; }
td:not(.right) { min-width: 4.5rem; }
td:nth-child(2):not(.right) { min-width: 8.2rem; }
td:first-child:not(.right) { min-width: 8.8rem; }
.right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .right { white-space: normal; }
.quoted { background: var(--quoted); font-style: italic; }
figure { margin: 1.2rem 0; max-width: 40rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; padding: .75rem; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; }
figcaption { font-weight: 600; margin-bottom: .5rem; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--accent); font-size: .85rem; }
details .box { margin: .5rem 0 0; }
.folded { margin: 1rem 0; padding: .6rem .75rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .4rem; }
.folded summary { font-weight: 600; }
.example { display: grid; grid-template-columns: 9rem 1fr; gap: 1.2rem; padding: 1rem 0;
  border-top: 1px solid var(--line); }
.example ol, .example ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(5.2rem, 1fr)); }
.example .asked { grid-template-columns: 1fr; align-content: start; }
.example h3 { font-size: .9rem; margin: .6rem 0 .4rem; }
.example li { font-size: .75rem; background: var(--card); border: 1px solid var(--line);
  border-bottom: .25rem solid var(--hurts); border-radius: .3rem; overflow: hidden; }
.example li.agrees { border-bottom-color: var(--agree); }
.example img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  background: #fff; }
.example span { display: block; padding: .2rem .3rem; overflow-wrap: anywhere; }
@media (max-width: 42rem) { .example { grid-template-columns: 1fr; }
  .example .asked { max-width: 9rem; } figure { margin: 1.2rem -.6rem; padding: .75rem .2rem; }
  figcaption, details { padding: 0 .4rem; } }
@media (max-width: 42rem) { td:last-child:not(.right) { min-width: 12rem; } }
@media print { details .box { display: block; } }
"""
)


def to_html(sections: Sequence[Section], *, title: str, lead: str) -> str:
    """Return the page: a list of its sections, then the sections."""
    entries = "".join(
        f'<li><a href="#{escaped(section.anchor)}">{escaped(section.title)}</a></li>'
        for section in sections
    )
    contents = f'<nav aria-label="Contents"><ul>{entries}</ul></nav>'
    body = "\n".join(_section(section) for section in sections)
    return framed(f"{contents}\n<main>\n{body}\n</main>", title=title, lead=lead, style=STYLE)


def _section(section: Section) -> str:
    name = escaped(section.anchor)
    blocks = "\n".join(_block(block) for block in section.blocks)
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escaped(section.title)}</h2>\n'
        f"{blocks}\n</section>"
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            tone = "" if block.tone == "plain" else f' class="{block.tone}"'
            return f"<p{tone}>{_inline(block.text)}</p>"
        case Command():
            # Whatever scrolls can be reached with the keyboard.
            return (
                '<div class="box" tabindex="0" role="region" aria-label="Command">'
                f"<pre><code>{escaped(block.line)}</code></pre></div>"
            )
        case Table():
            return _table(block)
        case Pictures():
            return _pictures(block)
        case Figure():
            return (
                f"<figure>\n<figcaption>{escaped(block.caption)}</figcaption>\n{block.svg}\n"
                f"<details><summary>The numbers of this picture</summary>\n{_table(block.table)}\n"
                "</details>\n</figure>"
            )


def _pictures(block: Pictures) -> str:
    answers = "".join(
        f"<h3>{escaped(name)}</h3>\n<ol>{''.join(_picture(hit, 'hit') for hit in hits)}</ol>\n"
        for name, hits in block.answers
    )
    query = _picture(block.query, "query")
    return f'<div class="example"><ul class="asked">{query}</ul>\n<div>{answers}</div></div>'


def _picture(picture: Picture, what: str) -> str:
    value = escaped(picture.value)
    # A mark as well as a colour: who cannot tell red from green reads it too.
    mark = "" if what == "query" else "\u2713 " if picture.agrees else "\u2717 "
    alt = f"{what}: {escaped(picture.name)}, {value}"
    image = f'<img src="{picture.address}" alt="{alt}" />' if picture.address else alt
    agrees = "agrees" if picture.agrees else "differs"
    return f'<li class="{agrees}">{image}<span>{mark}{value}</span></li>'


def _table(table: Table) -> str:
    classes = [
        " ".join(
            name
            for name, columns in (("right", table.right), ("quoted", table.quoted))
            if column in columns
        )
        for column in range(len(table.header))
    ]
    marks = [f' class="{each}"' if each else "" for each in classes]
    head = "".join(
        f'<th scope="col"{mark}>{escaped(name)}</th>'
        for mark, name in zip(marks, table.header, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{mark}>{_inline(cell)}</td>" for mark, cell in zip(marks, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    box = (
        f'<div class="box" tabindex="0" role="region" aria-label="{escaped(table.caption)}">\n'
        f"<table>\n<caption>{escaped(table.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )
    if not table.folded:
        return box
    summary = f"{escaped(table.caption)}: {len(table.rows)} rows"
    return f'<details class="folded"><summary>{summary}</summary>\n{box}\n</details>'


def _inline(cell: Cell) -> str:
    if isinstance(cell, str):
        return escaped(cell)
    return "".join(_part(part) for part in cell)


def _part(part: str | Link | Bold | Code) -> str:
    match part:
        case Link():
            return f'<a href="{escaped(part.href)}">{escaped(part.words)}</a>'
        case Bold():
            return f"<strong>{escaped(part.words)}</strong>"
        case Code():
            return f"<code>{escaped(part.words)}</code>"
        case _:
            return escaped(part)
