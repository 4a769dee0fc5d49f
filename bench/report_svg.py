"""Pictures as inline SVG: text stays text, and colours are the page's own, light and dark.

Matplotlib draws with colours that stand for names; what it wrote is then given the page's
variables.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from boost_edge.runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = [
    "COLOURS",
    "FONT",
    "MARKERS",
    "SERIES",
    "add_legend",
    "make_canvas",
    "need_matplotlib",
    "to_svg",
]

# In points, which the page shows as wide as it can: a phone's 360 pixels still leave 9 for text.
_WIDTH = 420
_INCH = 72
FONT = 11

SERIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "raw": ("#666c75", "#a3a9b1"),
        "hidden": ("#2b68ad", "#82b6ef"),
        "attributes": ("#b4522a", "#f0936b"),
        "blend": ("#1d6f42", "#7ddba3"),
        "match": ("#5b2a86", "#dcbcff"),
        "together": ("#a07800", "#e6c84f"),
        "other": ("#c2478d", "#f07ab4"),
    }
)
"""The colour of each readout, and of what is none that we know, in light and in dark."""

MARKERS: Mapping[str, str] = MappingProxyType(
    {
        "raw": "X",
        "hidden": "o",
        "attributes": "s",
        "blend": "D",
        "match": "^",
        "together": "P",
        "other": "*",
        "ink": "v",
    }
)
"""The marker of each of the page's colours."""

_NAMES = ("ink", "soft", "line", "card", *SERIES)
COLOURS: Mapping[str, str] = MappingProxyType(
    {name: f"#0a0b{place:02x}" for place, name in enumerate(_NAMES, 16)}
)
"""What stands for each of the page's colours while a picture is drawn."""


def need_matplotlib() -> None:
    """Raise `MissingExtraError` where the plotting library is not installed."""
    try:
        importlib.import_module("matplotlib")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MissingExtraError("a report", "bench", "matplotlib") from error


def make_canvas(height: float) -> tuple[Canvas, Any]:
    """Return a figure of so many points in height, and its axes."""
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(_WIDTH / _INCH, height / _INCH), layout="constrained")
    axes: Any = figure.subplots()
    axes.set_facecolor("none")
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(COLOURS["line"])
    axes.tick_params(colors=COLOURS["ink"], length=0, labelsize=FONT)
    axes.grid(visible=True, color=COLOURS["line"], linewidth=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(COLOURS["ink"])
        label.set_size(FONT)
    return figure, axes


def add_legend(figure: Canvas, seen: Mapping[str, Any]) -> None:
    """Name what was drawn, above the picture, in as many columns as there is room for."""
    for columns in range(len(seen), 0, -1):
        legend = figure.legend(
            list(seen.values()), list(seen), loc="outside upper left", ncols=columns,
            frameon=False, fontsize=FONT, labelcolor=COLOURS["ink"], borderpad=0,
            handlelength=1.6, handletextpad=0.5, columnspacing=1.2,
        )  # fmt: skip
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def to_svg(figure: Canvas, title: str, description: str) -> str:
    """Return a figure as an element of a page, without what only a file of its own needs."""
    import matplotlib as mpl

    said = io.StringIO()
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.size": FONT,
    }
    with mpl.rc_context(settings):
        figure.savefig(said, format="svg", transparent=True, metadata={"Date": None})
    text = said.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<!--.*?-->", "", text, flags=re.DOTALL)
    # Groups are called alike in every picture of a page, and nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    # The page's own font; the room for words was measured with a wide one.
    text = re.sub(r" ?font-family: [^;\"]*;", "", text)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    box = re.search(r'viewBox="[^"]*"', text)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0]} role="img" aria-label="{escape(f"{title}. {description}")}">\n'
        f"<title>{escape(title)}</title>"
    )
    return opening + text[text.index(">") + 1 :].rstrip()
