"""What our HTML pages share: palette, frame and escaping. No scripts, no files, no network."""

from __future__ import annotations

import html

__all__ = ["escaped", "framed"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fbfaf8;
  --card: #ffffff; --line: #e4e2dd; --agree: #1d6f42; --agree-paper: #e6f4ea; --accent: #b4522a; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --paper: #111315;
  --card: #1b1e21; --line: #31363b; --agree: #7ddba3; --agree-paper: #17301f; --accent: #f0936b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
.lead { color: var(--soft); margin: 0 0 2rem; max-width: 46rem; }
"""


def framed(body: str, *, title: str, lead: str, style: str) -> str:
    """Return a page; ``title`` and ``lead`` are plain text, ``style`` adds to what all share."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f'<h1>{escaped(title)}</h1>\n<p class="lead">{escaped(lead)}</p>\n{body}\n'
        "</body>\n</html>\n"
    )


def escaped(value: str) -> str:
    """Return text as HTML, also inside an attribute; undecodable bytes are spelt out."""
    return html.escape(value.encode("utf-8", "backslashreplace").decode())
