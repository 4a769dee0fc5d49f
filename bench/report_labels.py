"""The report's section on labels: how many are needed, and what wrong ones cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from boost_edge.bench.report_plots import Line, lines
from boost_edge.bench.report_words import (
    interval,
    network,
    number,
    section_of,
    series_colour,
    side_name,
    sourced,
)

__all__ = ["labels_needed", "labels_section"]


@section_of("curve", "How many labels, and how clean", "labels", what="The learning curve was")
def labels_section(evidence: Evidence) -> list[Block]:
    """Return quality against the number of labels, and against the share of wrong ones."""
    blocks: list[Block] = []
    for source in evidence.of("curve"):
        result = source.result
        name = network(result["backbone"], result["taps"])
        text = (
            f"{name}, recipe {result['recipe']}. Intervals are those of the gain over raw, paired."
        )
        blocks.append(Paragraph(text=(text,)))
        blocks.append(_picture(evidence, source, "rows", "labels"))
        blocks += [
            Paragraph(
                text=words(
                    "With readout ",
                    Code(each["readout"]),
                    ": ",
                    labels_needed(evidence, each, result["rows"]),
                    ".",
                )
            )
            for each in result["passes"]
        ]
        if result["noise"]:
            blocks.append(_picture(evidence, source, "noise", "noise"))
        blocks.append(sourced(source))
    return blocks


def labels_needed(
    evidence: Evidence, passed: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> str:
    """Return from how many labels on a readout is above its baseline, in words."""
    what = f"{side_name(evidence, passed['baseline'])} (mAP@10 {number(passed['map10'])})"
    labels, low, high = (passed[name] for name in ("labels", "low", "high"))
    if labels is None:
        return f"never above {what} with the numbers of labels tried"
    fewest = min(row["labels"] for row in rows)
    if labels <= fewest:
        return f"above {what} with {fewest:,} labels already, the fewest tried"
    most = "never" if high is None else f"{high:,.0f}"
    return f"above {what} from {labels:,.0f} labels on (95%: {low:,.0f} to {most})"


def _picture(evidence: Evidence, source: Source, key: str, across: str) -> Figure:
    result = source.result
    rows: Sequence[Mapping[str, Any]] = result[key]
    raw = result["raw"]["mean"]
    series = [
        Line(
            label=readout,
            colour=series_colour(readout),
            marks=tuple(_mark(row, across) for row in rows if row["readout"] == readout),
        )
        for readout in dict.fromkeys(str(row["readout"]) for row in rows)
    ]
    series.append(Line(label="raw", colour="raw", marks=((0, raw, raw, raw),), flat=True))
    baselines = {side_name(evidence, each["baseline"]): each["map10"] for each in result["passes"]}
    series += [
        Line(label=name, colour="ink", marks=((0, level, level, level),), flat=True)
        for name, level in baselines.items()
    ]
    noisy = across == "noise"
    caption = "mAP@10 against wrong labels" if noisy else "mAP@10 against the number of labels"
    ends = "; ".join(
        f"{line.label} from {number(line.marks[0][1])} to {number(line.marks[-1][1])}"
        for line in series
        if not line.flat
    )
    level = "; ".join(f"{line.label} {number(line.marks[0][1])}" for line in series if line.flat)
    description = f"mAP@10 by readout: {ends}. To compare with: {level}."
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{row[across]:.0%}" if noisy else f"{row[across]:,}",
            row["readout"],
            number(row["map10"]["mean"]),
            interval(row["gain"]),
        )
        for row in rows
    )
    return Figure(
        name="labels-wrong" if noisy else "labels",
        caption=caption,
        description=description,
        svg=lines(
            series,
            across="share of labels that are wrong" if noisy else "labelled images (log scale)",
            axis="mAP@10",
            title=caption,
            description=description,
            log=not noisy,
        ),
        table=Table(
            caption=caption,
            header=("wrong" if noisy else "labels", "readout", "mAP@10", "gain over raw"),
            rows=cells,
            right=(0, 2, 3),
        ),
    )


def _mark(row: Mapping[str, Any], across: str) -> tuple[float, float, float, float]:
    """Return a point; its interval is the gain's, around the mean."""
    mean, gain = row["map10"]["mean"], row["gain"]
    return row[across], mean, mean - gain["mean"] + gain["low"], mean - gain["mean"] + gain["high"]
