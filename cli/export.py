"""``boost-edge export``."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import json_option, max_loss_option, readout_option
from boost_edge.cli.progress import show_step
from boost_edge.cli.ranges import WholeNumber
from boost_edge.cli.render import megabytes, print_json, printable, quantisation_facts
from boost_edge.runtime.manifest import PRECISIONS, Precision, Readout

__all__ = ["command"]


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The ONNX file to write, such as model.onnx.",
)
@click.option(
    "--image-size",
    type=WholeNumber(min=8),
    metavar="S",
    help="Edge of the network's input in pixels; default: as trained.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="fp16: half the file, the same speed. int8: smaller still and faster, or refused.",
)
@max_loss_option
@readout_option
@json_option
def command(
    run: Path,
    out: Path,
    image_size: int | None,
    precision: Precision,
    max_loss: float,
    readout: Readout | None,
    json: bool,
) -> int:
    """Export the training run RUN as one self-describing ONNX file.

    Backbone, head, readout and normalisation become one graph; the file is written only if
    onnxruntime reproduces torch on held-out images. With --precision int8 the backbone computes in
    8 bits: written only if that is faster on this machine and loses at most --max-loss, else the
    exit code is 5.

    \b
    Example:
      boost-edge export runs/shop --out model.onnx
      boost-edge export runs/shop --out fast.onnx --precision int8
    """
    with need_train_extra("exporting"):
        from boost_edge.export.convert import export_model

    manifest = export_model(
        run,
        out,
        readout=readout,
        image_size=image_size,
        precision=precision,
        max_loss=max_loss,
        progress=show_step,
    )
    parity = manifest.parity
    if json:
        print_json({"model": str(out), "manifest": dataclasses.asdict(manifest)})
        return ExitCode.FINE
    click.echo(
        f"{printable(str(out))}: {megabytes(out.stat().st_size)}, {manifest.precision}, "
        f"{manifest.image.size} px, "
        f"{manifest.dimensions} dimensions ({manifest.readout})"
    )
    if parity is not None:
        click.echo(
            f"parity with torch on {parity.images} images: min cosine {parity.min_cosine:.7f}, "
            f"max difference {parity.max_abs_difference:.1e}, "
            f"top-10 overlap {parity.top10_overlap:.3f}"
        )
    if manifest.quantisation is not None:
        for name, value in quantisation_facts(manifest.quantisation):
            click.echo(printable(f"{name}: {value}"))
    click.echo(f"next: boost-edge index PHOTOS --model {printable(shlex.quote(str(out)))}")
    return ExitCode.FINE
