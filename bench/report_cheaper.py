"""The report's words on how much cheaper each model is than ViT-B/16, and what it finds beside it.

Both with an interval: times from one interleaved ``bench latency --reference vit_b_16``; what is
found from ``bench models``, whose first file is the one compared with, on the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.report_blocks import Block, Bold, Cell, Paragraph, Table, Text, words
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_seeds import least_to_most, row_seeds
from boost_edge.bench.report_speed import find_row
from boost_edge.bench.report_words import NONE, busy, interval, network, number, ratio_interval

__all__ = ["cheaper_claims"]

_REFERENCE = "vit_b_16"
_INT8_TIMES, _INT8_SIZE = 15.0, 224
_BEST_TIMES = 40.0
_Row = Mapping[str, Any]


def cheaper_claims(evidence: Evidence) -> list[Block]:
    """Return the cheapest in 8 bits at 224 pixels, the model files that are cheap, and all of them.

    Cheap is what reaches the target, or else the cheapest; all are in a table.

    Only of results whose reference is ViT-B/16, on one thread.
    """
    blocks: list[Block] = []
    for source in _sources(evidence):
        found = [
            (system, row)
            for system in source.result["systems"]
            for row in [find_row(source.result, system["system"], "infer", 1)]
            if row is not None and row.get("times_cheaper") and system["system"] != _REFERENCE
        ]
        found.sort(key=lambda pair: -pair[1]["times_cheaper"]["estimate"])
        int8 = [
            pair
            for pair in found
            if (pair[0]["precision"], pair[0]["image_size"]) == ("int8", _INT8_SIZE)
        ]
        # Architectures with random weights have a time, but find nothing.
        real = [pair for pair in found if not pair[0].get("random_weights", True)]
        cheap = [pair for pair in real if pair[1]["times_cheaper"]["estimate"] >= _BEST_TIMES]
        for pairs, target in ((int8[:1], _INT8_TIMES), (cheap or real[:1], _BEST_TIMES)):
            for system, row in pairs:
                text = _claim(evidence, source, system, row, target)
                blocks.append(Paragraph(text=text, tone="claim"))
        blocks.append(_table(source))
        if found:
            said = f"Intervals are {ratio_interval(source.result)}. {busy(source.result)}("
            link = source.link("load_average_before")
            blocks.append(Paragraph(text=words(said, link, ")")))
    return blocks


def _table(source: Source) -> Table:
    """Return how many times cheaper each system is, network and whole query, on one thread."""
    result = source.result
    rows: list[tuple[Cell, ...]] = []
    for system in result["systems"]:
        cells = [
            _times(find_row(result, system["system"], stage, 1)) for stage in ("infer", "query")
        ]
        rows.append((system["system"], system["precision"], str(system["image_size"]), *cells))
    runtime = result["reference"]["runtime"]
    return Table(
        caption=f"Times cheaper than ViT-B/16 fp32 in {runtime}, one thread (95%)",
        header=("system", "precision", "px", "network", "whole query"),
        rows=tuple(rows),
        right=(2, 3, 4),
    )


def _sources(evidence: Evidence) -> list[Source]:
    return [
        each
        for each in evidence.of("latency")
        if each.result["reference"]["system"] == _REFERENCE and _one_thread(each.result)
    ]


def _one_thread(latency: _Row) -> bool:
    return 1 in latency["protocol"]["threads"]


def _claim(evidence: Evidence, source: Source, system: _Row, row: _Row, target: float) -> Text:
    times = row["times_cheaper"]
    reached = "reached" if times["estimate"] >= target else "not reached"
    bits = f"{system['precision']}, {system['image_size']} px"
    text = words(
        Bold(f"{system['system']} ({bits}): "),
        "its network is ", Bold(f"{_interval(times)} times cheaper"),
        f" than ViT-B/16 fp32 in onnxruntime, one thread. The target was {target:g}: {reached}. (",
        source.link("rows", source.result["rows"].index(row)), ")",
    )  # fmt: skip
    judged = _judged(evidence, (system, row))
    if judged is None:
        return text
    models, place = judged
    first, own = models.result["rows"][0], models.result["rows"][place]
    found = f" It finds mAP@10 {number(own['map10']['mean'])}"
    if "gain" in own:
        name = f"{network(first['backbone'], first['taps'])} {first['readout']}"
        found += (
            f", {name} {number(first['map10']['mean'])} on the same queries: "
            f"{interval(own['gain'])}"
        )
        by_seed = row_seeds(models.result, own)
        if len(by_seed) > 1:
            found += f", {least_to_most(by_seed)} by sample"
    return words(text, f"{found}. (", models.link("rows", place), ")")


def _judged(evidence: Evidence, pair: tuple[_Row, _Row]) -> tuple[Source, int] | None:
    """Return where the retrieval of the very file was measured."""
    for models in evidence.of("models"):
        for place, row in enumerate(models.result["rows"]):
            if row["sha256"] == pair[0]["model_sha256"]:
                return models, place
    return None


def _times(row: _Row | None) -> str:
    return NONE if row is None or not row.get("times_cheaper") else _interval(row["times_cheaper"])


def _interval(times: Mapping[str, float]) -> str:
    return f"{times['estimate']:.1f} ({times['low']:.1f} to {times['high']:.1f})"
