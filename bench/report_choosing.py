"""The report's section on choosing what to label, against labels drawn by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boost_edge.bench.between_seeds import gain_by_seed
from boost_edge.bench.report_blocks import Block, Paragraph, Section, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_seeds import OVER_QUERIES, OVER_SEEDS, over_seeds
from boost_edge.bench.report_words import NONE, interval, network, number, sourced

__all__ = ["choosing_section"]


def choosing_section(evidence: Evidence) -> Section:
    """Return what is gained by number of labels, and by attribute with the most."""
    blocks: list[Block] = []
    for source in evidence.of("choosing"):
        result = source.result
        doubts = ", ".join(result["doubts_of"] or ()) or "all attributes"
        text = (
            f"{network(result['backbone'], result['taps'])}, readout {result['readout']}. Of "
            f"{result['pool']:,} images some are labelled, a step at a time: drawn by chance, or "
            f"chosen where the model trained so far is in doubt (of {doubts}) and no two alike. "
            f"Judged on {result['test']:,} images that are never asked for. Intervals over queries "
            f"are over these images, after averaging {result['seeds']} drawings of labels; those "
            "over seeds say what other drawings would give."
        )
        blocks += [Paragraph(text=(text,)), _steps(source), _attributes(source), sourced(source)]
    title = "Which images to label"
    return Section(title=title, anchor="choosing", blocks=tuple(blocks))


def _steps(source: Source) -> Table:
    return Table(
        caption=f"{source.name}: mAP@10 within the test part",
        header=("labels", "by chance", "chosen", f"gain ({OVER_QUERIES})", OVER_SEEDS),
        rows=tuple(
            (
                f"{chosen['labels']:,}", number(chance["map10"]["mean"]),
                number(chosen["map10"]["mean"]), interval(chosen["gain"], bare=True),
                over_seeds(
                    gain_by_seed(
                        chosen["gain"], chance["map10"]["by_seed"], chosen["map10"]["by_seed"]
                    )
                ),
            )
            for chance, chosen in _pairs(source.result["rows"])
        ),
        right=(0, 1, 2, 3, 4),
    )  # fmt: skip


def _attributes(source: Source) -> Table:
    result = source.result
    *_, (chance, chosen) = _pairs(result["rows"])
    return Table(
        caption=f"{source.name}: {chosen['labels']:,} labels; hits are the ten nearest of "
        f"{result['images']:,}",
        header=("attribute", "accuracy by chance", "chosen", "hits that agree: raw", "by chance",
                "chosen", f"gain, points ({OVER_QUERIES})", OVER_SEEDS),
        rows=tuple(
            (
                name,
                *(_share(row["accuracy"][name]) for row in (chance, chosen)),
                *(_share(row["agreement10"][name]) for row in (result["raw"], chance, chosen)),
                interval(_points(chosen["agreement_gain"][name]), bare=True),
                over_seeds(_agreement_seeds(chance, chosen, name)),
            )
            for name in result["attributes"]
        ),
        right=(1, 2, 3, 4, 5, 6, 7),
    )  # fmt: skip


def _agreement_seeds(
    chance: Mapping[str, Any], chosen: Mapping[str, Any], name: str
) -> list[float]:
    """Return by seed the gain in hits that agree, in percentage points."""
    before, after = (row["agreement10"][name]["by_seed"] for row in (chance, chosen))
    return [100 * each for each in gain_by_seed(chosen["agreement_gain"][name], before, after)]


def _pairs(
    rows: Sequence[Mapping[str, Any]],
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return by number of labels what chance gave, and what was chosen."""
    return list(zip(rows[::2], rows[1::2], strict=True))


def _share(spread: Mapping[str, Any]) -> str:
    return NONE if spread["mean"] is None else f"{spread['mean']:.1%}"


def _points(gain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a gain of shares in percentage points."""
    return {**gain, **{name: 100 * gain[name] for name in ("mean", "low", "high")}}
