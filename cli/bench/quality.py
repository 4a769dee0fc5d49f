"""``boost-edge bench quality``."""

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
    readouts_option,
    result_options,
    setup_options,
)
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped
from boost_edge.runtime.manifest import DEFAULT_RESIZE, RESIZE_POLICIES

__all__ = ["quality"]


@click.command("quality")
@setup_options
@click.option(
    "--resize",
    callback=names,
    default=DEFAULT_RESIZE,
    show_default=True,
    metavar="A,B",
    help="Policies to compare: squash, crop, letterbox.",
)
@click.option(
    "--recipe",
    callback=names,
    default="boost",
    show_default=True,
    metavar="A,B",
    help="Recipes to compare; with paper, and without --tap, all read the network's end.",
)
@readouts_option
@click.option(
    "--note", metavar="TEXT", help="Kept in the result: what a reader must know of the weights."
)
@result_options
def quality(
    labels: Path,
    images: Path,
    resize: tuple[str, ...],
    recipe: tuple[str, ...],
    readout: tuple[str, ...],
    note: str | None,
    out: Path | None,
    json: bool,
    **setup: Any,
) -> int:
    """Measure raw features against trained heads on the label table LABELS.

    Where LABELS has a split column, its test part is searched. Else the paper's protocol is run:
    groups of images with equal attributes are drawn (100 of 40), of which 1,000 images are
    searched and the others train. A hit is relevant when all attributes agree, by the share of
    the query's name words that it has. mAP@10 is the paper's; the JSON has trec's mAP, P@10 and
    nDCG@10 too, accuracy and calibration error of every attribute, and beside the file of --out
    every query's scores, for bench versus. Interrupted, the same command goes on at the next seed.

    \b
    Example:
      boost-edge bench quality styles.csv --images images/ \\
        --attributes gender,baseColour --name-column productDisplayName
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.quality import QualityPlan, measure_quality

        described = make_setup(**setup)
    check_choice(resize, RESIZE_POLICIES, "--resize")
    check_recipes(recipe)
    plan = QualityPlan(
        setup=described,
        resizes=tuple(policy for policy in RESIZE_POLICIES if policy in resize),
        recipes=recipe,
        readouts=chosen_readouts(readout),
        note=note,
    )
    with Bars() as bars:
        result = measure_quality(labels, images=images, plan=plan, out=out, progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    missing = [row["unavailable"] for row in result["rows"] if "unavailable" in row]
    if missing:
        said = (
            f"{result['backbone']}: not measured: {missing[0]}: put that file in torch's cache "
            "(TORCH_HOME), or name a file with --weights"
        )
        return wrapped(said, indent="")
    title = (
        f"{result['backbone']} {'+'.join(result['taps'])}, {result['image_size']} px, weights "
        f"{result['weights']['name']}; mAP@10 over {result['seeds']} seeds, chance "
        f"{result['chance_map10']:.1f}"
    )
    rows = [
        [
            row["resize"],
            row["recipe"],
            row["readout"],
            str(row["dimensions"]),
            f"{row['map10']:.2f}",
            "" if row["map10_std"] is None else f"{row['map10_std']:.2f}",
            f"{row['relative_gain']:+.0%}" if "relative_gain" in row else "",
            between(row["gain"]["low"], row["gain"]["high"]) if "gain" in row else "",
        ]
        for row in result["rows"]
    ]
    header, rows = with_seeds(
        ["resize", "recipe", "readout", "D", "mAP@10", "std", "gain", "95% over queries"],
        rows,
        [row.get("gain") for row in result["rows"]],
    )
    noted = wrapped(f"note: {result['note']}", indent="") if result.get("note") else []
    return [*wrapped(title, indent=""), *noted, "", *table(header, rows, right=(3, 4, 5, 6))]
