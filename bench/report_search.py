"""The report's sections on search among many images."""

from __future__ import annotations

from boost_edge.bench.report_blocks import Block, Cell, Paragraph, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_words import NONE, busy, number, p99, section_of, sourced

__all__ = ["crossover_section", "search_section"]


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
        blocks.append(sourced(source))
    return blocks


@section_of("crossover", "A scan or the graph", "crossover", what="A scan beside the graph was")
def crossover_section(evidence: Evidence) -> list[Block]:
    """Return from which size of a gallery on the graph is the faster one."""
    blocks: list[Block] = []
    for source in evidence.of("crossover"):
        blocks += [*_crossover(source), sourced(source)]
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
    result = source.result
    text = (
        f"Galleries of up to {result['exact_images']:,} images whose embeddings have at most "
        f"{result['exact_bytes'] / 2**20:.0f} MiB are searched exactly, larger ones through the "
        "graph. Here both search the same gallery: without a filter, with one that one in "
        f"{result['one_in']} images passes, and for the first time in a new process, with the most "
        f"memory that it held. {busy(result)}"
    )
    header = ("MB", "dimensions", "images", "scan", "graph", "filtered: scan", "graph",
              "first: scan", "graph", "memory, MB: scan", "graph")  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for each in result["points"]:
        pair = (each["scan"], each["graph"])
        rows.append(
            (
                f"{each['bytes'] / 1e6:.0f}", f"{each['dimensions']:,}", f"{each['rows']:,}",
                *(number(one["p50_ms"]) for one in pair),
                *(number(one["filtered_p50_ms"]) for one in pair),
                *(number(one["first_ms"], 0) for one in pair),
                *(number(one["peak_bytes"] / 1e6, 0) for one in pair),
            )
        )  # fmt: skip
    table = Table(
        caption="An exact scan and the graph: p50 in ms, and memory",
        header=header,
        rows=tuple(rows),
        right=tuple(range(len(header))),
    )
    return [Paragraph(text=(text,)), table]
