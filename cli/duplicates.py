"""``boost-edge duplicates``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_option, json_option
from boost_edge.cli.progress import show_step
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import of_gallery, print_json, printable
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.duplicates import Groups

__all__ = ["command"]


@click.command("duplicates")
@gallery_option
@click.option(
    "--near",
    type=RealNumber(min=0, max=1, min_open=True),
    metavar="COSINE",
    help="Also find different files whose embeddings have at least this cosine.",
)
@json_option
def command(gallery: Path, near: float | None, json: bool) -> int:
    """List the images that a gallery holds more than once.

    Exact copies are files with the same bytes. With --near, images that look nearly the same to
    the model are listed too, apart from those: of exact copies only the first is named there. Near
    is passed on: where b is near to a and c near to b, all three are one group. The gallery's model
    is not needed.

    \b
    Example:
      boost-edge duplicates
      boost-edge duplicates --near 0.98 --json
    """
    from boost_edge.runtime.duplicates import exact_copies, near_copies

    exact = exact_copies(gallery)
    alike: Groups | None = None
    if near is not None:
        show_step("comparing")
        alike = near_copies(gallery, near)
    if json:
        said = of_gallery(gallery, {"exact": exact})
        if alike is not None:
            said |= {"threshold": near, "near": alike}
        print_json(said)
    else:
        click.echo("\n".join(_as_text(gallery, exact, alike, near)))
    return ExitCode.FINE


def _as_text(gallery: Path, exact: Groups, alike: Groups | None, near: float | None) -> list[str]:
    lines = _listed("exact copies", exact)
    spare = sum(len(group) - 1 for group in exact)
    copies = counted(spare, "exact copy", "exact copies")
    summary = f"{copies} of {counted(len(exact), 'image')}"
    if alike is not None:
        lines += _listed(f"nearly the same (cosine {near:g} or more)", alike)
        groups = counted(len(alike), "group")
        summary += f"; {groups} of {sum(map(len, alike)):,} images nearly the same"
    return [*lines, f"{printable(str(gallery))}: {summary}"]


def _listed(title: str, groups: Groups) -> list[str]:
    lines: list[str] = []
    for group in groups:
        lines += [f"{title}:", *(f"  {printable(path)}" for path in group)]
    return lines
