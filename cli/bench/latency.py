"""``boost-edge bench latency``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.bench.latency_text import latency_text
from boost_edge.cli.bench.options import finish, result_options, seconds_option
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.runtime.errors import UsageError

if TYPE_CHECKING:
    from boost_edge.bench.latency_plan import LatencyPlan

__all__ = ["latency"]

_NONE = ("none",)
_ALL = "all"


@click.command("latency")
@click.option(
    "--backbones",
    callback=names,
    default="resnet18+boost,vit_b_16",
    show_default=True,
    metavar="A,B|none",
    help="Architectures to time, with random weights; +boost adds a head, @layer3+layer4 taps.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="A model file to time beside them; may be repeated.",
)
@click.option(
    "--runtimes",
    callback=names,
    default="onnxruntime,torch,torch-compile,openvino",
    show_default=True,
    metavar="A,B",
    help="Runtimes of the network; one that is absent gets a row that says so.",
)
@click.option(
    "--reference",
    metavar="SYSTEM",
    help="The backbone or model file's name that ratios refer to; default: the first.",
)
@click.option(
    "--threads",
    callback=names,
    default="1,all",
    show_default=True,
    metavar="N,all",
    help="Threads of the network; all: one for each core that may be used.",
)
@click.option(
    "--batches",
    callback=names,
    default="1,8,32",
    show_default=True,
    metavar="1,N",
    help="Batch sizes; those above 1 (offline) with the most threads.",
)
@click.option(
    "--image-size",
    type=WholeNumber(min=8),
    metavar="S",
    help="Edge of the network's input in pixels; default: the backbone's own.",
)
@count_option(
    "--gallery-images", default=20_000, text="Drawn vectors in the gallery that is searched."
)
@count_option(
    "--blocks",
    default=10,
    text="Turns that each row has, interleaved with all others; offline has at most 3.",
)
@seconds_option("row")
@count_option("--samples", default=200, text="Most calls of each row, over all its turns.")
@count_option(
    "--cold-starts",
    default=7,
    least=0,
    text="Fresh processes for each cold start; 0: no cold start, no peak memory.",
)
@click.option(
    "--scenarios",
    callback=names,
    default="single-stream,offline,server",
    show_default=True,
    metavar="A,B|none",
    help="MLPerf-style scenarios to run through MLCommons' load generator.",
)
@click.option(
    "--scenario-seconds",
    type=RealNumber(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="X",
    help="Shortest time under load; far below MLPerf's rules.",
)
@click.option(
    "--server-bound",
    type=RealNumber(min=0, min_open=True),
    default=1000.0,
    show_default=True,
    metavar="MS",
    help="Milliseconds that 99% of the server's answers must keep to.",
)
@count_option(
    "--seed",
    default=0,
    least=0,
    text="Decides weights, pictures, vectors and the order of the turns.",
)
@result_options
def latency(out: Path | None, json: bool, **options: Any) -> int:
    """Time every stage of a query, in every runtime, side by side in one run.

    The real architectures with random weights, for time does not depend on them. Nothing else
    should run on the machine meanwhile; it takes about a quarter of an hour.

    \b
    Example:
      boost-edge bench latency --out latency.json
      boost-edge bench latency --backbones none --model model.onnx \\
        --runtimes onnxruntime
      boost-edge bench latency --backbones resnet50+boost,vit_b_16 --threads 4
    """
    from boost_edge.bench.latency import measure_latency

    with need_train_extra("timing backbones (all but --backbones none)"), Bars() as bars:
        result = measure_latency(_plan(options), progress=bars)
    return finish(result, out, json, latency_text(result))


def _plan(options: dict[str, Any]) -> LatencyPlan:
    from boost_edge.bench.latency_plan import LatencyPlan
    from boost_edge.bench.scenarios import Load
    from boost_edge.runtime.process_limits import available_threads

    most = available_threads()
    threads = [most if each == _ALL else _number(each, "--threads") for each in options["threads"]]
    return LatencyPlan(
        backbones=() if options["backbones"] == _NONE else options["backbones"],
        models=options["model"],
        runtimes=options["runtimes"],
        reference=options["reference"],
        # On one core "1,all" is one number.
        threads=tuple(dict.fromkeys(threads)),
        batches=tuple(_number(each, "--batches") for each in options["batches"]),
        image_size=options["image_size"],
        gallery_images=options["gallery_images"],
        blocks=options["blocks"],
        seconds=options["seconds"],
        most=options["samples"],
        starts=options["cold_starts"],
        scenarios=() if options["scenarios"] == _NONE else options["scenarios"],
        load=Load(
            seconds=options["scenario_seconds"],
            bound_ms=options["server_bound"],
            seed=options["seed"],
        ),
        seed=options["seed"],
    )


def _number(text: str, option: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"{option}: {text!r} is no number from 1")
    return int(text)
