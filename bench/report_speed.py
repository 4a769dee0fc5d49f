"""The report's sections on speed: quality against latency, the stages of a query, and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.report_blocks import (
    Block,
    Cell,
    Code,
    Figure,
    Paragraph,
    Table,
    words,
)
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_plots import frontier, stages
from boost_edge.bench.report_words import NONE, network, number, section_of, sourced

__all__ = ["cost_section", "find_row", "pareto", "stages_section", "tradeoff_section"]

_STAGES = ("decode", "preprocess", "infer", "search")
_Row = Mapping[str, Any]


def find_row(latency: _Row, system: str, stage: str, threads: int | None = None) -> _Row | None:
    """Return the row of a stage at batch 1 in our runtime, with the fewest threads measured."""
    wanted = min(latency["protocol"]["threads"]) if threads is None else threads
    for row in latency["rows"]:
        told = (row["system"], row["stage"], row["threads"], row["batch"], row["runtime"])
        if told == (system, stage, wanted, 1, "onnxruntime") and "unavailable" not in row:
            found: _Row = row
            return found
    return None


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that none surpasses: no other is as fast and better, or as good and faster.

    A point is (milliseconds, quality); they come back from the fastest on.
    """
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


@section_of("latency", "Quality against latency", "tradeoff", what="Latency was")
def tradeoff_section(evidence: Evidence) -> list[Block]:
    """Return pictures of quality against latency: ours, and the paper's quality on our clock."""
    sources = evidence.of("latency")
    blocks: list[Block] = []
    for latency in sources:
        for name, caption, what, points in (
            ("tradeoff-measured", "Measured quality against measured latency",
             "Quality from the quality results here, of the same network, taps and readout.",
             _measured_points(latency.result, evidence.of("quality"))),
            ("tradeoff-paper", "The paper's quality (quoted) against our measured latency",
             "mAP@10 is the paper's, published for ImageNet weights and not measured here; latency "
             "is ours, on the same architectures with random weights: it does not depend on them.",
             _paper_points(latency.result)),
        ):  # fmt: skip
            if points:
                blocks += [Paragraph(text=(what,)), _tradeoff(name, caption, points)]
        blocks.append(sourced(latency))
    if len(blocks) == len(sources):
        text = "No system of the latency results is one that quality is known of."
        blocks.insert(0, Paragraph(text=(text,), tone="absent"))
    return blocks


_Point = tuple[str, str, float, float]


def _measured_points(latency: _Row, qualities: Sequence[Source]) -> list[_Point]:
    points: dict[str, _Point] = {}
    for system in latency["systems"]:
        query = find_row(latency, system["system"], "query")
        for source in qualities:
            result = source.result
            # Where resize policies are compared, the first row need not be the default's.
            same = (result["backbone"], result["taps"]) == (system["backbone"], system["taps"])
            same = same and len({row["resize"] for row in result["rows"]}) == 1
            for row in result["rows"] if same and query else ():
                if row["readout"] != system["readout"] or "unavailable" in row:
                    continue
                if row["recipe"] in ("none", "boost") and query is not None:
                    raw = row["readout"] == "raw"
                    name = network(system["backbone"], system["taps"]) + ("" if raw else " + boost")
                    colour = "raw" if raw else "attributes"
                    points.setdefault(name, (name, colour, query["p50_ms"], row["map10"]))
    return list(points.values())


def _paper_points(latency: _Row) -> list[_Point]:
    points: list[_Point] = []
    for system in latency["systems"]:
        # Whole networks only: the paper cuts none.
        figure = PAPER_FIGURES.get(str(system["system"]).removesuffix("+boost"))
        query = find_row(latency, system["system"], "query")
        if figure is not None and query is not None:
            raw = system["readout"] == "raw"
            name = network(system["backbone"]) + ("" if raw else " + boost")
            quality = figure.raw if raw else figure.boosted
            points.append((name, "raw" if raw else "attributes", query["p50_ms"], quality))
    return points


def _tradeoff(name: str, caption: str, points: list[_Point]) -> Figure | Table:
    """Return the picture, or the table alone where there is nothing to compare."""
    best = pareto([(x, y) for *_, x, y in points])
    table = Table(
        caption=caption,
        header=("system", "query p50, ms", "mAP@10", "Pareto front"),
        rows=tuple(
            (system, number(x, 1), number(y), "yes" if (x, y) in best else "no")
            for system, _, x, y in points
        ),
        right=(1, 2),
    )
    if len(points) == 1:
        return table
    description = "; ".join(f"{system}: {x:,.1f} ms, mAP@10 {y:.2f}" for system, _, x, y in points)
    unsurpassed = ", ".join(system for system, _, x, y in points if (x, y) in best)
    description += f". Dashed: the Pareto front, which none surpasses: {unsurpassed}."
    across = "whole query at batch 1, fewest threads, p50 in ms (log scale)"
    svg = frontier(
        points, best, across=across, axis="mAP@10", title=caption, description=description
    )
    return Figure(name=name, caption=caption, description=description, svg=svg, table=table)


@section_of("latency", "Stages of a query", "stages", what="Latency was")
def stages_section(evidence: Evidence) -> list[Block]:
    """Return where the time of a query goes, and the network in every runtime."""
    blocks: list[Block] = []
    for source in evidence.of("latency"):
        blocks += [*_breakdown(source), _runtimes(source), _systems(source)]
        load = ", ".join(f"{each:.2f}" for each in source.result["load_average_before"])
        text = f"Load of the machine before (1, 5, 15 minutes): {load}. Only ratios carry over."
        blocks += [Paragraph(text=(text,)), sourced(source)]
    return blocks


def _breakdown(source: Source) -> list[Block]:
    latency = source.result
    rows: list[tuple[str, list[float]]] = []
    for system in latency["systems"]:
        found = [find_row(latency, system["system"], stage) for stage in _STAGES]
        values = [row["p50_ms"] for row in found if row is not None]
        if len(values) == len(_STAGES):
            rows.append((system["system"], values))
    if not rows:
        return []
    threads = min(latency["protocol"]["threads"])
    caption = f"Where the time of a query goes, {threads} thread{'s' if threads > 1 else ''}"
    description = "; ".join(
        f"{name}: "
        + ", ".join(f"{stage} {ms:,.1f} ms" for stage, ms in zip(_STAGES, values, strict=True))
        for name, values in rows
    )
    return [
        Figure(
            name="stages",
            caption=caption,
            description=f"{description}.",
            svg=stages(rows, _STAGES, axis="p50 in ms", title=caption, description=description),
            table=Table(
                caption=f"{caption}, p50 in ms",
                header=("system", *_STAGES),
                rows=tuple((name, *(number(ms, 2) for ms in values)) for name, values in rows),
                right=(1, 2, 3, 4),
            ),
        )
    ]


def _runtimes(source: Source) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for place, row in enumerate(source.result["rows"]):
        if row["stage"] not in ("infer", "query"):
            continue
        start = (
            row["system"],
            row["stage"],
            row["runtime"],
            str(row["threads"]),
            str(row["batch"]),
        )
        link = words(source.link("rows", place))
        if "unavailable" in row:
            cells.append(
                (*start, NONE, NONE, NONE, NONE, words(f"not measured: {row['unavailable']}"))
            )
            continue
        ratio = row.get("ratio")
        cells.append(
            (
                *start,
                number(row["p50_ms"], 1),
                number(row["p90_ms"], 1),
                number(row["p99_ms"], 1),
                NONE if ratio is None
                else f"{ratio['estimate']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
                link,
            )
        )  # fmt: skip
    reference = source.result["reference"]["system"]
    return Table(
        caption="The network (infer) and the whole query, by runtime, threads and batch; ms a call",
        header=("system", "stage", "runtime", "threads", "batch", "p50", "p90", "p99",
                f"times {reference} (95%)", "row"),
        rows=tuple(cells),
        right=(3, 4, 5, 6, 7, 8),
    )  # fmt: skip


def _systems(source: Source) -> Table:
    latency = source.result
    rows: list[tuple[Cell, ...]] = []
    for each in latency["systems"]:
        peak = each["peak_memory_bytes"].get("query")
        start = latency["cold_starts"].get(f"query {each['system']}")
        rows.append(
            (
                each["system"], each["precision"], str(each["image_size"]), each["readout"],
                number(4 * each["dimensions"], 0),
                number(each["model_bytes"] / 1e6, 1),
                number(peak / 1e6, 0) if isinstance(peak, int) else NONE,
                NONE if start is None else number(start["p50_ms"], 0),
            )
        )  # fmt: skip
    return Table(
        caption="Size and start",
        header=("system", "precision", "px", "readout", "bytes an image", "model, MB",
                "peak memory of a query, MB", "cold start of a query, ms"),
        rows=tuple(rows),
        right=(2, 4, 5, 6, 7),
    )  # fmt: skip


@section_of("cost", "Cost", "cost", what="Cost was")
def cost_section(evidence: Evidence) -> list[Block]:
    """Return what queries and images cost, and when labelling has paid for itself."""
    blocks: list[Block] = []
    for source in evidence.of("cost"):
        result = source.result
        price = result["price"]
        dated = f" (list price of {price['as_of']}: check it)" if "as_of" in price else ""
        text = words(
            f"At ${price['usd_per_hour']:g} an hour for {price['name']}{dated}, on "
            f"{result['threads']} threads; {result['labelled_images']:,} images labelled at "
            f"${result['label_usd']:g} each (assumed). Compared with ", Code(result["against"]),
            "; the ratios do not depend on the price.",
        )  # fmt: skip
        blocks += [Paragraph(text=text), _costs(source), sourced(source)]
    return blocks


def _costs(source: Source) -> Table:
    return Table(
        caption="Cost of a million, and after how many queries labels have paid for themselves",
        header=("system", "$ a million queries", "times cheaper", "$ a million images indexed",
                "times cheaper", "labels, $", "pays after queries"),
        rows=tuple(
            (
                row["system"],
                number(row["usd_per_million_queries"]),
                number(row["times_cheaper_queries"], 1),
                number(row["usd_per_million_images"]),
                number(row["times_cheaper_images"], 1),
                number(row["labelling_usd"], 0),
                NONE if not row["boosted"]
                else "never" if row["break_even_queries"] is None
                else number(row["break_even_queries"], 0),
            )
            for row in source.result["rows"]
        ),
        right=(1, 2, 3, 4, 5, 6),
    )  # fmt: skip
