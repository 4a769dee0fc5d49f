"""``boost-edge bench honesty``."""

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
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped

__all__ = ["honesty"]


@click.command("honesty")
@setup_options
@recipe_option
@readouts_option
@result_options
def honesty(
    labels: Path,
    images: Path,
    recipe: str,
    readout: tuple[str, ...],
    out: Path | None,
    json: bool,
    **setup: Any,
) -> int:
    """Test boosting where its labels do not reach, and say where it hurts.

    Groups of which no image was trained on; each attribute left out of the training but not of
    the judgement; relevance by the words of the name alone; finding the original of a cropped,
    flipped, blurred, compressed or brightened copy.

    \b
    Example:
      boost-edge bench honesty styles.csv --images images/ \\
        --attributes gender,baseColour --name-column productDisplayName
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.honesty import HonestyPlan, measure_honesty

        described = make_setup(**setup)
    check_recipes((recipe,))
    plan = HonestyPlan(setup=described, recipe=recipe, readouts=chosen_readouts(readout))
    with Bars() as bars:
        result = measure_honesty(labels, images=images, plan=plan, out=out, progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    title = (
        f"{result['backbone']} {'+'.join(result['taps'])}, recipe {result['recipe']}, "
        f"{result['seeds']} seeds; {len(result['hurts'])} rows are worse than raw with confidence"
    )
    hurting = [(each["test"], each["readout"]) for each in result["hurts"]]
    rows = [
        [
            row["test"],
            row["readout"],
            row["metric"],
            f"{row[row['metric']]['mean']:.3g}",
            f"{row['gain']['mean']:+.3g}" if "gain" in row else "",
            "hurts" if (row["test"], row["readout"]) in hurting else "",
            between(row["gain"]["low"], row["gain"]["high"], "+.3g") if "gain" in row else "",
        ]
        for row in result["rows"]
    ]
    header, rows = with_seeds(
        ["test", "readout", "metric", "mean", "gain", "", "95% over queries"],
        rows,
        [row.get("gain") for row in result["rows"]],
        "+.3g",
    )
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(3, 4))]
