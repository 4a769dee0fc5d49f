"""``boost-edge bench``: one module for each measurement."""

from __future__ import annotations

import click

from boost_edge.cli.bench.ablate import ablate
from boost_edge.cli.bench.agreement import agreement
from boost_edge.cli.bench.alternatives import alternatives
from boost_edge.cli.bench.card import card
from boost_edge.cli.bench.choose import choose
from boost_edge.cli.bench.compare import compare
from boost_edge.cli.bench.cost import cost
from boost_edge.cli.bench.crossover import crossover
from boost_edge.cli.bench.curve import curve
from boost_edge.cli.bench.honesty import honesty
from boost_edge.cli.bench.latency import latency
from boost_edge.cli.bench.models import models
from boost_edge.cli.bench.overhead import overhead
from boost_edge.cli.bench.quality import quality
from boost_edge.cli.bench.quantisers import quantisers
from boost_edge.cli.bench.regression import regression
from boost_edge.cli.bench.report import report
from boost_edge.cli.bench.search import search
from boost_edge.cli.bench.split import split
from boost_edge.cli.bench.versus import versus

__all__ = ["command"]


@click.group("bench")
def command() -> None:
    """Measure what boosting gains, on your own labels and machine.

    \b
    Example:
      boost-edge bench quality labels.csv --images photos/ --out quality.json
      boost-edge bench agreement labels.csv --images photos/ --run runs/shop \\
        --gallery .boost-edge --attribute colour
    """


command.add_command(split)
command.add_command(quality)
command.add_command(versus)
command.add_command(ablate)
command.add_command(honesty)
command.add_command(curve)
command.add_command(choose)
command.add_command(agreement)
command.add_command(models)
command.add_command(search)
command.add_command(crossover)
command.add_command(latency)
command.add_command(overhead)
command.add_command(alternatives)
command.add_command(quantisers)
command.add_command(cost)
command.add_command(compare)
command.add_command(regression)
command.add_command(report)
command.add_command(card)
