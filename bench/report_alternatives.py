"""The report's section on what a user would write by hand, and fastembed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.report_blocks import Block, Cell, Paragraph, Section, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_words import NONE, number, ratio_interval, sourced

__all__ = ["alternatives_section"]


def alternatives_section(evidence: Evidence) -> Section:
    """Return each contender's figures, from a folder of photos to hits."""
    blocks: list[Block] = []
    for source in evidence.of("alternatives"):
        protocol = source.result["protocol"]
        what = "; ".join(f"{name}: {said}" for name, said in source.result["contenders"].items())
        text = (
            f"{protocol['images']:,} drawn photos of {protocol['photo'][0]} x "
            f"{protocol['photo'][1]} pixels, {protocol['rounds']} rounds in turns, every figure of "
            f"new processes. {what}. Ratios are times those of boost-edge, with "
            f"{ratio_interval(source.result)}."
        )
        blocks += [Paragraph(text=(text,)), _figures(source), sourced(source)]
    return Section(
        title="Beside what a user would write", anchor="alternatives", blocks=tuple(blocks)
    )


def _figures(source: Source) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in source.result["rows"]:
        start = (row["contender"], str(row["threads"]))
        if "unavailable" in row:
            rows.append((*start, f"not measured: {row['unavailable']}", *[NONE] * 7))
            continue
        ratios: dict[str, Any] = row["times_ours"] or {}
        size = source.result["environments"][row["contender"]]["installed_bytes"]
        rows.append(
            (
                *start,
                number(row["images_per_second"], 1), _ratio(ratios.get("index")),
                number(row["query_p50_ms"], 1), _ratio(ratios.get("warm")),
                number(row["cold_p50_ms"], 0), _ratio(ratios.get("cold")),
                _megabytes(row["query_peak_bytes"]), _megabytes(size),
            )
        )  # fmt: skip
    return Table(
        caption="From photos to hits",
        header=("contender", "threads", "images/s", "indexing, ratio", "query p50, ms", "ratio",
                "cold query, ms", "ratio", "memory of a query, MB", "installed, MB"),
        rows=tuple(rows),
        right=tuple(range(1, 10)),
    )  # fmt: skip


def _ratio(ratio: Mapping[str, Any] | None) -> str:
    if ratio is None:
        return NONE
    return f"{ratio['estimate']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _megabytes(value: int | None) -> str:
    return NONE if value is None else number(value / 1e6, 0)
