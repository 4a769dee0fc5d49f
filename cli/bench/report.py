"""``boost-edge bench report``."""

from __future__ import annotations

from pathlib import Path

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.runtime.errors import UsageError

__all__ = ["report"]

_BY_SUFFIX = {".html": "html", ".htm": "html", ".md": "md"}


@click.command("report")
@click.argument("results", type=click.Path(path_type=Path), default="bench/results", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The page; its ending may be left out.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(("html", "md", "both")),
    help="What to write; both are FILE.html and FILE.md.  [default: by FILE's ending, else both]",
)
def report(results: Path, out: Path, style: str | None) -> int:
    """Render the results of the other measurements as one page.

    RESULTS is the folder that bench --out wrote to; default: bench/results. The HTML page needs
    no network and no file beside it; its links lead to the results. What was not measured is
    named with the command that measures it.

    \b
    Example:
      boost-edge bench report bench/results --out report.html --format both
    """
    from boost_edge.bench.report import write_report

    known = _BY_SUFFIX.get(out.suffix.lower())
    if out.suffix and known is None:
        raise UsageError(f"--out {out}: the ending is .html or .md, or none")
    chosen = style or known or "both"
    formats = ("html", "md") if chosen == "both" else (chosen,)
    for path in write_report(results, out, formats):
        click.echo(path)
    return ExitCode.FINE
