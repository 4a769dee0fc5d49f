"""``boost-edge demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.index import report_text
from boost_edge.cli.model import shipped_model
from boost_edge.cli.options import count_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.results import result_table
from boost_edge.runtime.errors import UsageError

if TYPE_CHECKING:
    from boost_edge.runtime.gallery import Gallery
    from boost_edge.runtime.hits import QueryResult

__all__ = ["command"]

_QUERIES = 8
# Garments that are in no gallery and in no training.
_QUERY_SEED = 7
_GALLERY_SEED = 11
_SIZE = 160
_MODEL = "garments-drawn"


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("boost-edge-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder to make.",
)
@count_option("--count", default=400, least=20, text="How many garments to draw.")
def command(out: Path, count: int) -> int:
    """Draw a catalogue of garments, index it and search it.

    Needs no network. Writes the pictures, a gallery and a page with the results to a folder, and
    says what to type next.

    \b
    Example:
      boost-edge demo
    """
    if out.exists():
        raise UsageError(f"{out}: already exists: delete it, or choose another folder with --out")
    from boost_edge.bench.catalogue import draw_catalogue
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.gallery import Gallery

    click.echo(f"drawing {count} garments ...")
    draw_catalogue(out / "catalogue", count=count, seed=_GALLERY_SEED, size=_SIZE)
    draw_catalogue(out / "queries", count=_QUERIES, seed=_QUERY_SEED, size=_SIZE)
    images, queries = out / "catalogue" / "images", out / "queries" / "images"
    gallery = out / "gallery"
    model = shipped_model(_MODEL)
    typed = ["boost-edge", "index", str(images), "--gallery", str(gallery), "--model", str(model)]
    click.echo(f"$ {shlex.join(typed)}")
    with Encoder.open(model) as encoder, Gallery.open(gallery, encoder) as opened:
        with Bars() as bars:
            report = opened.index([images], progress=lambda done, total: bars("index", done, total))
        click.echo(report_text(report, gallery, len(opened)))
        results = _search(opened, sorted(queries.iterdir()))
    typed = ["boost-edge", "query", results[0].query, "--gallery", str(gallery), "-k", "5"]
    click.echo(f"\n$ {shlex.join(typed)}\n")
    click.echo(result_table(results[0]))
    page = out / "results.html"
    _write_page(page, results, count)
    click.echo(
        f"\nall {len(results)} queries with their pictures: {page}\n\n"
        "This model knows drawn garments only. The one for photos of clothes, shoes and bags is\n"
        "what index takes by default:\n"
        "  boost-edge index photos/\n"
        "  boost-edge query img.jpg\n"
        "Better, with a few thousand labels of your own:\n"
        "  pip install '.[train]'    # in the checkout\n"
        "  boost-edge train labels.csv --images photos/ --out run\n"
        "  boost-edge export run --out model.onnx\n"
        "  boost-edge index photos/ --model model.onnx"
    )
    return ExitCode.FINE


def _search(gallery: Gallery, queries: list[Path]) -> list[QueryResult]:
    return [gallery.query(path, k=5) for path in queries]


def _write_page(page: Path, results: list[QueryResult], count: int) -> None:
    from boost_edge.cli.page import results_page

    lead = (
        f"{count} drawn garments, searched by example on a CPU. Each row shows a query that the "
        "gallery has never seen, what the model predicts of it, and the five nearest garments; "
        "green marks the attributes in which a hit agrees with the query."
    )
    page.write_text(results_page(results, title="boost-edge demo", lead=lead), encoding="utf-8")
