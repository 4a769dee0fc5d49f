"""``boost-edge bench overhead``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options, seconds_option
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import table, wrapped

__all__ = ["overhead"]


@click.command("overhead")
@click.option(
    "--backbones",
    callback=names,
    default="resnet18+boost",
    show_default=True,
    metavar="A,B|none",
    help="Architectures to measure, with random weights, as for bench latency.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="A model file to measure beside them; may be repeated.",
)
@count_option(
    "--gallery-images", default=100_000, text="Drawn vectors in the gallery that is searched."
)
@count_option("--files", default=256, text="Photos of one megapixel that are indexed at once.")
@count_option(
    "--blocks", default=10, text="Turns that each stage has, interleaved with all others."
)
@seconds_option("stage")
@count_option("--cold-starts", default=15, text="Fresh processes for each cold start.")
@count_option(
    "--seed",
    default=0,
    least=0,
    text="Decides weights, pictures, vectors and the order of the turns.",
)
@result_options
def overhead(
    backbones: tuple[str, ...],
    model: tuple[Path, ...],
    gallery_images: int,
    files: int,
    blocks: int,
    seconds: float,
    cold_starts: int,
    seed: int,
    out: Path | None,
    json: bool,
) -> int:
    """Measure what is spent around the network: in queries, in indexing, at the start.

    Beside it stand yardsticks of the machine and what is to be reached. Nothing else should run
    meanwhile; with a gallery of 100,000 images, most of the time goes into its search graph. Needs
    the extra train.

    \b
    Example:
      boost-edge bench overhead --model model.onnx --out overhead.json
      boost-edge bench overhead --backbones none --model model.onnx \\
        --gallery-images 20000
    """
    from boost_edge.bench.overhead import measure_overhead
    from boost_edge.bench.overhead_plan import OverheadPlan
    from boost_edge.runtime.process_limits import available_threads

    plan = OverheadPlan(
        backbones=() if backbones == ("none",) else backbones,
        models=model,
        # On one core these are one number.
        threads=tuple(dict.fromkeys((1, available_threads()))),
        gallery_images=gallery_images,
        files=files,
        blocks=blocks,
        seconds=seconds,
        starts=cold_starts,
        seed=seed,
    )
    with need_train_extra("bench overhead"), Bars() as bars:
        result = measure_overhead(plan, progress=bars)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    targets = result["targets"]
    title = (
        f"around the network, a photo of {result['protocol']['photo'][0]} x "
        f"{result['protocol']['photo'][1]} pixels, a gallery of "
        f"{result['protocol']['gallery_images']:,} images"
    )
    rows: list[list[str]] = []
    for each in result["systems"]:
        start, indexing = each["cold_start"], each["indexing"]
        for query in each["query"]:
            what = f"query, {query['threads']} threads: beyond the network"
            found = f"{query['estimate']:.1%} ({query['low']:.1%} to {query['high']:.1%})"
            rows.append([each["system"], what, found, f"{targets['query_share']:.0%}"])
        ratio = "no graph" if start["ratio"] is None else f"{start['ratio']:.2f}"
        peak = start["peak_memory_bytes"]
        memory = "not known" if peak is None else f"{peak / 1e6:.0f} MB"
        wanted = f"{targets['indexing_efficiency']:.2f}"
        rows += [
            [each["system"], "indexing: share of decode and network added",
             f"{indexing['efficiency']:.2f}", wanted],
            [each["system"], "indexing: of both with all threads at work",
             f"{indexing['busy_efficiency']:.2f}", wanted],
            [each["system"], "cold start: times a bare script", ratio,
             f"{targets['cold_start_ratio']:g}"],
            [each["system"], "cold start: peak memory", memory,
             f"{targets['peak_memory_bytes'] / 1e6:.0f} MB"],
        ]  # fmt: skip
    header = ["system", "what", "measured", "target"]
    return [*wrapped(title, indent=""), "", *table(header, rows, right=(2, 3), squeeze=0)]
