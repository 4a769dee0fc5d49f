"""``boost-edge bench agreement``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, images_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped

__all__ = ["agreement"]


@click.command("agreement")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--run",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    metavar="RUN",
    help="The training run; its images are no queries.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="DIR",
    help="A gallery to search; may be repeated.",
)
@click.option(
    "--attribute", required=True, metavar="NAME", help="The label that hits should share."
)
@count_option("--queries", default=200, text="How many query images are drawn.")
@count_option("--seed", default=0, least=0, text="Decides which images are drawn.")
@result_options
def agreement(
    labels: Path,
    images: Path,
    run: Path,
    gallery: tuple[Path, ...],
    attribute: str,
    queries: int,
    seed: int,
    out: Path | None,
    json: bool,
) -> int:
    """Measure how often a gallery's ten best hits share a label with the query.

    \b
    Example:
      boost-edge bench agreement labels.csv --images photos/ --run runs/shop \\
        --gallery .boost-edge --attribute articleType
    """
    with need_train_extra("measuring agreement"):
        from boost_edge.bench.agreement import measure_agreement

        with Bars() as bars:
            result = measure_agreement(
                labels,
                images=images,
                galleries=gallery,
                attribute=attribute,
                run=run,
                queries=queries,
                seed=seed,
                progress=bars,
            )
    return finish(result, out, json, _agreement_text(result))


def _agreement_text(result: dict[str, Any]) -> list[str]:
    title = (
        f"share of the {result['hits']} best hits with the query's {result['attribute']}, "
        f"{result['queries']} queries"
    )
    rows = [
        [
            row["readout"],
            str(row["dimensions"]),
            f"{row['images']:,}",
            f"{row['agreement']:.1%}",
            f"{row['interval'][0]:.1%} to {row['interval'][1]:.1%}",
            # The first is not compared with itself.
            f"{row['gain_interval'][0]:+.1%} to {row['gain_interval'][1]:+.1%}" if place else "",
            f"{row['chance']:.1%}",
        ]
        for place, row in enumerate(result["rows"])
    ]
    header = ["readout", "D", "images", "agreement", "95%", "over the first", "chance"]
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(1, 2, 3, 6))]
