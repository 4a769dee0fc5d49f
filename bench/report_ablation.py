"""The report's section on the recipe: what each of its choices is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.between_seeds import Verdict
from boost_edge.bench.report_blocks import Block, Bold, Cell, Paragraph, Table, words
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_seeds import (
    OVER_QUERIES,
    OVER_SEEDS,
    over_seeds,
    row_seeds,
    row_verdict,
)
from boost_edge.bench.report_words import (
    NONE,
    interval,
    network,
    number,
    section_of,
    sourced,
)

__all__ = ["ablation_section"]

_VERDICTS: Mapping[Verdict, Cell] = {
    "gains": "better",
    "hurts": (Bold("worse"),),
    "open": "cannot be told apart",
}


@section_of("ablation", "What the recipe is made of", "recipe", what="The recipe was")
def ablation_section(evidence: Evidence) -> list[Block]:
    """Return what changes when one choice of the recipe is made otherwise."""
    blocks: list[Block] = []
    for source in evidence.of("ablation"):
        result = source.result
        text = (
            f"{network(result['backbone'], result['taps'])}, recipe {result['recipe']}, one choice "
            f"at a time, judged on {result['judged_on']}; nothing of a test part is read. Gains "
            f"are over the recipe as it is, with the same readout ({OVER_QUERIES}). In bold "
            "where the interval over seeds and every seed say so too; a dash where the readout "
            "stays the same to the bit."
        )
        blocks += [Paragraph(text=(text,)), _overview(source), _table(source), sourced(source)]
    return blocks


def _overview(source: Source) -> Table:
    """Return a row for each choice, and a column for each readout."""
    result = source.result
    readouts = list(dict.fromkeys(row["readout"] for row in result["rows"]))
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for row in result["rows"]:
        choice = found.setdefault((row["factor"], str(row["value"])), {})
        choice[row["readout"]] = _brief(source, row)
    return Table(
        caption="One choice at a time",
        header=("factor", "value", *readouts),
        rows=tuple(
            (*choice, *(cells.get(readout, NONE) for readout in readouts))
            for choice, cells in found.items()
        ),
        right=tuple(range(2, 2 + len(readouts))),
    )


def _brief(source: Source, row: Mapping[str, Any]) -> Cell:
    """Return mAP@10 of the recipe, or the gain of another choice, in bold where it is sure."""
    gain = row.get("gain")
    if gain is None:
        return f"mAP@10 {number(row['map10']['mean'])}"
    if not any((gain["mean"], gain["low"], gain["high"])):
        return NONE
    said = interval(gain, bare=True)
    return said if row_verdict(source.result, row) == "open" else words(Bold(said))


def _table(source: Source) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in source.result["rows"]:
        gain = row.get("gain")
        rows.append(
            (
                row["factor"],
                str(row["value"]),
                row["readout"],
                number(row["map10"]["mean"]),
                NONE if gain is None else interval(gain, bare=True),
                over_seeds(row_seeds(source.result, row)),
                NONE if gain is None else _VERDICTS[row_verdict(source.result, row)],
            )
        )
    return Table(
        caption="All numbers, with intervals over seeds",
        header=("factor", "value", "readout", "mAP@10", f"gain over the recipe ({OVER_QUERIES})",
                OVER_SEEDS, "verdict"),
        rows=tuple(rows),
        right=(3, 4, 5),
        folded=True,
    )  # fmt: skip
