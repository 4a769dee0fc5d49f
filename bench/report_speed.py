"""The report's sections on speed: the stages of a query, and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boost_edge.bench.prices import describe_price
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
from boost_edge.bench.report_plots import stages
from boost_edge.bench.report_words import (
    FEWEST_FOR_P99,
    NONE,
    number,
    p99,
    ratio_interval,
    section_of,
    sourced,
)

__all__ = ["cost_section", "decoding_caveat", "find_row", "stages_section"]

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


@section_of("latency", "Stages of a query", "stages", what="Latency was")
def stages_section(evidence: Evidence) -> list[Block]:
    """Return where the time of a query goes, and the network in every runtime."""
    blocks: list[Block] = []
    for source in evidence.of("latency"):
        blocks += [*_breakdown(source), _runtimes(source), _systems(source)]
        load = ", ".join(f"{each:.2f}" for each in source.result["load_average_before"])
        text = (
            f"Load of the machine before (1, 5, 15 minutes): {load}; it has "
            f"{source.result['machine']['cores']} cores. Only ratios carry over; their intervals "
            f"are {ratio_interval(source.result)}. Of fewer than {FEWEST_FOR_P99} calls there is "
            f"no p99. {decoding_caveat(source.result)}"
        )
        blocks += [Paragraph(text=(text.strip(),)), sourced(source)]
    return blocks


def decoding_caveat(latency: _Row) -> str:
    """Return a sentence where systems may not decode JPEGs in the same way."""
    systems: Sequence[_Row] = latency["systems"]
    if not all("decode" in each for each in systems):
        return (
            "Which systems decode JPEGs in part was not recorded: compare the stage decode before "
            "whole queries."
        )
    whole = [str(each["system"]) for each in systems if each["decode"] is None]
    if not 0 < len(whole) < len(systems):
        return ""
    return (
        f"Whole queries are compared across two ways of decoding: {', '.join(whole)} decode JPEGs "
        "whole, the others in part."
    )


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
                p99(row),
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
        folded=True,
    )  # fmt: skip


def _systems(source: Source) -> Table:
    latency = source.result
    # Whoever decodes alike need not be told so.
    told = len({each.get("decode", NONE) for each in latency["systems"]}) > 1
    rows: list[tuple[Cell, ...]] = []
    for each in latency["systems"]:
        peak = each["peak_memory_bytes"].get("query")
        start = latency["cold_starts"].get(f"query {each['system']}")
        decode = "in part" if each.get("decode") else "whole"
        rows.append(
            (
                each["system"], each["precision"], str(each["image_size"]), each["readout"],
                number(4 * each["dimensions"], 0),
                number(each["model_bytes"] / 1e6, 1),
                number(peak / 1e6, 0) if isinstance(peak, int) else NONE,
                NONE if start is None else number(start["p50_ms"], 0),
                *((decode,) if told else ()),
            )
        )  # fmt: skip
    return Table(
        caption="Size and start",
        header=("system", "precision", "px", "readout", "bytes an image", "model, MB",
                "peak memory of a query, MB", "cold start of a query, ms",
                *(("JPEGs",) if told else ())),
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
        text = words(
            f"At ${price['usd_per_hour']:g} an hour for {price['name']}{describe_price(price)}, on "
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
