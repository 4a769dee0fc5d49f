"""``boost-edge compact``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_argument, json_option
from boost_edge.cli.progress import Bars, show_step
from boost_edge.cli.render import megabytes, of_gallery, print_json, printable
from boost_edge.runtime.binding import GRAPH_DTYPES, GraphDtype
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.compact import CompactReport

__all__ = ["command"]


@click.command("compact")
@gallery_argument
@click.option(
    "--vectors",
    type=click.Choice(GRAPH_DTYPES),
    help="Hold the vectors of the search cache so from now on; default: as before (i8 at first).",
)
@json_option
def command(gallery: Path, vectors: GraphDtype | None, json: bool) -> int:
    """Remove for good what index --prune deleted, and give the space back.

    GALLERY is .boost-edge by default. Also builds the search cache again and removes temporary
    files that a killed process left. Needs no model, but free space for one more copy of the
    gallery.

    \b
    Example:
      boost-edge index photos/ --prune
      boost-edge compact
    """
    from boost_edge.runtime.compact import compact_gallery

    show_step("compacting")
    with Bars() as bars:
        report = compact_gallery(gallery, vectors=vectors, progress=bars)
    if json:
        print_json(of_gallery(report.path, dataclasses.asdict(report)))
    else:
        click.echo(_as_text(report, gallery))
    return ExitCode.FINE


def _as_text(report: CompactReport, gallery: Path) -> str:
    parts = [f"{counted(report.removed, 'deleted image')} removed"]
    if report.left_overs:
        parts.append(f"{counted(report.left_overs, 'temporary file')} removed")
    if report.cached is not None:
        parts.append(f"{counted(report.cached, 'embedding')} cached")
    sizes = f"{megabytes(report.bytes_before)} before, {megabytes(report.bytes_after)} after"
    name = printable(str(gallery))
    return (
        f"{name}: {', '.join(parts)}; {counted(report.images, 'image')} in all; {sizes} "
        f"({report.seconds:.1f} s)"
    )
