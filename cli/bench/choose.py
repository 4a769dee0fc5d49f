"""``boost-edge bench choose``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from boost_edge.cli.bench.gains import between, with_seeds
from boost_edge.cli.bench.options import (
    check_recipes,
    finish,
    make_setup,
    recipe_option,
    result_options,
    subject_options,
)
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import names, resize_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_READOUT, READOUTS, Readout, ResizePolicy

__all__ = ["choose"]

_READOUTS = [each for each in READOUTS if each != "raw"]


@click.command("choose")
@subject_options
@click.option(
    "--counts",
    callback=names,
    default="600,1200,1800,2400,3000",
    show_default=True,
    metavar="A,B",
    help="Numbers of labelled images after which a head is trained, and asked what to label next.",
)
@recipe_option
@click.option(
    "--readout",
    type=click.Choice(_READOUTS),
    default=DEFAULT_READOUT,
    show_default=True,
    help="The readout that is measured, and whose distances keep the chosen images apart.",
)
@click.option(
    "--doubts-of",
    callback=names,
    metavar="A,B",
    help="Attributes whose doubts count when choosing; default: all, those with many values most.",
)
@resize_option
@result_options
def choose(
    labels: Path,
    images: Path,
    counts: tuple[str, ...],
    recipe: str,
    readout: str,
    doubts_of: tuple[str, ...] | None,
    resize: str,
    out: Path | None,
    json: bool,
    **setup: Any,
) -> int:
    """Measure what it is worth to choose which images are labelled.

    LABELS stands in for the person who labels. Its test part (the split column's, or the tenth that
    train would take) is never asked for; of all other images some are labelled, a few hundred at a
    time: drawn by chance, or chosen as boost-edge choose does, by the head trained on those so far.

    \b
    Example:
      boost-edge bench choose styles.csv --images images/ \\
        --attributes gender,articleType --name-column productDisplayName
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.choosing import ChoosingPlan, measure_choosing

        described = make_setup(**setup)
    check_recipes((recipe,))
    try:
        numbers = tuple(sorted({int(each) for each in counts}))
    except ValueError as error:
        raise UsageError(f"--counts takes whole numbers: {error}") from error
    plan = ChoosingPlan(
        setup=described,
        recipe=recipe,
        readout=cast("Readout", readout),
        resize=cast("ResizePolicy", resize),
        doubts_of=doubts_of,
        labels=numbers,
    )
    with Bars() as bars:
        result = measure_choosing(labels, images=images, plan=plan, out=out, progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    title = (
        f"{result['backbone']} {'+'.join(result['taps'])}, recipe {result['recipe']}, readout "
        f"{result['readout']}, {result['seeds']} seeds; {result['test']:,} images tested, "
        f"{result['pool']:,} to choose from"
    )
    if result["doubts_of"]:
        title += f"; doubts of {', '.join(result['doubts_of'])}"
    attributes = result["attributes"]
    rows = [["", "raw", *_cells(result["raw"], attributes), "", ""]]
    gains: list[dict[str, Any] | None] = [None]
    for row in result["rows"]:
        gain = row.get("gain")
        cells = [f"{gain['mean']:+.2f}", between(gain["low"], gain["high"])] if gain else ["", ""]
        rows.append([f"{row['labels']:,}", row["way"], *_cells(row, attributes), *cells])
        gains.append(gain)
    header = ["labels", "way", "mAP@10", *attributes, "gain in mAP@10", "95% over queries"]
    header, rows = with_seeds(header, rows, gains)
    said = (
        f"Attributes: the share of the ten nearest of {result['images']:,} with the query's value."
    )
    right = (0, *range(2, len(attributes) + 4))
    return [
        *wrapped(title, indent=""),
        "",
        *wrapped(said, indent=""),
        "",
        *table(header, rows, right=right),
    ]


def _cells(row: dict[str, Any], attributes: list[str]) -> list[str]:
    shares = [row["agreement10"][name]["mean"] for name in attributes]
    known = ["" if share is None else f"{share:.1%}" for share in shares]
    return [f"{row['map10']['mean']:.2f}", *known]
