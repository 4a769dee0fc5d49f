"""``boost-edge bench search``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.model import shipped_model
from boost_edge.cli.options import count_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.cli.render import table, wrapped

__all__ = ["search"]

_ENGINES = "ours,usearch-f32,usearch-f16,hnswlib,faiss"


@click.command("search")
@count_option("--rows", default=100_000, least=100, text="How many vectors to search among.")
@click.option(
    "--dimensions",
    type=WholeNumber(min=8),
    default=512,
    show_default=True,
    metavar="D",
    help="Their width.",
)
@click.option(
    "--data",
    type=click.Choice(("clustered", "posterior")),
    default="clustered",
    show_default=True,
    help="What they are like: features, or roots of attribute posteriors.",
)
@count_option("--queries", default=500, least=20, text="How many searches are compared.")
@count_option("--seed", default=0, least=0, text="Decides which vectors are drawn.")
@click.option(
    "--engines",
    callback=names,
    default=_ENGINES,
    show_default=True,
    metavar="A,B",
    help="Which libraries take part.",
)
@click.option(
    "--target",
    type=RealNumber(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    metavar="R",
    help="The recall@10 at which they are compared.",
)
@click.option(
    "--threads",
    type=WholeNumber(min=1),
    metavar="N",
    help="Threads that the other libraries build with; default: all cores.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for vectors and indexes; a run that was interrupted goes on in it.",
)
@result_options
def search(
    rows: int,
    dimensions: int,
    data: Any,
    queries: int,
    seed: int,
    engines: tuple[str, ...],
    target: float,
    threads: int | None,
    work: Path,
    out: Path | None,
    json: bool,
) -> int:
    """Measure search in a large gallery beside bare USearch, hnswlib and faiss.

    Vectors are drawn by chance, each library indexes them, and all are searched in turns with one
    thread at equal recall. A million rows of 512 take about 14 GB of disk. Needs the extra bench.

    \b
    Example:
      boost-edge bench search --rows 1000000 --work runs/search --out search.json
    """
    from boost_edge.bench.search import measure_search
    from boost_edge.bench.search_data import DataPlan
    from boost_edge.bench.search_plan import SearchPlan

    plan = SearchPlan(
        data=DataPlan(rows=rows, dimensions=dimensions, seed=seed, kind=data),
        model=os.fspath(shipped_model()),
        threads=threads or os.cpu_count() or 1,
    )
    with Bars() as bars:
        result = measure_search(
            plan,
            work,
            engines=engines,
            queries=queries,
            target=target,
            progress=bars,
        )
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    data = result["data"]
    title = (
        f"{data['rows']:,} {data['kind']} vectors of {data['dimensions']}, {result['queries']} "
        f"queries, 1 thread, at recall@{result['k']} {result['target_recall']}; times in ms"
    )
    lines = [*wrapped(title, indent=""), "", *_engines_text(result["engines"])]
    if "filters" in result:
        lines += ["", *_filters_text(result["filters"])]
    return lines


def _engines_text(engines: list[dict[str, Any]]) -> list[str]:
    header = ["engine", "width", "recall", "p50", "p99", "open", "build s", "CPU s", "GB", "RAM GB"]
    rows = [
        [
            each["engine"],
            str(each["width"]),
            f"{each['search']['recall']:.4f}",
            f"{each['search']['p50_ms']:.2f}",
            f"{each['search']['p99_ms']:.2f}",
            f"{each['open']['open_ms'] + each['open']['first_search_ms']:.0f}",
            f"{each['build']['wall_seconds']:.0f}",
            f"{each['build']['cpu_seconds']:.0f}",
            f"{each['build']['bytes'] / 1e9:.2f}",
            f"{each['open']['peak_bytes'] / 1e9:.2f}",
        ]
        for each in engines
    ]
    return table(header, rows, right=range(1, len(header)))


def _filters_text(filters: list[dict[str, Any]]) -> list[str]:
    header = ["passes", "chosen", "recall", "p50", "p99", "first"]
    rows = [
        [
            f"1 in {each['one_in']:,}",
            "by cluster" if each["follows_clusters"] else "by chance",
            f"{each['recall']:.4f}",
            f"{each['p50_ms']:.2f}",
            f"{each['p99_ms']:.2f}",
            f"{each['first_ms']:.0f}",
        ]
        for each in filters
    ]
    return table(header, rows, right=(2, 3, 4, 5))
