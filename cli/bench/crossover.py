"""``boost-edge bench crossover``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.options import count_option, whole_numbers
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped

__all__ = ["crossover"]


@click.command("crossover")
@click.option(
    "--dimensions",
    callback=whole_numbers,
    default="256,512,1096",
    show_default=True,
    metavar="D,D",
    help="Widths of the vectors.",
)
@click.option(
    "--megabytes",
    callback=whole_numbers,
    default="5,10,20,40,80",
    show_default=True,
    metavar="N,N",
    help="How much of them there is to search among.",
)
@count_option("--queries", default=300, text="Searches of each kind.")
@count_option("--starts", default=5, text="New processes of each kind.")
@count_option("--seed", default=0, least=0, text="Decides which vectors are drawn.")
@result_options
def crossover(out: Path | None, json: bool, **options: Any) -> int:
    """Measure from which size of a gallery on the graph is faster than an exact scan.

    Vectors are drawn by chance. Both search them in turns, without a filter, with one that a
    quarter passes, and for the first time in a new process. Nothing else should run meanwhile.

    \b
    Example:
      boost-edge bench crossover --dimensions 1096 --out crossover.json
    """
    from boost_edge.bench.crossover import CrossoverPlan, measure_crossover

    with Bars() as bars:
        result = measure_crossover(CrossoverPlan(**options), progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    title = (
        f"an exact scan / the graph; times in ms; galleries of up to {result['exact_images']:,} "
        f"images with {result['exact_bytes'] / 2**20:.0f} MiB of embeddings are scanned"
    )
    header = ["MB", "D", "images", "p50", f"1 in {result['one_in']} pass", "first", "memory, MB"]
    rows = [
        [
            f"{each['bytes'] / 1e6:.0f}",
            str(each["dimensions"]),
            f"{each['rows']:,}",
            _pair(each, "p50_ms", 2),
            _pair(each, "filtered_p50_ms", 2),
            _pair(each, "first_ms", 0),
            _pair(each, "peak_bytes", 0, scale=1e-6),
        ]
        for each in result["points"]
    ]
    return [
        *wrapped(title, indent=""),
        "",
        *table(header, rows, right=range(len(header))),
    ]


def _pair(point: dict[str, Any], key: str, digits: int, *, scale: float = 1) -> str:
    """Return the scan's figure and the graph's."""
    return " / ".join(f"{point[side][key] * scale:.{digits}f}" for side in ("scan", "graph"))
