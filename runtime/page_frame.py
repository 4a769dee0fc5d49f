"""What our HTML pages share: palette, frame and escaping. No scripts, no files, no network."""

from __future__ import annotations

import html
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PALETTE", "escaped", "framed", "palette_style"]

PALETTE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ink": ("#1c2024", "#edeef0"),
        "soft": ("#60646c", "#b0b4ba"),
        "paper": ("#fbfaf8", "#111315"),
        "card": ("#ffffff", "#1b1e21"),
        "line": ("#e4e2dd", "#31363b"),
        "agree": ("#1d6f42", "#7ddba3"),
        "agree-paper": ("#e6f4ea", "#17301f"),
        "accent": ("#b4522a", "#f0936b"),
    }
)
"""By name, the colour in light and in dark."""

_STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
.lead { color: var(--soft); margin: 0 0 2rem; max-width: 46rem; }
"""


def palette_style(colours: Mapping[str, tuple[str, str]]) -> str:
    """Return the style that gives a page colours by name, each in light and in dark."""
    light, dark = (
        " ".join(f"--{name}: {pair[which]};" for name, pair in colours.items()) for which in (0, 1)
    )
    return f"\n:root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def framed(body: str, *, title: str, lead: str, style: str) -> str:
    """Return a page; ``title`` and ``lead`` are plain text, ``style`` adds to what all share."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{palette_style(PALETTE)}{_STYLE}{style}</style>\n</head>\n<body>\n"
        f'<h1>{escaped(title)}</h1>\n<p class="lead">{escaped(lead)}</p>\n{body}\n'
        "</body>\n</html>\n"
    )


def escaped(value: str) -> str:
    """Return text as HTML, also inside an attribute; undecodable bytes are spelt out."""
    return html.escape(value.encode("utf-8", "backslashreplace").decode())
