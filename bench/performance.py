"""The tables of ``docs/performance.md``, every figure from one result of ``bench overhead``.

``python -m boost_edge.bench.performance PAGE RESULT`` writes them anew into the page, between the
two lines that mark their place; what stands around them is written by hand and has no figures.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boost_edge.bench.results import read_result
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import ImageSpec
from boost_edge.runtime.reduction import reduction
from boost_edge.runtime.replace import replacing

__all__ = ["fill_page", "make_tables"]

_BEGIN = "<!-- tables: begin -->\n"
_END = "<!-- tables: end -->\n"
_CHANNELS = 3
_Row = Mapping[str, Any]


def fill_page(page: str, result: _Row) -> str:
    """Return the page with the tables of a result.

    Raises
    ------
    UsageError
        When the page does not mark their place.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise UsageError(f"the page has no lines {_BEGIN.strip()} and {_END.strip()}")
    return before + begin + make_tables(result) + end + after


def make_tables(result: _Row) -> str:
    """Return a result of ``bench overhead`` as Markdown."""
    machine, protocol = result["machine"], result["protocol"]
    load = ", ".join(f"{each:.1f}" for each in result["load_average_before"])
    width, height = protocol["photo"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {result['date']}; load before "
        f"(1, 5, 15 minutes): {load}. A JPEG of {width} x {height} pixels and "
        f"{result['photo_bytes']:,} bytes, a gallery of {protocol['gallery_images']:,} images.",
        "",
        *_yardsticks(result["limits"]),
    ]
    for system in result["systems"]:
        lines += ["", *_targets(system, result["targets"])]
        lines += ["", *_stages(system, result)]
    return "\n".join(lines) + "\n"


def _yardsticks(limits: _Row) -> list[str]:
    rows = [
        (
            f"operations a second of a large matrix product, {_threads(int(threads))}",
            f"{rate / 1e9:.1f} billion",
        )
        for threads, rate in limits["operations_per_second"].items()
    ]
    copied = limits["copied_bytes_per_second"] / 1e9
    rows.append((f"bytes a second copied, {_threads(1)}", f"{copied:.1f} GB"))
    return _table(("yardstick of the machine", "measured"), rows)


def _targets(system: _Row, targets: _Row) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for query in system["query"]:
        wanted = targets["query_share"]
        rows.append(
            (
                f"query beyond the session's run, {_threads(query['threads'])}",
                f"{query['estimate']:.1%} ({query['low']:.1%} to {query['high']:.1%})",
                f"at most {wanted:.0%}",
                _reached(query["estimate"] <= wanted),
            )
        )
    indexing, start = system["indexing"], system["cold_start"]
    wanted = targets["indexing_efficiency"]
    rows += [
        (
            f"indexing, {_threads(indexing['threads'])}: {indexing['images_per_second']:.1f} "
            f"images/s of {indexing[rate]:.1f}, {how}",
            f"{indexing[key]:.2f}",
            f"at least {wanted:g}",
            _reached(indexing[key] >= wanted),
        )
        for key, rate, how in (
            ("efficiency", "added_images_per_second", "costs of one thread alone"),
            ("busy_efficiency", "busy_images_per_second", "costs with all threads at work"),
        )
    ]
    if start["ratio"] is not None:
        wanted = targets["cold_start_ratio"]
        rows.append(
            (
                f"cold start: {start['query']['p50_ms']:.0f} ms, the bare script "
                f"{start['bare']['p50_ms']:.0f} ms",
                f"{start['ratio']:.2f}",
                f"at most {wanted:g}",
                _reached(start["ratio"] <= wanted),
            )
        )
    peak = start["peak_memory_bytes"]
    if peak is not None:
        wanted = targets["peak_memory_bytes"]
        rows.append(
            (
                "peak memory of a query",
                f"{peak / 1e6:.0f} MB",
                f"at most {wanted / 1e6:.0f} MB",
                _reached(peak <= wanted),
            )
        )
    decode = "JPEGs in part" if system["decode"] else "JPEGs whole"
    title = f"`{system['system']}`, {system['image_size']} pixels, {decode}"
    return [f"**{title}**", "", *_table(("what", "measured", "target", "reached"), rows)]


def _stages(system: _Row, result: _Row) -> list[str]:
    limits, photo = result["limits"], result["protocol"]["photo"]
    # Each policy reads all of the picture but for crop, which is near enough for a yardstick.
    spec = ImageSpec(size=system["image_size"], resize="crop", decode=system["decode"])
    whole = _CHANNELS * photo[0] * photo[1]
    part = whole // reduction(photo[0], photo[1], spec) ** 2
    bandwidth = limits["copied_bytes_per_second"]
    rows: list[tuple[str, ...]] = []
    for row in system["rows"]:
        yardsticks = {
            "session": system["operations"] / limits["operations_per_second"][str(row["threads"])],
            "decode": part / bandwidth,
            "decode-whole": whole / bandwidth,
            "resize": part / bandwidth,
        }
        yardstick = yardsticks.get(row["stage"])
        rows.append(
            (
                row["stage"],
                str(row["threads"]),
                f"{row['p50_ms']:.2f}",
                f"{row['p90_ms']:.2f}",
                "" if yardstick is None else f"{1e3 * yardstick:.2f}",
                "" if yardstick is None else f"{row['p50_ms'] / 1e3 / yardstick:.1f}",
            )
        )
    indexing = system["indexing"]
    per_image = (("decode and resize", "decode_ms"), ("network", "infer_ms"))
    costs = ", ".join(
        f"{name} {indexing[key]:.2f} ms (all threads at work: {indexing['busy_' + key]:.2f})"
        for name, key in per_image
    )
    header = ("stage", "threads", "p50, ms", "p90, ms", "yardstick, ms", "times that")
    return [
        *_table(header, rows),
        "",
        f"Indexing, an image on one thread in batches of {indexing['batch']}: {costs}; putting the "
        f"batch together {indexing['assemble_ms']:.3f} ms.",
    ]


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


def _reached(yes: bool) -> str:
    return "yes" if yes else "**no**"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'|'.join('---' for _ in header)}|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _main(page: Path, result: Path) -> None:
    text = fill_page(page.read_text(encoding="utf-8"), read_result(result, kind="overhead"))
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
