"""``boost-edge bench curve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.gains import between, with_seeds
from boost_edge.cli.bench.options import (
    check_recipes,
    chosen_readouts,
    finish,
    make_setup,
    readouts_option,
    recipe_option,
    result_options,
    setup_options,
)
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped
from boost_edge.runtime.errors import UsageError

__all__ = ["curve"]


@click.command("curve")
@setup_options
@click.option(
    "--counts",
    callback=names,
    default="100,250,500,1000,2000,3000",
    show_default=True,
    metavar="A,B",
    help="Numbers of labelled images to train on.",
)
@click.option(
    "--noise",
    callback=names,
    default="0,0.05,0.1,0.2",
    show_default=True,
    metavar="A,B",
    help="Shares of wrong labels to train with.",
)
@click.option(
    "--baseline",
    multiple=True,
    metavar="FILE:ROW",
    help="A row of bench quality to pass, such as vit.json:raw; may be repeated.",
)
@recipe_option
@readouts_option
@result_options
def curve(
    labels: Path,
    images: Path,
    counts: tuple[str, ...],
    noise: tuple[str, ...],
    baseline: tuple[str, ...],
    recipe: str,
    readout: tuple[str, ...],
    out: Path | None,
    json: bool,
    **setup: Any,
) -> int:
    """Measure quality against the number of labels, and against wrong labels.

    With --baseline it says how many labels make this backbone better than that row, measured on
    the same queries.

    \b
    Example:
      boost-edge bench curve styles.csv --images images/ \\
        --attributes gender,baseColour --name-column productDisplayName \\
        --baseline vit.json:raw
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.curve import CurvePlan, measure_curve
        from boost_edge.bench.versus import parse_side

        described = make_setup(**setup)
    check_recipes((recipe,))
    try:
        numbers = tuple(sorted(int(each) for each in counts))
        shares = tuple(sorted(float(each) for each in noise))
    except ValueError as error:
        raise UsageError(f"--counts and --noise take numbers: {error}") from error
    plan = CurvePlan(
        setup=described,
        recipe=recipe,
        readouts=chosen_readouts(readout),
        labels=numbers,
        noise=shares,
    )
    sides = [parse_side(each) for each in baseline]
    with Bars() as bars:
        result = measure_curve(
            labels, images=images, plan=plan, baselines=sides, out=out, progress=bars
        )
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    from boost_edge.bench.report_labels import raw_passes

    title = (
        f"{result['backbone']} {'+'.join(result['taps'])}, recipe {result['recipe']}, "
        f"{result['seeds']} seeds; raw mAP@10 {result['raw']['mean']:.2f}"
    )
    measured = [(f"{row['labels']:,} labels", row) for row in result["rows"]]
    measured += [(f"{row['noise']:.0%} wrong", row) for row in result["noise"]]
    rows = [
        [
            name,
            row["readout"],
            f"{row['map10']['mean']:.2f}",
            f"{row['gain']['mean']:+.2f}",
            between(row["gain"]["low"], row["gain"]["high"]),
        ]
        for name, row in measured
    ]
    header, rows = with_seeds(
        ["training", "readout", "mAP@10", "gain", "95% over queries"],
        rows,
        [row["gain"] for _, row in measured],
    )
    lines = [*wrapped(title, indent=""), "", *table(header, rows, right=(0, 2, 3))]
    for each in result["passes"]:
        low, middle, high = (_labels(each[name]) for name in ("low", "labels", "high"))
        where = f"{each['baseline']['file']}:{each['baseline']['row']} ({each['map10']:.2f})"
        over = f"95% over queries: {low} to {high}"
        if len(each["by_seed"]) > 1:
            over += f"; by seed: {', '.join(map(_labels, each['by_seed']))}"
        said = f"{each['readout']} passes {where} at {middle} labels ({over})"
        if raw_passes(result, each):
            said += "; raw features pass it without a label"
        lines += ["", *wrapped(said, indent="")]
    return lines


def _labels(count: float | None) -> str:
    return "never" if count is None else f"{count:,.0f}"
