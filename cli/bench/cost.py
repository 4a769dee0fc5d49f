"""``boost-edge bench cost``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.options import count_option
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import table, wrapped
from boost_edge.runtime.errors import UsageError

__all__ = ["cost"]

_DEFAULT_MACHINE = "aws-c7i.large"


@click.command("cost")
@click.argument("latency", type=click.Path(path_type=Path), metavar="LATENCY")
@click.option(
    "--price-per-hour",
    type=RealNumber(min=0, min_open=True),
    metavar="USD",
    help="What the measured machine costs an hour; goes before --machine.",
)
@click.option(
    "--machine",
    metavar="NAME",
    help=f"A machine of the table of prices.  [default: {_DEFAULT_MACHINE}]",
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A table of prices like bench/prices.json; default: that one.",
)
@click.option(
    "--label-cost",
    type=RealNumber(min=0),
    default=0.25,
    show_default=True,
    metavar="USD",
    help="What all labels of one image cost; the default is an assumption.",
)
@count_option("--labelled-images", default=3_000, least=0, text="How many images were labelled.")
@click.option(
    "--against",
    metavar="SYSTEM",
    help="What to compare with; default: vit_b_16, else the first without a head.",
)
@result_options
def cost(
    latency: Path,
    price_per_hour: float | None,
    machine: str | None,
    prices: Path | None,
    label_cost: float,
    labelled_images: int,
    against: str | None,
    out: Path | None,
    json: bool,
) -> int:
    """Turn the speeds in LATENCY, a file of bench latency, into money.

    Dollars for a million queries and for a million images indexed, and after how many queries
    the labels have paid for themselves. Give the price of the machine that was measured: the
    ratios do not depend on it.

    \b
    Example:
      boost-edge bench cost latency.json --price-per-hour 0.09
      boost-edge bench cost latency.json --machine aws-c7i.large --label-cost 0.10
    """
    from dataclasses import asdict

    from boost_edge.bench.cost import measure_cost
    from boost_edge.bench.prices import PRICES, find_machine, own_price, read_prices
    from boost_edge.bench.results import read_result

    if price_per_hour is not None and (machine is not None or prices is not None):
        raise UsageError("--price-per-hour goes without --machine and --prices")
    result = measure_cost(
        read_result(latency, kind="latency"),
        price=asdict(find_machine(read_prices(prices or PRICES), machine or _DEFAULT_MACHINE))
        if price_per_hour is None
        else own_price(price_per_hour),
        label_usd=label_cost,
        labelled_images=labelled_images,
        against=against,
    )
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    from boost_edge.bench.prices import describe_price

    price = result["price"]
    title = (
        f"{price['name']} at ${price['usd_per_hour']:g} an hour{describe_price(price)}; "
        f"measured on {result['measured_on']['processor']}, {result['threads']} threads; "
        f"{result['labelled_images']:,} images labelled at ${result['label_usd']:g} each (assumed)"
    )
    rows = [
        [
            row["system"],
            _usd(row["usd_per_million_queries"]),
            _usd(row["usd_per_million_images"]),
            _factor(row["times_cheaper_queries"]),
            _factor(row["times_cheaper_images"]),
            _even(row),
        ]
        for row in result["rows"]
    ]
    header = [
        "system", "$/1M queries", "$/1M images", "cheaper", "cheaper", "pays after queries",
    ]  # fmt: skip
    lines = [*wrapped(title, indent=""), "", *table(header, rows, right=(1, 2, 3, 4, 5), squeeze=0)]
    energy = [
        f"{row['system']}: {row['kwh_per_million_queries']:.3f} kWh for a million queries"
        for row in result["rows"]
        if row["kwh_per_million_queries"] is not None
    ]
    return [*lines, "", *(energy or [f"energy: {result['energy']}"])]


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}x"


def _even(row: dict[str, Any]) -> str:
    if not row["boosted"]:
        return ""
    return "never" if row["break_even_queries"] is None else f"{row['break_even_queries']:,.0f}"
