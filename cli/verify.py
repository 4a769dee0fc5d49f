"""``boost-edge verify``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import gallery_argument, json_option
from boost_edge.cli.progress import show_step
from boost_edge.cli.render import of_gallery, print_json, printable
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.verify import Finding, VerifyReport

__all__ = ["command"]


@click.command("verify")
@gallery_argument
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Check this file, where the model is no longer where it was.",
)
@json_option
def command(gallery: Path, model: Path | None, json: bool) -> int:
    """Check a GALLERY (default: .boost-edge), and say how to repair what is wrong.

    Checks the database, every embedding, the search cache, the model's file, the image files (by
    size and time) and looks for temporary files. Changes nothing. The exit code is 4 when something
    is damaged, or the gallery is of a newer format; image files that are gone or changed, or a
    model that was moved, are no damage.

    \b
    Example:
      boost-edge verify
      boost-edge verify shop --model model.onnx --json
    """
    from boost_edge.runtime.verify import verify_gallery

    report = verify_gallery(gallery, model=model, step=show_step)
    if json:
        print_json(of_gallery(report.path, dataclasses.asdict(report)))
    else:
        click.echo("\n".join(_as_text(report, gallery)))
    if any(finding.code == "format_older" for finding in report.findings):
        # Nothing is wrong with it, and nothing was checked.
        return ExitCode.FAILED
    return ExitCode.FINE if report.sound else ExitCode.INTEGRITY


def _as_text(report: VerifyReport, gallery: Path) -> list[str]:
    lines = [line for finding in report.findings for line in _finding(finding)]
    damaged = any(finding.damage for finding in report.findings)
    state = "sound" if report.sound else "DAMAGED" if damaged else "NOT CHECKED"
    held = "" if report.images is None else f", {counted(report.images, 'image')}"
    deleted = f", {report.deleted:,} deleted" if report.deleted else ""
    name = printable(str(gallery))
    return [*lines, f"{name}: {state}{held}{deleted} ({report.seconds:.1f} s)"]


def _finding(finding: Finding) -> list[str]:
    mark = "damaged" if finding.damage else "note"
    # A finding that is met once says all in its example.
    times = f"{finding.count:,} " if finding.count > 1 else ""
    first = printable(finding.examples[0])
    more = ", ..." if finding.count > 1 else ""
    return [
        f"{mark}: {times}{finding.what} [{finding.code}]: {first}{more}",
        f"  repair: {printable(finding.repair)}",
    ]
