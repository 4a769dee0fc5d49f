"""The report's pictures as files of their own, such as a README shows.

A file has its own ground and title. Colours are written out for light, and for dark in a style
that browsers follow, so that a program that knows no style sheets shows the picture all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from boost_edge.bench.report_blocks import Figure, Section
from boost_edge.bench.report_svg import SERIES
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.page_frame import PALETTE

__all__ = ["chosen_pictures", "standalone"]

_COLOURS: Mapping[str, tuple[str, str]] = {**PALETTE, **SERIES}
_PADDING, _HEADING = 12.0, 24.0
# A point of the drawing is so many pixels: text is then as large as that around it.
_SCALE = 1.5


def chosen_pictures(sections: Sequence[Section], names: Sequence[str] = ()) -> dict[str, Figure]:
    """Return the pictures of a report by name: those asked for, or all.

    Of pictures that are called alike, as those of several files are, the second is ``NAME-2``.

    Raises
    ------
    UsageError
        When no picture has one of the names.
    """
    found: dict[str, Figure] = {}
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Figure):
                name, number = block.name, 1
                while name in found:
                    number += 1
                    name = f"{block.name}-{number}"
                found[name] = block
    for name in names:
        if name not in found:
            raise UsageError(f"there is no picture {name!r}, only {', '.join(found)}")
    return {name: found[name] for name in names or found}


def standalone(figure: Figure) -> str:
    """Return a picture as the text of an SVG file."""
    opening, body = figure.svg.split("</title>", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    if box is None:
        raise ValueError(f"{figure.caption}: the picture has no viewBox from 0 0 on")
    width, height = float(box[1]) + 2 * _PADDING, float(box[2]) + 2 * _PADDING + _HEADING
    corner = f'x="{-_PADDING:g}" y="{-_PADDING - _HEADING:g}"'
    dark = "\n".join(
        f".{what}-{name} {{ {what}: {_COLOURS[name][1]} }}"
        for what, name in sorted(set(re.findall(r"(fill|stroke): var\(--([\w-]+)\)", body)))
    )
    frame = f"""\
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \
width="{_SCALE * width:.0f}" height="{_SCALE * height:.0f}" \
viewBox="{-_PADDING:g} {-_PADDING - _HEADING:g} {width:g} {height:g}" role="img" \
font-family="system-ui, sans-serif" font-size="11px">
<title>{escape(figure.caption)}</title>
<desc>{escape(figure.description)}</desc>
<style>
* {{ stroke-linejoin: round; }}
@media (prefers-color-scheme: dark) {{
.ground {{ fill: {_COLOURS["card"][1]}; stroke: {_COLOURS["line"][1]} }}
.title {{ fill: {_COLOURS["ink"][1]} }}
{dark}
}}
</style>
<rect class="ground" {corner} width="{width:g}" height="{height:g}" rx="6" \
fill="{_COLOURS["card"][0]}" stroke="{_COLOURS["line"][0]}"/>
<text class="title" x="0" y="-12" font-weight="bold" font-size="12px" \
fill="{_COLOURS["ink"][0]}">{escape(figure.caption)}</text>"""
    return frame + re.sub(r'style="([^"]*)"', _written_out, body) + "\n"


def _written_out(style: re.Match[str]) -> str:
    """Return a style whose colours are attributes, with classes for those of the dark style."""
    attributes: list[str] = []
    classes: list[str] = []
    kept: list[str] = []
    for each in re.split(r";\s*", style[1].strip("; ")):
        named = re.fullmatch(r"(fill|stroke): var\(--([\w-]+)\)", each)
        if named is None:
            kept.append(each)
            continue
        what, name = named.groups()
        attributes.append(f'{what}="{_COLOURS[name][0]}"')
        classes.append(f"{what}-{name}")
    if classes:
        attributes.append(f'class="{" ".join(classes)}"')
    if any(kept):
        attributes.append(f'style="{"; ".join(kept)}"')
    return " ".join(attributes)
