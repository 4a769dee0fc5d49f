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
    Text,
    words,
)
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_plots import Line, lines
from boost_edge.bench.report_seeds import OVER_QUERIES, OVER_SEEDS, over_seeds, row_seeds
from boost_edge.bench.report_words import (
    interval,
    network,
    number,
    section_of,
    series_colour,
    side_name,
    sourced,
)

__all__ = ["labels_needed", "labels_section", "raw_passes"]

# Points of mAP@10 that two decimals show. Scores are kept in float32: the same features, given as a
# baseline, differ by less.
_DIFFERENT = 0.01


@section_of("curve", "How many labels, and how clean", "labels", what="The learning curve was")
def labels_section(evidence: Evidence) -> list[Block]:
    """Return quality against the number of labels, and against the share of wrong ones."""
    blocks: list[Block] = []
    for source in evidence.of("curve"):
        result = source.result
        name = network(result["backbone"], result["taps"])
        text = (
            f"{name}, recipe {result['recipe']}. Intervals are those of the gain over raw, paired: "
            "in the picture over queries."
        )
        blocks.append(Paragraph(text=(text,)))
        blocks.append(_picture(evidence, source, "rows", "labels"))
        for each in result["passes"]:
            sentence = Paragraph(text=labels_needed(evidence, source, each))
            # Where none is needed, that is so with every readout.
            if sentence not in blocks:
                blocks.append(sentence)
        if result["noise"]:
            blocks.append(_picture(evidence, source, "noise", "noise"))
        blocks.append(sourced(source))
    return blocks


def raw_passes(curve: Mapping[str, Any], passed: Mapping[str, Any]) -> bool:
    """Tell whether a network's raw features are above a baseline, so that no label is needed."""
    return bool(curve["raw"]["mean"] - passed["map10"] >= _DIFFERENT)


def labels_needed(evidence: Evidence, source: Source, passed: Mapping[str, Any]) -> Text:
    """Return from how many labels on a readout is above its baseline, in a sentence.

    Where the network's raw features are above it, no label is to be credited.
    """
    result = source.result
    name = network(result["backbone"], result["taps"])
    what = f"{side_name(evidence, passed['baseline'])} (mAP@10 {number(passed['map10'])})"
    if raw_passes(result, passed):
        raw = number(result["raw"]["mean"])
        return (
            f"The raw features of {name} (mAP@10 {raw}) are above {what}: that takes no label.",
        )
    labels, low, high = (passed[key] for key in ("labels", "low", "high"))
    fewest = min(row["labels"] for row in result["rows"])
    if labels is None:
        needed = f"never above {what} with the numbers of labels tried"
    elif labels <= fewest:
        needed = f"above {what} with {fewest:,} labels already, the fewest tried"
    else:
        over = f"95% over queries: {_count(low)} to {_count(high)}"
        by_seed: Sequence[float | None] = passed.get("by_seed", ())
        if len(by_seed) > 1:
            over += f"; by seed: {', '.join(map(_count, by_seed))}"
        needed = f"above {what} from {_count(labels)} labels on ({over})"
    return words(f"{name} boosted (", Code(passed["readout"]), f") is {needed}.")


def _count(labels: float | None) -> str:
    return "never" if labels is None else f"{labels:,.0f}"


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
            interval(row["gain"], bare=True),
            over_seeds(row_seeds(result, row)),
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
            header=(
                "wrong" if noisy else "labels",
                "readout",
                "mAP@10",
                f"gain over raw ({OVER_QUERIES})",
                OVER_SEEDS,
            ),
            rows=cells,
            right=(0, 2, 3, 4),
        ),
    )


def _mark(row: Mapping[str, Any], across: str) -> tuple[float, float, float, float]:
    """Return a point; its interval is the gain's, around the mean."""
    mean, gain = row["map10"]["mean"], row["gain"]
    return row[across], mean, mean - gain["mean"] + gain["low"], mean - gain["mean"] + gain["high"]
