"""``boost-edge bench ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.gains import between, with_seeds
from boost_edge.cli.bench.options import (
    check_choice,
    check_recipes,
    chosen_readouts,
    finish,
    make_setup,
    recipe_option,
    result_options,
    setup_options,
)
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import names, whole_numbers
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped

__all__ = ["ablate"]


@click.command("ablate")
@setup_options
@click.option(
    "--factors",
    callback=names,
    default="width,dropout,standardise,label_smoothing,weight_decay,blend,importance,calibration",
    show_default=True,
    metavar="A,B",
    help="What to vary; also: components, flips, tags, contrast, refit, or none.",
)
@click.option(
    "--taps", callback=names, metavar="A,B+C", help="Other taps to try, each as for --tap."
)
@click.option(
    "--image-sizes", callback=whole_numbers, metavar="A,B", help="Other image sizes to try."
)
@recipe_option
@click.option(
    "--readout",
    callback=names,
    default="hidden,attributes,blend,match",
    show_default=True,
    metavar="A,B",
    help="Readouts to judge each choice by, as for quality.",
)
@result_options
def ablate(
    labels: Path,
    images: Path,
    factors: tuple[str, ...],
    taps: tuple[str, ...] | None,
    image_sizes: tuple[int, ...] | None,
    recipe: str,
    readout: tuple[str, ...],
    out: Path | None,
    json: bool,
    **setup: Any,
) -> int:
    """Vary a recipe one choice at a time, judged on a part of the training rows.

    A quarter of the rows that a seed may train on is searched instead; its test part is never
    read, so that a recipe chosen here can be measured there.

    \b
    Example:
      boost-edge bench ablate styles.csv --images images/ --seeds 3 \\
        --attributes gender,baseColour --name-column productDisplayName \\
        --factors dropout,width --taps layer2+layer3
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.ablate import FACTORS, AblationPlan, measure_ablation, variants_of
        from boost_edge.models.backbones import parse_taps

        described = make_setup(**setup)
        tried = [parse_taps(each, described.backbone) for each in taps or ()]
    check_recipes((recipe,))
    varied = () if factors == ("none",) else factors
    check_choice(varied, tuple(FACTORS), "--factors")
    plan = AblationPlan(
        setup=described,
        recipe=recipe,
        variants=variants_of(varied, taps=tried, sizes=image_sizes or ()),
        readouts=chosen_readouts(readout),
    )
    with Bars() as bars:
        result = measure_ablation(labels, images=images, plan=plan, out=out, progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    title = (
        f"{result['backbone']} {'+'.join(result['taps'])}, recipe {result['recipe']}, "
        f"{result['seeds']} seeds; mAP@10 on {result['judged_on']}"
    )
    rows = [
        [
            row["factor"],
            row["value"],
            row["readout"],
            str(row["dimensions"]),
            f"{row['map10']['mean']:.2f}",
            f"{row['gain']['mean']:+.2f}" if "gain" in row else "",
            between(row["gain"]["low"], row["gain"]["high"]) if "gain" in row else "",
        ]
        for row in result["rows"]
    ]
    header, rows = with_seeds(
        ["factor", "value", "readout", "D", "mAP@10", "gain", "95% over queries"],
        rows,
        [row.get("gain") for row in result["rows"]],
    )
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(3, 4, 5))]
