"""The report's section on search among many images."""

from __future__ import annotations

from boost_edge.bench.report_blocks import Block, Cell, Paragraph, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_words import NONE, number, p99, section_of, sourced

__all__ = ["search_section"]


@section_of("search", "Search at scale", "search", what="Search was")
def search_section(evidence: Evidence) -> list[Block]:
    """Return our gallery beside other libraries at equal recall, with filters, and small ones."""
    blocks: list[Block] = []
    for source in evidence.of("search"):
        result = source.result
        data = result["data"]
        text = (
            f"{data['rows']:,} {data['kind']} vectors of {data['dimensions']} numbers, "
            f"{result['queries']:,} queries, searched with one thread, engines taking turns; every "
            f"engine at the narrowest search whose recall@{result['k']} against an exact one "
            f"reaches {result['target_recall']:g}. Built with as many threads as the table says: "
            "compare processor seconds."
        )
        blocks += [Paragraph(text=(text,)), _engines(source)]
        if "filters" in result:
            blocks.append(_filters(source))
        if "crossover" in result:
            blocks += _crossover(source)
        blocks.append(sourced(source))
    return blocks


def _engines(source: Source) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in source.result["engines"]:
        search, built, opened = each["search"], each["build"], each["open"]
        reached = "" if each["reaches_target"] else " (not reached)"
        rows.append(
            (
                each["engine"], f"{search['recall']:.4f}{reached}", number(search["p50_ms"]),
                number(search["p99_ms"]),
                number(opened["open_ms"] + opened["first_search_ms"], 0),
                str(built.get("threads", NONE)),
                number(built["wall_seconds"], 0), number(built["cpu_seconds"], 0),
                number(built["bytes"] / 1e9), number(opened["peak_bytes"] / 1e9),
            )
        )  # fmt: skip
    return Table(
        caption="Engines at equal recall",
        header=("engine", "recall", "p50, ms", "p99, ms", "open and first search, ms",
                "build, threads", "build, s",
                "build, CPU s", "on disk, GB", "memory, GB"),
        rows=tuple(rows),
        right=(1, 2, 3, 4, 5, 6, 7, 8, 9),
    )  # fmt: skip


def _filters(source: Source) -> Table:
    return Table(
        caption="Our gallery through a filter",
        header=("passes", "chosen", "recall", "lowest recall", "p50, ms", "p99, ms", "first, ms"),
        rows=tuple(
            (
                f"1 in {each['one_in']:,}",
                "by cluster" if each["follows_clusters"] else "by chance",
                f"{each['recall']:.4f}", f"{each['lowest_recall']:.4f}",
                number(each["p50_ms"]), p99(each, 2), number(each["first_ms"], 0),
            )
            for each in source.result["filters"]
        ),
        right=(2, 3, 4, 5, 6),
    )  # fmt: skip


def _crossover(source: Source) -> list[Block]:
    crossover = source.result["crossover"]
    faster = crossover["graph_faster_from"]
    start = "at no size measured" if faster is None else f"from {faster:,} images on"
    text = (
        f"Galleries of up to {crossover['exact_limit']:,} images are searched exactly; here the "
        f"graph is faster {start}."
    )
    table = Table(
        caption="An exact scan and the graph, p50 in ms",
        header=("images", "scan", "graph"),
        rows=tuple(
            (f"{each['rows']:,}", number(each["scan_p50_ms"]), number(each["graph_p50_ms"]))
            for each in crossover["points"]
        ),
        right=(0, 1, 2),
    )
    return [Paragraph(text=(text,)), table]
