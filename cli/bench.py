"""``boost-edge bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import images_option, json_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import print_json, table, wrapped
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_RESIZE, READOUTS, RESIZE_POLICIES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]

_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result as JSON to this file too.",
)


@click.group("bench")
def command() -> None:
    """Measure what boosting gains, on your own labels and machine.

    \b
    Example:
      boost-edge bench quality labels.csv --images photos/
      boost-edge bench agreement labels.csv --images photos/ --run runs/shop \\
        --gallery .boost-edge --attribute colour
    """


@command.command("quality")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--backbone",
    default="resnet18",
    show_default=True,
    metavar="NAME",
    help="Backbone, as for train.",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|none|FILE",
    help="Weights of the backbone, as for train.",
)
@click.option(
    "--tap",
    metavar="STAGE[:NxN][+STAGE]",
    help="Stages whose outputs, pooled over all or over N x N cells, are the features; "
    "default: the last.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=8),
    metavar="S",
    help="Edge of the network's input in pixels; default: the backbone's own.",
)
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
    default="paper,boost",
    show_default=True,
    metavar="A,B",
    help="Recipes to compare.",
)
@click.option(
    "--readout",
    callback=names,
    default=",".join(READOUTS),
    show_default=True,
    metavar="A,B",
    help="Readouts to compare.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many samples are drawn.",
)
@_out_option
@json_option
def quality(
    labels: Path,
    images: Path,
    backbone: str,
    weights: str,
    tap: str | None,
    image_size: int | None,
    resize: tuple[str, ...],
    recipe: tuple[str, ...],
    readout: tuple[str, ...],
    seeds: int,
    out: Path | None,
    json: bool,
) -> int:
    """Run the paper's retrieval protocol on the label table LABELS.

    100 groups of 40 images with equal attributes are drawn, 3,000 images train, 1,000 are
    searched; mAP@10 grades hits by the words of the product name. Needs the seven attributes and
    the name column of the fashion data set.

    \b
    Example:
      boost-edge bench quality styles.csv --images images/ --tap layer3 --seeds 5
    """
    with need_train_extra("measuring quality"):
        from boost_edge.bench.quality import QualityPlan, measure_quality
        from boost_edge.export.recipes import RECIPES
        from boost_edge.models.backbones import parse_taps

    _check_choice(resize, RESIZE_POLICIES, "--resize")
    _check_choice(readout, READOUTS, "--readout")
    _check_choice(recipe, tuple(RECIPES), "--recipe")
    plan = QualityPlan(
        backbone=backbone,
        weights=weights,
        taps=None if tap is None else parse_taps(tap, backbone),
        image_size=image_size,
        resizes=tuple(policy for policy in RESIZE_POLICIES if policy in resize),
        recipes=recipe,
        readouts=tuple(each for each in READOUTS if each in readout),
        seeds=seeds,
    )
    with Bars() as bars:
        result = measure_quality(labels, images=images, plan=plan, progress=bars)
    return _finish(result, out, json, _quality_text(result))


@command.command("agreement")
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
@click.option(
    "--queries",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    help="How many query images are drawn.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Decides which images are drawn.",
)
@_out_option
@json_option
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
    return _finish(result, out, json, _agreement_text(result))


def _check_choice(given: Sequence[str], known: Sequence[str], option: str) -> None:
    for each in given:
        if each not in known:
            raise UsageError(f"{option}: {each!r} is not one of {', '.join(known)}")


def _finish(result: dict[str, Any], out: Path | None, json: bool, text: list[str]) -> int:
    from boost_edge.bench.results import write_result

    if json:
        print_json(result)
    else:
        click.echo("\n".join(text))
    # Last: a file that cannot be written must not cost the result of hours.
    if out is not None:
        write_result(out, result)
    return ExitCode.FINE


def _quality_text(result: dict[str, Any]) -> list[str]:
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
            f"{row['gain']['low']:+.2f} to {row['gain']['high']:+.2f}" if "gain" in row else "",
        ]
        for row in result["rows"]
    ]
    header = ["resize", "recipe", "readout", "D", "mAP@10", "std", "gain", "95% of the difference"]
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(3, 4, 5, 6))]


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
            f"{row['gain_interval'][0]:+.1%} to {row['gain_interval'][1]:+.1%}",
            f"{row['chance']:.1%}",
        ]
        for row in result["rows"]
    ]
    header = ["readout", "D", "images", "agreement", "95%", "over the first", "chance"]
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(1, 2, 3, 6))]
