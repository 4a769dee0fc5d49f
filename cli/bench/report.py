"""``boost-edge bench report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option
from boost_edge.cli.progress import Bars
from boost_edge.runtime.errors import UsageError

if TYPE_CHECKING:
    from boost_edge.bench.report_blocks import Section

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
    type=click.Choice(("html", "md", "both")),
    help="What to write; both are FILE.html and FILE.md.  [default: by FILE's ending, else both]",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Label table of example queries; needs the options below.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of the images of --labels.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN",
    help="The training run; its images are no example queries.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="A gallery to show hits of; may be repeated.",
)
@click.option("--attribute", metavar="NAME", help="The label that hits should share.")
@count_option("--queries", default=6, text="How many example queries are shown.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the page's pictures there too, each as an SVG file of its own.",
)
@click.option(
    "--picture",
    multiple=True,
    metavar="NAME",
    help="Which of them, such as raw-and-boosted; may be repeated.  [default: all]",
)
def report(
    results: Path,
    out: Path,
    format: str | None,  # noqa: A002 - its environment variable is called so too
    labels: Path | None,
    images: Path | None,
    run: Path | None,
    gallery: tuple[Path, ...],
    attribute: str | None,
    queries: int,
    pictures: Path | None,
    picture: tuple[str, ...],
) -> int:
    """Render the results of the other measurements as one page.

    RESULTS is the folder that bench --out wrote to; default: bench/results. The HTML page needs
    no network and no file beside it; its links lead to the results. What was not measured is
    named with the command that measures it. With --labels and galleries the page shows example
    queries too, with small copies of the pictures in it.

    \b
    Example:
      boost-edge bench report bench/results --out report.html --format both
      boost-edge bench report bench/results --out report.html \\
        --labels labels.csv --images photos/ --run runs/shop \\
        --gallery raw/ --gallery boosted/ --attribute colour
      boost-edge bench report bench/results --out report.md \\
        --pictures docs/pictures --picture raw-and-boosted
    """
    from boost_edge.bench.report import write_report
    from boost_edge.bench.report_svg import need_matplotlib

    known = _BY_SUFFIX.get(out.suffix.lower())
    if out.suffix and known is None:
        raise UsageError(f"--out {out}: the ending is .html or .md, or none")
    chosen = format or known or "both"
    formats = ("html", "md") if chosen == "both" else (chosen,)
    need_matplotlib()
    examples: Section | None = None
    needed = (labels, images, run, attribute)
    if labels and images and run and attribute and gallery:
        with need_train_extra("example queries"), Bars() as bars:
            from boost_edge.bench.report_examples import examples_section

            examples = examples_section(
                labels,
                images=images,
                galleries=gallery,
                attribute=attribute,
                run=run,
                queries=queries,
                progress=bars,
            )
    elif gallery or any(needed):
        raise UsageError(
            "example queries need all of --labels, --images, --run, --gallery and --attribute"
        )
    if picture and pictures is None:
        raise UsageError("--picture needs --pictures DIR, where they are written")
    for path in write_report(
        results, out, formats, examples=examples, pictures=pictures, names=picture
    ):
        click.echo(path)
    return ExitCode.FINE
