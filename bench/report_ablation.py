"""The report's section on the recipe: what each of its choices is worth."""

from __future__ import annotations

from boost_edge.bench.report_blocks import Block, Bold, Cell, Paragraph, Table, words
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_words import NONE, interval, network, number, section_of, sourced

__all__ = ["ablation_section"]


@section_of("ablation", "What the recipe is made of", "recipe", what="The recipe was")
def ablation_section(evidence: Evidence) -> list[Block]:
    """Return what changes when one choice of the recipe is made otherwise."""
    blocks: list[Block] = []
    for source in evidence.of("ablation"):
        result = source.result
        text = (
            f"{network(result['backbone'], result['taps'])}, recipe {result['recipe']}, one choice "
            f"at a time, judged on {result['judged_on']}; nothing of a test part is read. Gains "
            "are over the recipe as it is, with the same readout."
        )
        blocks += [Paragraph(text=(text,)), _table(source), sourced(source)]
    return blocks


def _table(source: Source) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in source.result["rows"]:
        gain = row.get("gain")
        verdict: Cell = NONE
        if gain is not None:
            verdict = "cannot be told apart"
            if gain["low"] > 0:
                verdict = "better"
            elif gain["high"] < 0:
                verdict = words(Bold("worse"))
        rows.append(
            (
                row["factor"],
                str(row["value"]),
                row["readout"],
                number(row["map10"]["mean"]),
                NONE if gain is None else interval(gain, bare=True),
                verdict,
            )
        )
    return Table(
        caption="One choice at a time",
        header=("factor", "value", "readout", "mAP@10", "gain over the recipe (95%)", "verdict"),
        rows=tuple(rows),
        right=(3, 4),
    )
