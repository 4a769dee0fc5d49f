"""``boost-edge export``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import json_option, readout_option
from boost_edge.cli.render import megabytes
from boost_edge.runtime.manifest import Readout

__all__ = ["command"]


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The ONNX file to write, such as model.onnx.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=8),
    metavar="S",
    help="Edge of the network's input in pixels; default: as trained.",
)
@readout_option
@json_option
def command(
    run: Path, out: Path, image_size: int | None, readout: Readout | None, as_json: bool
) -> int:
    """Export the training run RUN as one self-describing ONNX file.

    Backbone, head, readout and normalisation become one graph; the file is written only if
    onnxruntime reproduces torch on held-out images.

    \b
    Example:
      boost-edge export runs/shop --out model.onnx
    """
    with need_train_extra("exporting"):
        from boost_edge.export.convert import export_model

    manifest = export_model(
        run,
        out,
        readout=readout,
        image_size=image_size,
        progress=lambda step: click.echo(f"{step} ...", err=True),
    )
    parity = manifest.parity
    if as_json:
        click.echo(
            json.dumps(
                {"model": str(out), "manifest": json.loads(manifest.to_json())},
                indent=2,
                ensure_ascii=False,
            )
        )
        return ExitCode.FINE
    click.echo(
        f"{out}: {megabytes(out.stat().st_size)}, {manifest.image.size} px, "
        f"{manifest.dimensions} dimensions ({manifest.readout})"
    )
    if parity is not None:
        click.echo(
            f"parity with torch on {parity.images} images: min cosine {parity.min_cosine:.7f}, "
            f"max difference {parity.max_abs_difference:.1e}, "
            f"top-10 overlap {parity.top10_overlap:.3f}"
        )
    click.echo(f"next: boost-edge index PHOTOS --model {out}")
    return ExitCode.FINE
