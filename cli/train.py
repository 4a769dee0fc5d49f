"""``boost-edge train``."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.head_recipe import HeadOptions, head_options
from boost_edge.cli.options import (
    attributes_option,
    image_column_option,
    images_option,
    json_option,
    readout_option,
    resize_option,
    training_seed_option,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.ranges import WholeNumber
from boost_edge.cli.render import (
    counts,
    print_json,
    printable,
    quality_table,
    skipped_objects,
    warn,
    warn_of_gaps,
)
from boost_edge.cli.whole_network import WholeNetwork, whole_network_options
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_READOUT, Readout, ResizePolicy
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.run import RunRecord
    from boost_edge.export.train import TrainReport

__all__ = ["command"]


@click.command("train")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="RUN",
    help="Folder to write the run to.",
)
@attributes_option
@image_column_option
@click.option(
    "--backbone",
    default="resnet18",
    show_default=True,
    metavar="NAME",
    help="pca, resnet18|34|50|101, vit_b_16, mobilenet_v2, squeezenet1_1, vit_tiny_patch16_224.",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|none|FILE|RUN",
    help="Weights of the backbone: torchvision's, random, a safetensors file, or those of a "
    "finished run.",
)
@click.option(
    "--tap",
    metavar="STAGE[:NxN][+STAGE]",
    help="Stages whose outputs, pooled over all or over N x N cells, are the features; what comes "
    "after them is cut off; default: early ones on a grid, such as "
    "layer1:4x4+layer2:4x4+layer3:4x4, where a head finds most; the last with --finetune, "
    "--readout raw or --recipe paper; with the weights of a RUN, that run's.",
)
@click.option(
    "--image-size",
    type=WholeNumber(min=8),
    metavar="S",
    help="Edge of the network's input in pixels; default: the backbone's own.",
)
@resize_option
@head_options
@click.option(
    "--width",
    type=WholeNumber(min=1),
    metavar="W",
    help="Width of the head's hidden layer: a narrow one makes a smaller file; default: the "
    "recipe's.",
)
@click.option(
    "--refit",
    is_flag=True,
    help="Train the head once more, on the validation part too, for as many epochs as were best "
    "(docs/labels.md).",
)
@readout_option
@whole_network_options
@click.option(
    "--limit",
    type=WholeNumber(min=1),
    metavar="N",
    help="Fit on at most N labelled images; the held-out part comes on top.",
)
@training_seed_option
@click.option("--strict", is_flag=True, help="Refuse to start when an image is missing.")
@json_option
def command(
    labels: Path,
    images: Path,
    out: Path,
    attributes: tuple[str, ...] | None,
    image_column: str | None,
    backbone: str,
    weights: str,
    tap: str | None,
    image_size: int | None,
    resize: ResizePolicy,
    head: HeadOptions,
    width: int | None,
    refit: bool,
    readout: Readout | None,
    whole: WholeNetwork,
    limit: int | None,
    seed: int,
    strict: bool,
    json: bool,
) -> int:
    """Train a boost head on the label table LABELS.

    The table (CSV, JSONL or Parquet) has one row per image: its file name in the column file_name
    (or id, as in the Kaggle fashion set, or --image-column) and its labels. Blank cells are unknown
    and left out. An interrupted training goes on when the same command is run again.

    With --finetune the backbone is trained as well, from random weights (--weights none) or those
    it has; that pays with tens of thousands of images, and takes hours on a CPU, minutes on a GPU.

    \b
    Example:
      boost-edge train labels.csv --images photos/ --out runs/shop
      boost-edge train labels.csv --images photos/ --out runs/own --weights none \\
        --backbone resnet18_w40 --finetune --teacher runs/shop
    """
    whole.check()
    if readout == "raw" and (width or refit or head.given()):
        raise UsageError(
            "--recipe, --width, --components, --contrast and --refit belong to the head, and "
            "--readout raw trains none"
        )
    with need_train_extra("training"):
        from boost_edge.export.train import TrainSettings, train
        from boost_edge.models.backbones import parse_taps

    recipe = head.make()
    settings = TrainSettings(
        attributes=attributes,
        image_column=image_column,
        backbone=backbone,
        weights=weights,
        taps=None if tap is None else parse_taps(tap, backbone),
        image_size=image_size,
        resize=resize,
        recipe=dataclasses.replace(
            recipe, width=width or recipe.width, refit=refit or recipe.refit
        ),
        finetune=whole.recipe(weights),
        teachers=whole.teacher,
        limit=limit,
        seed=seed,
        strict=strict,
        readout=readout or DEFAULT_READOUT,
    )
    with Bars() as bars:
        report = train(labels, images=images, out=out, settings=settings, progress=bars)
    _warn_of_gaps(report)
    if json:
        print_json(_facts(report))
    else:
        click.echo(_as_text(report))
    return ExitCode.SKIPPED if report.missing or report.skipped else ExitCode.FINE


def _warn_of_gaps(report: TrainReport) -> None:
    """Name what was left out; the JSON has the whole list."""
    if report.duplicates:
        warn(f"{counted(report.duplicates, 'row')} of the table repeated, counted once")
    warn_of_gaps(report.missing, report.skipped)
    if report.known:
        warn(
            f"{counted(report.known, 'image')} left out of the test part, as the network or the "
            "teacher that this training begins with was trained on them: give both trainings the "
            "same --seed, or mark the parts in a column split"
        )


def _as_text(report: TrainReport) -> str:
    record = report.record
    lines = [
        f"{record.backbone} {'+'.join(record.taps)}, {record.features} features; "
        f"weights {printable(record.weights.name)}",
        f"images: {counts(record.training.images)}",
    ]
    if record.finetune:
        epochs = counted(len(record.finetune), "epoch")
        minutes = sum(each.seconds for each in record.finetune) / 60
        loss = record.finetune[-1].val_loss
        lines.append(
            f"whole network: {epochs}, {minutes:.0f} minutes"
            + ("" if loss is None else f", validation loss {loss:.3f}")
        )
    if record.losses is not None:
        lines.append(
            f"head: width {record.head_width}, recipe {record.training.recipe}, "
            f"epoch {record.losses.best_epoch + 1} of {record.training.epochs} kept"
            + _once_more(record)
        )
    if record.quality:
        lines += ["", *quality_table(record.quality), ""]
    folder = printable(shlex.quote(str(report.folder)))
    lines.append(f"next: boost-edge export {folder} --out model.onnx")
    return "\n".join(lines)


def _once_more(record: RunRecord) -> str:
    """Say that the head was trained a second time, if it was."""
    if not record.training.refit:
        return ""
    images = record.training.images
    return f", then trained once more, on {counted(images['train'] + images['val'], 'image')}"


def _facts(report: TrainReport) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    record = report.record
    return {
        "run": str(report.folder),
        "backbone": record.backbone,
        "taps": record.taps,
        "features": record.features,
        "readout": record.readout,
        "images": record.training.images,
        "epochs": record.training.epochs,
        "refit": record.training.refit,
        "quality": {
            each.name: {
                "images": each.images,
                "accuracy": each.accuracy,
                "majority": each.majority,
                "calibration_error": each.calibration_error,
            }
            for each in record.quality
        },
        "missing": report.missing,
        "duplicates": report.duplicates,
        "known": report.known,
        "skipped": skipped_objects(report.skipped),
    }
