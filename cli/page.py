"""Query results as one self-contained HTML page: no scripts, no files beside it, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.hits import Hit, QueryResult
from boost_edge.runtime.page_frame import escaped, framed
from boost_edge.runtime.thumbnails import thumbnail

__all__ = ["picture", "results_page"]

_STYLE = """
.query { display: grid; grid-template-columns: minmax(11rem, 14rem) 1fr; gap: 1.5rem;
  border-top: 1px solid var(--line); padding: 1.5rem 0; }
@media (max-width: 42rem) { .query { grid-template-columns: 1fr; } }
.hits { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .9rem;
  list-style: none; margin: 0; padding: 0; align-content: start; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  overflow: hidden; height: 100%; }
.asked figure { border: 2px solid var(--accent); height: auto; margin-bottom: .4rem; }
.asked { font-size: .8rem; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; }
figcaption { padding: .5rem .6rem .65rem; font-size: .8rem; overflow-wrap: anywhere; }
.score { font-variant-numeric: tabular-nums; font-weight: 600; }
.name { color: var(--soft); }
.tag { display: inline-block; margin: .2rem .2rem 0 0; padding: 0 .45rem; border-radius: 1rem;
  border: 1px solid var(--line); color: var(--soft); }
.tag.agrees { background: var(--agree-paper); color: var(--agree); border-color: transparent; }
.facets { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem;
  margin: 1rem 0 0; font-size: .8rem; }
.facets dd { margin: 0; }
.none { color: var(--soft); }
"""


def results_page(
    results: Sequence[QueryResult], *, title: str, lead: str, facets: bool = False
) -> str:
    """Return the page: each query with its predicted attributes, and its hits in order.

    Pictures stand in the page as small JPEG copies; one that can no longer be read is left out.
    ``title`` and ``lead`` are plain text. With ``facets`` the values of the hits are counted.
    """
    body = "\n".join(_query(result, facets=facets) for result in results)
    return framed(body, title=title, lead=lead, style=_STYLE)


def _query(result: QueryResult, *, facets: bool) -> str:
    hits = "\n".join(_hit(hit, result.attributes) for hit in result.hits)
    answer = f'<ol class="hits">{hits}</ol>' if hits else '<p class="none">No hits.</p>'
    if facets and hits:
        answer = f"<div>{answer}\n{_facets(result)}</div>"
    return (
        f'<section class="query">\n<div class="asked">{_asked(result)}</div>\n{answer}\n</section>'
    )


def _facets(result: QueryResult) -> str:
    lines = "".join(
        f"<dt>{escaped(name)}</dt><dd>"
        + "".join(
            f'<span class="tag">{escaped(value)} {count}</span>'
            for value, count in facet.values.items()
        )
        + "</dd>"
        for name, facet in result.facets().items()
    )
    return f'<dl class="facets">{lines}</dl>'


def _asked(result: QueryResult) -> str:
    tags = "".join(_predicted(name, best) for name, best in result.attributes.items())
    asked = [("Like", path) for path in result.like] + [("Unlike", path) for path in result.unlike]
    figures = [_example(how, path) for how, path in asked or [("Query", result.query)]]
    return f"{''.join(figures)}<div>{tags}</div>"


def _predicted(name: str, best: Prediction) -> str:
    said = f"{escaped(best.value)} {best.p:.0%}"
    if not best.is_likely:
        said = f"unknown ({said})"
    return f'<span class="tag" title="{escaped(name)}">{said}</span>'


def _example(how: str, path: str) -> str:
    name = Path(path).name
    return (
        f"<figure>{picture(path, f'{how}: {name}')}"
        f'<figcaption><span class="score">{how}</span> <span class="name">{escaped(name)}</span>'
        f"</figcaption></figure>"
    )


def _hit(hit: Hit, asked: dict[str, Prediction]) -> str:
    tags = "".join(
        _tag(name, value, agrees=name in hit.agrees)
        for name, value in hit.attributes.items()
        if name in asked and asked[name].is_likely
    )
    name = Path(hit.path).name
    bonus = f" {hit.preference:+.3f}" if hit.preference else ""
    return (
        f"<li><figure>{picture(hit.path, f'Hit {hit.rank}: {name}')}"
        f'<figcaption><span class="score">{hit.rank}. {hit.score:.3f}{bonus}</span> '
        f'<span class="name">{escaped(name)}</span><br>{tags}</figcaption></figure></li>'
    )


def _tag(name: str, value: str, *, agrees: bool) -> str:
    return (
        f'<span class="tag{" agrees" if agrees else ""}" '
        f'title="{escaped(name)}: {"as" if agrees else "unlike"} the query">{escaped(value)}</span>'
    )


def picture(path: str, description: str) -> str:
    """Return the element that shows an image file, or says that it can no longer be read."""
    try:
        address = thumbnail(path)
    except ImageError:
        return f'<img alt="{escaped(description)} (no longer readable)">'
    return f'<img src="{address}" alt="{escaped(description)}">'
