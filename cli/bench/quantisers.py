"""``boost-edge bench quantisers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options, seconds_option
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, max_loss_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import megabytes, table, wrapped
from boost_edge.runtime.manifest import READOUTS

__all__ = ["quantisers"]


@click.command("quantisers")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--readout",
    type=click.Choice(READOUTS),
    help="What the embedding is; default: what the run was trained for.",
)
@max_loss_option
@count_option("--threads", default=1, text="Threads of the network.")
@count_option("--blocks", default=10, text="Turns that each row has, interleaved with all others.")
@seconds_option("row")
@count_option("--seed", default=0, least=0, text="Decides the order of the turns.")
@result_options
def quantisers(run: Path, out: Path | None, json: bool, **options: Any) -> int:
    """Compare 8 bits by onnxruntime's tools, as export makes them, with those by NNCF.

    RUN is a training run: its training images calibrate both, its held-out images judge them, and
    onnxruntime and OpenVINO run both in turns. Nothing else should run meanwhile. Needs the extras
    train and bench.

    \b
    Example:
      boost-edge bench quantisers runs/shop --out quantisers.json
    """
    with need_train_extra("bench quantisers"), Bars() as bars:
        from boost_edge.bench.quantisers import QuantisersPlan, measure_quantisers

        result = measure_quantisers(QuantisersPlan(run=run, **options), progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    model = result["model"]
    title = (
        f"{model['backbone']}, {model['image_size']} px, {model['readout']}: "
        f"{result['held_out_images']} held-out images; times faster than fp32 in onnxruntime"
    )
    rows: list[list[str]] = []
    notes: list[str] = []
    for row in result["rows"]:
        if "unavailable" in row:
            notes += ["", *wrapped(f"{row['quantiser']}: {row['unavailable']}", indent="")]
            continue
        loss = row["loss"]
        lost = f"{loss['mean']:.2f} ({loss['low']:.2f} to {loss['high']:.2f})" if loss else ""
        speeds = [_speed(each) for each in row["runtimes"].values()]
        size = megabytes(row["bytes"])
        rows.append([row["quantiser"], f"{row['map10']:.1f}", lost, size, *speeds])
    header = ["quantiser", "mAP@10", "lost (95%)", "size", "onnxruntime", "openvino"]
    body = table(header, rows, right=(1, 2, 3, 4, 5), squeeze=0)
    return [*wrapped(title, indent=""), "", *body, *notes]


def _speed(found: dict[str, Any]) -> str:
    if "unavailable" in found:
        return "not measured"
    ratio = found["times_faster"]
    return f"{ratio['estimate']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
