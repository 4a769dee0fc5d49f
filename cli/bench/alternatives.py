"""``boost-edge bench alternatives``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import megabytes, table, wrapped
from boost_edge.runtime.errors import UsageError

__all__ = ["alternatives"]


@click.command("alternatives")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Model file of ours and of fastembed; default: ResNet-18 + boost with random weights.",
)
@count_option("--images", default=200, text="Photos that are drawn, indexed and searched.")
@click.option(
    "--threads",
    callback=names,
    default="1,all",
    show_default=True,
    metavar="N,all",
    help="Processors that a contender may use.",
)
@count_option(
    "--rounds", default=5, text="Turns that each contender has, interleaved with all others."
)
@click.option(
    "--python",
    multiple=True,
    metavar="CONTENDER=PATH",
    help="Python of the environment that a contender runs in, whose size is then told; may be "
    "repeated. Default: this one.",
)
@count_option(
    "--seed", default=0, least=0, text="Decides weights, photos and the order of the turns."
)
@result_options
def alternatives(out: Path | None, json: bool, **options: Any) -> int:
    """Compare with what a user would write by hand, and with fastembed.

    From a folder of photos to hits: images indexed a second, a query's time, one query in a new
    process from start to exit, memory, and the size of environments. By hand are torchvision's
    ResNet-18 with numpy or faiss. Every figure is of new processes that take turns; a contender
    that is not installed gets a row that says so. About ten minutes on two cores, with nothing else
    running.

    \b
    Example:
      boost-edge bench alternatives --out alternatives.json
      boost-edge bench alternatives --python fastembed=other/bin/python \\
        --python boost-edge=base/bin/python
    """
    from boost_edge.bench.alternatives import AlternativesPlan, measure_alternatives
    from boost_edge.runtime.process_limits import available_threads

    most = available_threads()
    threads = [most if each == "all" else _number(each) for each in options["threads"]]
    plan = AlternativesPlan(
        model=options["model"],
        images=options["images"],
        threads=tuple(dict.fromkeys(threads)),
        rounds=options["rounds"],
        environments=dict(_python(each) for each in options["python"]),
        seed=options["seed"],
    )
    with need_train_extra("comparing with alternatives"), Bars() as bars:
        result = measure_alternatives(plan, progress=bars)
    return finish(result, out, json, _text(result))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"--threads: {text!r} is no number from 1")
    return int(text)


def _python(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not path:
        raise UsageError(f"--python: {text!r}: write CONTENDER=PATH")
    return name, Path(path)


def _text(result: dict[str, Any]) -> list[str]:
    cells: list[list[str]] = []
    for row in result["rows"]:
        if "unavailable" in row:
            continue
        size = result["environments"][row["contender"]]["installed_bytes"]
        ratios: dict[str, Any] = row["times_ours"] or {}
        cells.append(
            [
                row["contender"],
                str(row["threads"]),
                f"{row['images_per_second']:.1f}",
                _ratio(ratios.get("index")),
                f"{row['query_p50_ms']:.1f}",
                _ratio(ratios.get("warm")),
                f"{row['cold_p50_ms']:.0f}",
                _ratio(ratios.get("cold")),
                _size(row["query_peak_bytes"]),
                _size(size),
            ]
        )
    header = ["contender", "threads", "images/s", "time", "query, ms", "time", "cold, ms", "time",
              "memory", "installed"]  # fmt: skip
    absent = [
        f"{row['contender']}: {row['unavailable']}"
        for row in result["rows"]
        if "unavailable" in row
    ]
    lines = ["time: how many times that of boost-edge, and its 95% interval over rounds", ""]
    lines += table(header, cells, right=tuple(range(1, len(header))), squeeze=0)
    return lines + [line for each in dict.fromkeys(absent) for line in wrapped(each, indent="")]


def _size(value: int | None) -> str:
    return "" if value is None else megabytes(value)


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio['estimate']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
