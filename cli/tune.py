"""``boost-edge tune``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.head_recipe import HeadOptions, head_options
from boost_edge.cli.options import (
    attributes_option,
    image_column_option,
    images_option,
    json_option,
    max_loss_option,
    names,
    resize_option,
    training_seed_option,
    whole_numbers,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.cli.render import print_json, warn, warn_of_gaps
from boost_edge.cli.tuned import tuned_lines, warn_of_doubts
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import (
    READOUTS,
    Precision,
    Readout,
    ResizePolicy,
)
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.tune_report import TuneReport

__all__ = ["command"]


@click.command("tune")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The ONNX file to write, such as model.onnx.",
)
@click.option(
    "--max-ms",
    type=RealNumber(min=0, min_open=True),
    metavar="MS",
    help="Most milliseconds that the network may take for one image.",
)
@click.option(
    "--min-map",
    metavar="POINTS|SHARE%",
    help="Least mAP@10 on validation images, in points (61.5) or as a share of the best found "
    "(95%); the fastest model that reaches it is chosen.",
)
@attributes_option
@image_column_option
@click.option(
    "--backbone",
    default="resnet18",
    show_default=True,
    metavar="NAME",
    help="The network, as for train.",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|none|FILE|RUN",
    help="Its weights, as for train.",
)
@click.option(
    "--image-sizes",
    callback=whole_numbers,
    metavar="S,S",
    help="Edges of the network's input in pixels; default: four, up to the backbone's own.",
)
@click.option(
    "--taps",
    callback=names,
    metavar="TAP,TAP",
    help="Where features are taken, each as --tap of train; default: the last two stages, the "
    "first of them on a grid of 4x4 too, and what train takes at 224 pixels.",
)
@click.option(
    "--readouts",
    callback=names,
    metavar="A,B",
    help="What the embedding may be; default: match,attributes,hidden,raw.",
)
@click.option(
    "--widths",
    callback=whole_numbers,
    metavar="W,W",
    help="Widths of the head's hidden layer; default: the recipe's.",
)
@head_options
@click.option(
    "--precisions",
    callback=names,
    default="fp32,int8",
    show_default=True,
    metavar="A,B",
    help="What the model may compute in; int8 is tried on the best, and may be refused.",
)
@click.option(
    "--threads",
    callback=whole_numbers,
    default="1",
    show_default=True,
    metavar="N,N",
    help="Threads that the network may use; one is measured in any case.",
)
@resize_option
@max_loss_option
@click.option(
    "--limit",
    type=WholeNumber(min=1),
    metavar="N",
    help="Use at most N labelled images; the test part comes on top.",
)
@click.option(
    "--seconds",
    type=RealNumber(min=0),
    metavar="N",
    help="Begin no further candidate after N seconds; default: try all.",
)
@training_seed_option
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for what is tried; default: that of --out, ending in .tune.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The JSON file to write; default: that of --out, ending in .tune.json.",
)
@json_option
def command(
    labels: Path,
    images: Path,
    out: Path,
    max_ms: float | None,
    min_map: str | None,
    attributes: tuple[str, ...] | None,
    image_column: str | None,
    backbone: str,
    weights: str,
    image_sizes: tuple[int, ...] | None,
    taps: tuple[str, ...] | None,
    readouts: tuple[str, ...] | None,
    widths: tuple[int, ...] | None,
    head: HeadOptions,
    precisions: tuple[str, ...],
    threads: tuple[int, ...],
    resize: ResizePolicy,
    max_loss: float,
    limit: int | None,
    seconds: float | None,
    seed: int,
    work: Path | None,
    report: Path | None,
    json: bool,
) -> int:
    """Find the model for a budget, on your labels and this machine.

    Tries image sizes, taps, head widths, readouts, precisions and threads: what each would take is
    computed first, what cannot be chosen is left out, the rest is trained on the table LABELS (as
    by train), compared by mAP@10 on validation images, exported, and timed side by side. Prints
    the candidates that are worth having, and writes the chosen one and a report.

    With --max-ms the model that finds most within it is chosen, with --min-map the fastest that
    finds as much, without both the one that finds most. If there is none, nothing is written and
    the exit code is 5. An interrupted search goes on when the same command is run again.

    \b
    Example:
      boost-edge tune labels.csv --images photos/ --out model.onnx --max-ms 10
      boost-edge tune labels.csv --images photos/ --out model.onnx --min-map 95% \\
        --taps layer2,layer3,layer3:4x4 --image-sizes 64,96,128 --threads 1,2
    """
    _check_head(readouts, trained=bool(widths) or head.given())
    with need_train_extra("tuning"):
        from boost_edge.export.budget import Budget, parse_min_map
        from boost_edge.export.train import TrainSettings
        from boost_edge.export.tune import tune
        from boost_edge.export.tune_settings import TuneSettings

    recipe = head.make()
    quality = Budget() if min_map is None else parse_min_map(min_map)
    chosen_taps = _chosen_taps(backbone, taps)
    settings = TuneSettings(
        base=TrainSettings(
            attributes=attributes,
            image_column=image_column,
            backbone=backbone,
            weights=weights,
            resize=resize,
            recipe=recipe,
            limit=limit,
            seed=seed,
        ),
        image_sizes=image_sizes or _default_image_sizes(backbone),
        taps=chosen_taps,
        widths=widths or (recipe.width or 2048,),
        readouts=_chosen_readouts(readouts),
        precisions=cast("tuple[Precision, ...]", precisions),
        threads=threads,
        budget=dataclasses.replace(quality, max_ms=max_ms),
        max_loss=max_loss,
        seconds=seconds,
    )
    with Bars() as bars:
        found = tune(
            labels,
            images=images,
            out=out,
            report=report or out.with_suffix(".tune.json"),
            work=work or out.with_suffix(".tune"),
            settings=settings,
            progress=bars,
        )
    return _show(found, json=json)


def _check_head(readouts: tuple[str, ...] | None, *, trained: bool) -> None:
    """Refuse to be told how a head is trained where none is."""
    if trained and readouts == ("raw",):
        raise UsageError(
            "--recipe, --widths, --components and --contrast belong to the head, and --readouts "
            "raw trains none"
        )


def _show(found: TuneReport, *, json: bool) -> ExitCode:
    """Print what was found, and warn of what was left out."""
    from boost_edge.export.tune_report import as_json

    if found.duplicates:
        warn(f"{counted(found.duplicates, 'row')} of the table repeated, counted once")
    warn_of_gaps(found.missing, found.skipped)
    warn_of_doubts(found)
    if json:
        print_json(as_json(found))
    else:
        for line in tuned_lines(found):
            click.echo(line)
    return ExitCode.SKIPPED if found.missing or found.skipped else ExitCode.FINE


def _default_image_sizes(backbone: str) -> tuple[int, ...]:
    from boost_edge.export.candidates import default_image_sizes

    return default_image_sizes(backbone)


def _chosen_taps(backbone: str, taps: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, ...]:
    from boost_edge.export.candidates import default_taps
    from boost_edge.models.backbones import check_backbone, parse_taps

    check_backbone(backbone)
    if taps is None:
        return default_taps(backbone)
    return tuple(parse_taps(tap, backbone) for tap in taps)


def _chosen_readouts(readouts: tuple[str, ...] | None) -> tuple[Readout, ...]:
    from boost_edge.export.candidates import DEFAULT_READOUTS

    if readouts is None:
        return DEFAULT_READOUTS
    if wrong := [each for each in readouts if each not in READOUTS]:
        raise UsageError(f"readout {wrong[0]!r} is not one of {', '.join(READOUTS)}")
    return cast("tuple[Readout, ...]", readouts)
