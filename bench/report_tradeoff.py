"""The report's section on what quality costs in time: pictures with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.report_blocks import Block, Figure, Paragraph, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_plots import frontier
from boost_edge.bench.report_speed import decoding_caveat, find_row
from boost_edge.bench.report_words import (
    network,
    number,
    section_of,
    series_colour,
    sourced,
)
from boost_edge.runtime.manifest import DEFAULT_RECIPE

__all__ = ["pareto", "tradeoff_section"]

_Row = Mapping[str, Any]
# A system's name, its colour, the milliseconds of a query, and mAP@10.
_Point = tuple[str, str, float, float]


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
             "Quality from the quality results here, of the same network, taps, readout, image "
             "size and precision.",
             _measured_points(latency.result, evidence.of("quality"))),
            ("tradeoff-paper", "The paper's quality (quoted) against our measured latency",
             "mAP@10 is the paper's, published for ImageNet weights and not measured here; latency "
             "is ours, on the same architectures with random weights: it does not depend on them.",
             _paper_points(latency.result)),
            *((f"tradeoff-unseen{'' if place == 1 else -place}",
               "Quality on unseen products against measured latency",
               f"Model files judged on the same images, which no training saw "
               f"({', '.join(each.name for each in judged)}).",
               _judged_points(latency.result, judged))
              for place, judged in enumerate(_judged_alike(evidence.of("models")), start=1)),
        ):  # fmt: skip
            if points:
                text = f"{what} {decoding_caveat(latency.result)}".strip()
                blocks += [Paragraph(text=(text,)), _tradeoff(name, caption, points)]
        blocks.append(sourced(latency))
    if len(blocks) == len(sources):
        text = "No system of the latency results is one that quality is known of."
        blocks.insert(0, Paragraph(text=(text,), tone="absent"))
    return blocks


def _measured_points(latency: _Row, qualities: Sequence[Source]) -> list[_Point]:
    points: list[_Point] = []
    for system in latency["systems"]:
        query = find_row(latency, system["system"], "query")
        for source in qualities:
            for row in source.result["rows"] if query else ():
                if query is not None and _same(system, source.result, row):
                    raw = row["readout"] == "raw"
                    how = ", raw" if raw else f" + boost, {row['readout']}"
                    name = network(system["backbone"], system["taps"]) + how
                    colour = series_colour(row["readout"])
                    points.append((name, colour, query["p50_ms"], row["map10"]))
    return points


def _same(system: _Row, quality: _Row, row: _Row) -> bool:
    """Tell whether a row's quality is that of a system whose time was measured."""
    # What a result does not say is what all had that was measured before it was said.
    told = (
        system["backbone"], system["taps"], system["image_size"], system["precision"],
        system["readout"],
    )  # fmt: skip
    wanted = (
        quality["backbone"], quality["taps"], quality.get("image_size", system["image_size"]),
        quality.get("precision", "fp32"), row["readout"],
    )  # fmt: skip
    if told != wanted or "unavailable" in row or row["recipe"] not in ("none", DEFAULT_RECIPE):
        return False
    if system.get("resize"):
        return bool(row["resize"] == system["resize"])
    # Where resize policies are compared, none of them need be the one that was timed.
    return len({each["resize"] for each in quality["rows"]}) == 1


def _judged_alike(sources: Sequence[Source]) -> list[list[Source]]:
    """Return the results on model files, those together that judged by the same images."""
    alike: list[list[Source]] = []
    for source in sources:
        for group in alike:
            first = group[0].result
            if all(source.result[name] == first[name] for name in ("labels_sha256", "samples")):
                group.append(source)
                break
        else:
            alike.append([source])
    return alike


def _judged_points(latency: _Row, sources: Sequence[Source]) -> list[_Point]:
    points: dict[str, _Point] = {}
    for row in (row for source in sources for row in source.result["rows"]):
        for system in latency["systems"]:
            query = find_row(latency, system["system"], "query")
            if query is not None and _is_timed(row, system):
                raw = row["readout"] == "raw"
                name = f"{network(row['backbone'], row['taps'])}, raw" if raw else row["model"]
                colour, quality = series_colour(row["readout"]), row["map10"]["mean"]
                points[name] = (name, colour, query["p50_ms"], quality)
    return list(points.values())


def _is_timed(judged: _Row, system: _Row) -> bool:
    """Tell whether a model file is a system whose time was measured, or one with raw features."""
    if system.get("model_sha256") == judged["sha256"]:
        return True
    same = ("backbone", "taps", "image_size", "precision", "readout")
    return judged["readout"] == "raw" and all(judged[name] == system[name] for name in same)


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
