"""``boost-edge bench compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.gains import between
from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import table
from boost_edge.runtime.errors import GateError

__all__ = ["compare"]


@click.command("compare")
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW")
@click.option(
    "--max-slowdown",
    type=RealNumber(min=1),
    default=1.1,
    show_default=True,
    metavar="X",
    help="Largest factor of a median time, or of a cost.",
)
@click.option(
    "--floor-ms",
    type=RealNumber(min=0),
    default=0.1,
    show_default=True,
    metavar="MS",
    help="Times that differ by less are never slower.",
)
@click.option(
    "--max-growth",
    type=RealNumber(min=1),
    default=1.1,
    show_default=True,
    metavar="X",
    help="Largest factor of the size of a model or an index, and of peak memory.",
)
@click.option(
    "--max-instructions",
    type=RealNumber(min=1),
    default=1.05,
    show_default=True,
    metavar="X",
    help="Largest factor of the instructions of a workload.",
)
@click.option(
    "--max-map-loss",
    type=RealNumber(min=0),
    default=0.5,
    show_default=True,
    metavar="X",
    help="Largest loss of mAP@10, in points out of 100.",
)
@click.option(
    "--max-agreement-loss",
    type=RealNumber(min=0),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Largest loss of agreement, in percentage points.",
)
@click.option(
    "--max-recall-loss",
    type=RealNumber(min=0),
    default=0.5,
    show_default=True,
    metavar="X",
    help="Largest loss of recall@10 of a search, in percentage points.",
)
@click.option("--any-machine", is_flag=True, help="Compare times of different machines too.")
@result_options
def compare(
    old: Path,
    new: Path,
    max_slowdown: float,
    floor_ms: float,
    max_growth: float,
    max_instructions: float,
    max_map_loss: float,
    max_agreement_loss: float,
    max_recall_loss: float,
    any_machine: bool,
    out: Path | None,
    json: bool,
) -> int:
    """Compare two results of the same bench; exit code 5 when a limit is crossed.

    OLD and NEW are files that --out wrote: of quality, models, agreement, latency, cost, search or
    regression. What is in OLD and no longer in NEW has crossed the limit too.

    \b
    Example:
      boost-edge bench compare main.json branch.json --max-slowdown 1.2
      boost-edge bench compare main.json branch.json --max-map-loss 0.3
    """
    from boost_edge.bench.compare import Limits, compare_results
    from boost_edge.bench.results import read_result

    result = compare_results(
        read_result(old),
        read_result(new),
        limits=Limits(
            slowdown=max_slowdown,
            growth=max_growth,
            instructions=max_instructions,
            map_loss=max_map_loss,
            agreement_loss=max_agreement_loss,
            recall_loss=max_recall_loss,
            floor_ms=floor_ms,
        ),
        any_machine=any_machine,
    )
    code = finish(result, out, json, _text(result))
    if crossed := [row for row in result["rows"] if row["crossed"]]:
        worst = f"{crossed[0]['name']} ({crossed[0]['measure']})"
        others = f" and {len(crossed) - 1} more" if len(crossed) > 1 else ""
        raise GateError(f"{new}: {worst}{others} crossed the limit against {old}")
    return code


def _text(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            row["name"],
            row["measure"],
            _figure(row["old"]),
            _figure(row["new"]),
            _change(row),
            "CROSSED" if row["crossed"] else "",
        ]
        for row in result["rows"]
    ]
    header = ["row", "measure", "old", "new", "change", ""]
    if any("change_by_seed" in row for row in result["rows"]):
        header.append("of single seeds")
        rows = [[*cells, _range(row)] for cells, row in zip(rows, result["rows"], strict=True)]
    return table(header, rows, right=(2, 3, 4), squeeze=0)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _range(row: dict[str, Any]) -> str:
    by_seed = [each for each in row.get("change_by_seed", ()) if each is not None]
    return between(min(by_seed), max(by_seed)) if by_seed else ""


def _change(row: dict[str, Any]) -> str:
    if row["change"] is None:
        return "new" if row["old"] is None else "gone" if row["new"] is None else "-"
    return f"x{row['change']:.3f}" if row["limit"] > 0 else f"{row['change']:+.2f}"
