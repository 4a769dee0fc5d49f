"""``boost-edge bench regression``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.exits import ExitCode
from boost_edge.cli.model import shipped_model
from boost_edge.cli.options import count_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import table, warn, wrapped

__all__ = ["regression"]

_MODEL = "garments-drawn"


@click.command("regression")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A result of an earlier run to compare with.",
)
@click.option(
    "--max-growth",
    type=RealNumber(min=1),
    default=1.05,
    show_default=True,
    metavar="X",
    help="Largest factor of the instructions of a workload.",
)
@click.option(
    "--any-version",
    is_flag=True,
    help="Compare counts of other versions of Python, libraries, valgrind and model too.",
)
@count_option("--runs", default=3, text="How often all is counted, in new processes.")
@result_options
def regression(
    baseline: Path | None,
    max_growth: float,
    any_version: bool,
    runs: int,
    out: Path | None,
    json: bool,
) -> int:
    """Count the instructions of fixed small workloads, and compare with a baseline.

    Under valgrind (callgrind), which must be installed, on x86-64. Counts hardly depend on what
    else the machine does. About three minutes on two cores. Exit code 5 when a workload takes
    more instructions than the baseline allows, with one line for each on standard error.

    \b
    Example:
      boost-edge bench regression --out baseline.json
      boost-edge bench regression --baseline baseline.json
    """
    from boost_edge.bench.regression import check_protocol, compare_counts, measure_regression
    from boost_edge.bench.results import read_result

    model = shipped_model(_MODEL)
    old = None if baseline is None else read_result(baseline, kind="regression")
    if old is not None and not any_version:
        # Before minutes are spent.
        check_protocol(old, model)
    with Bars() as bars:
        result = measure_regression(model, runs=runs, progress=bars)
    if old is None:
        return finish(result, out, json, _text(result, {}))
    compared = compare_counts(old, result, growth=max_growth)
    result["comparison"] = compared["rows"]
    before, here = (each["machine"]["processor"] for each in (old, result))
    if before != here:
        warn(f"{baseline}: was counted on {before}, this on {here}: kernels may differ")
    rows: list[dict[str, Any]] = compared["rows"]
    code = finish(result, out, json, _text(result, {each["name"]: each for each in rows}))
    crossed = [each for each in rows if each["crossed"]]
    for each in crossed:
        times = "no longer counted, but in" if each["new"] is None else _times(each["change"])
        warn(f"{each['name']}: {times} {baseline} (limit {max_growth:g})")
    return ExitCode.GATE if crossed else code


def _times(change: float) -> str:
    return f"{change:.3f} times the instructions of"


def _text(result: dict[str, Any], compared: dict[str, dict[str, Any]]) -> list[str]:
    cells: list[list[str]] = []
    for row in result["rows"]:
        against = compared.get(row["workload"])
        cells.append(
            [
                row["workload"],
                f"{row['instructions']:,}",
                f"{100 * row['spread']:.2f}%",
                "" if against is None or against["change"] is None else f"x{against['change']:.3f}",
                "" if against is None or not against["crossed"] else "CROSSED",
            ]
        )
    header = ["workload", "instructions", "spread", "change", ""]
    said = f"median of {result['runs']} runs, and how far these lie apart"
    return [*wrapped(said, indent=""), *table(header, cells, right=(1, 2, 3), squeeze=0)]
