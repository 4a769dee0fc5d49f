"""A review of labels as one self-contained HTML page: a person judges labels by looking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boost_edge.cli.page import picture
from boost_edge.cli.reviewed import summary
from boost_edge.runtime.page_frame import escaped, framed
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.review import Doubt, Review

__all__ = ["review_page"]

_STYLE = """
.doubts { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: .9rem;
  list-style: none; margin: 0; padding: 0; align-content: start; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  overflow: hidden; height: 100%; }
.likely figure { border: 2px solid var(--accent); }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; }
figcaption { padding: .5rem .6rem .65rem; font-size: .85rem; overflow-wrap: anywhere; }
.attribute, .name { color: var(--soft); }
.given { text-decoration: line-through; }
.suggested { font-weight: 600; color: var(--agree); }
.p { color: var(--soft); font-variant-numeric: tabular-nums; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
"""

_HOW = (
    "Nothing was changed. Each picture shows the label that was given, struck through, and the one "
    "that the model suggests, with their probabilities. Framed are those whose label is likely to "
    "be wrong; the surest come first."
)


def review_page(review: Review) -> str:
    """Return the page: each doubt with its picture, and the values that were not judged.

    Pictures stand in the page as small JPEG copies; one that can no longer be read is left out.
    """
    parts = [f'<ol class="doubts">{"".join(map(_doubt, review.doubts))}</ol>']
    if not review.doubts:
        parts = ["<p>The model disagrees with no label.</p>"]
    if review.trained_on_table:
        parts.insert(
            0,
            "<p>The model was trained on this table: it tends to agree with the labels that it has "
            "learnt, right or wrong.</p>",
        )
    if review.unknown_values:
        parts.append(_unknown(review))
    lead = f"{review.table}: {summary(review)}. {_HOW}"
    return framed("\n".join(parts), title="boost-edge review", lead=lead, style=_STYLE)


def _doubt(doubt: Doubt) -> str:
    labels = f"{doubt.attribute}: {doubt.given}, or {doubt.suggested}?"
    kind = "likely" if doubt.likely else "doubtful"
    return (
        f'<li class="{kind}"><figure>'
        f"{picture(str(doubt.path), labels)}<figcaption>"
        f'<span class="attribute">{escaped(doubt.attribute)}</span><br>'
        f'<span class="given">{escaped(doubt.given)}</span> '
        f'<span class="p">{doubt.p_given:.0%}</span> → '
        f'<span class="suggested">{escaped(doubt.suggested)}</span> '
        f'<span class="p">{doubt.p_suggested:.0%}</span><br>'
        f'<span class="name">{escaped(doubt.file_name)}, row {doubt.row}</span>'
        f"</figcaption></figure></li>\n"
    )


def _unknown(review: Review) -> str:
    lines = "".join(
        f"<li>{escaped(each.attribute)} <b>{escaped(each.value)}</b>: {counted(each.count, 'row')}"
        + (f", spelt like {escaped(each.nearest)}" if each.nearest else "")
        + "</li>"
        for each in review.unknown_values
    )
    return f"<h2>Values that the model does not know, and did not judge</h2>\n<ul>{lines}</ul>"
