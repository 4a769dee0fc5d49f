"""The report's section "Is it honest?": the same gain where labels do not define the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boost_edge.bench.between_seeds import Verdict, seed_interval
from boost_edge.bench.report_blocks import (
    Block,
    Bold,
    Cell,
    Code,
    Figure,
    Link,
    Paragraph,
    Table,
    Text,
    Tone,
    words,
)
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_plots import Mark, dots
from boost_edge.bench.report_seeds import (
    OVER_QUERIES,
    OVER_SEEDS,
    interval_with_seeds,
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
    series_colour,
    sourced,
    test_name,
)
from boost_edge.runtime.manifest import DEFAULT_READOUT, DEFAULT_RECIPE

__all__ = ["honesty_section", "verdicts"]

_Row = Mapping[str, Any]


@section_of("honesty", "Is it honest?", "honest", what="Honesty was")
def honesty_section(evidence: Evidence) -> list[Block]:
    """Return every test, and plainly where boosting hurts."""
    blocks: list[Block] = []
    sources = evidence.of("honesty")
    for source in sorted(sources, key=lambda each: each.result["recipe"] != DEFAULT_RECIPE):
        result = source.result
        name = network(result["backbone"], result["taps"])
        blocks.append(
            Paragraph(
                text=(
                    f"The paper's protocol rewards what the labels say. Here {name} with recipe "
                    f"{result['recipe']} is judged where they do not: on groups never seen in "
                    "training, on an attribute that was left out of it, by the words of names "
                    "alone, and on finding an image again after an edit (MRR: 1 when the "
                    "original comes first).",
                )
            )
        )
        blocks += [Paragraph(text=text, tone=tone) for tone, text in verdicts(source)]
        for metric, caption in (
            ("map10", "Gain over raw in mAP@10, where labels reach less far"),
            ("mrr", "Gain over raw in MRR, finding edited copies"),
        ):
            if any(row["metric"] == metric for row in result["rows"]):
                blocks.append(_picture(source, metric, caption))
        blocks.append(sourced(source))
    return blocks


def verdicts(source: Source) -> list[tuple[Tone, Text]]:
    """Return what the tests say in sentences: first where the default readout loses."""
    rows: Sequence[_Row] = source.result["rows"]
    losses = _losses(source)
    compared = sum("gain" in row for row in rows)
    said: list[tuple[Tone, Text]] = []
    for pattern, head in (
        ("unseen_groups", "On groups never seen in training"),
        ("copies", "On finding edited copies of an image"),
    ):
        found = [
            (place, row)
            for place, row in enumerate(rows)
            if row["test"].partition(":")[0] == pattern and row["readout"] == DEFAULT_READOUT
        ]
        lost = [
            (place, row) for place, row in found if _key(row) in {_key(each) for each in losses}
        ]
        if lost:
            parts = [
                part
                for place, row in lost
                for part in ("; ", _linked(source, place, row), _change(source, row))
            ]
            loses = words(" with the default readout ", Code(DEFAULT_READOUT), ": ", parts[1:], ".")
            said.append(("hurts", words(Bold(f"{head} boosting hurts"), loses)))
        elif found:
            said.append(("plain", words(f"{head} the default readout ", Code(DEFAULT_READOUT),
                                        " does not lose measurably against raw.")))  # fmt: skip
    counted = (
        f"In all, {len(losses)} of {compared} comparisons with raw lie below zero with their whole "
        "interval and in every seed; the pictures and their tables show which."
    )
    said.append(("plain", (counted,)))
    safe = [
        readout
        for readout in dict.fromkeys(str(row["readout"]) for row in rows if "gain" in row)
        if not any(
            each["readout"] == readout and each["test"] == "unseen_groups" for each in losses
        )
    ]
    if losses and safe and any(row["test"] == "unseen_groups" for row in rows):
        advice = words(
            "What to do: where new kinds of things will be searched for, take a readout that does "
            "not lose there (", Code(", ".join(safe)),
            "); to find edited copies, keep a gallery of ",
            Code("raw"), " features, or of a readout that loses least in the picture below.",
        )  # fmt: skip
        said.append(("plain", advice))
    return said


def _linked(source: Source, place: int, row: _Row) -> Link:
    """Return a test's name, which leads to its row."""
    return Link(_short(row["test"]), source.link("rows", place).href)


def _losses(source: Source) -> list[_Row]:
    """Return the rows that hurt, as it is told today: an older file may list others."""
    rows: Sequence[_Row] = source.result["rows"]
    return [row for row in rows if "gain" in row and row_verdict(source.result, row) == "hurts"]


def _change(source: Source, row: _Row) -> str:
    """Return from what to what a test's metric changed against raw."""
    rows: Sequence[_Row] = source.result["rows"]
    metric, digits = row["metric"], _digits(row)
    base = next(each for each in rows if (each["test"], each["readout"]) == (row["test"], "raw"))
    unit = "mAP@10" if metric == "map10" else metric.upper()
    before, after = (number(each[metric]["mean"], digits) for each in (base, row))
    gain = interval_with_seeds(row["gain"], row_seeds(source.result, row), digits)
    return f" {unit} {before} raw, {after} boosted, {gain}"


def _key(row: _Row) -> tuple[str, str]:
    return row["test"], row["readout"]


def _digits(row: _Row) -> int:
    return 2 if row["metric"] == "map10" else 3


def _picture(source: Source, metric: str, caption: str) -> Figure:
    rows: Sequence[_Row] = source.result["rows"]
    chosen = [row for row in rows if row["metric"] == metric]
    tests = list(dict.fromkeys(str(row["test"]) for row in chosen))
    groups = [
        (
            _short(test),
            [
                Mark(
                    label=row["readout"],
                    colour=series_colour(row["readout"]),
                    value=row["gain"]["mean"], low=row["gain"]["low"], high=row["gain"]["high"],
                    seeds=seed_interval(row_seeds(source.result, row)),
                )
                for row in chosen
                if row["test"] == test and "gain" in row
            ],
        )
        for test in tests
    ]  # fmt: skip
    hurt = {_key(each) for each in _losses(source)}
    losing = [f"{test_name(row['test'])} ({row['readout']})" for row in chosen if _key(row) in hurt]
    description = (
        "Gain over raw by test and readout, with 95% intervals over queries (of three seeds or "
        "more, thin lines are those over seeds); left of the line boosting hurts: "
        + (", ".join(losing) if losing else "nowhere")
        + "."
    )
    unit = "mAP@10" if metric == "map10" else metric.upper()
    name, result = f"honest-{metric}", source.result
    if result["recipe"] != DEFAULT_RECIPE:
        subject = f"{network(result['backbone'], result['taps'])}, recipe {result['recipe']}"
        stem = source.name.rpartition("/")[2].removesuffix(".json")
        name, caption = f"{name}-{stem}", f"{caption} ({subject})"
    return Figure(
        name=name,
        caption=caption,
        description=description,
        svg=dots(
            groups, axis=f"gain in {unit} (95% intervals)", title=caption, description=description
        ),
        table=Table(
            caption=caption,
            header=(
                "test",
                "readout",
                unit,
                f"gain over raw ({OVER_QUERIES})",
                OVER_SEEDS,
                "verdict",
            ),
            rows=tuple(_cells(source.result, row, metric) for row in chosen),
            right=(2, 3, 4),
        ),
    )


_VERDICTS: Mapping[Verdict, Cell] = {
    "gains": "gains",
    "hurts": (Bold("hurts"),),
    "open": "cannot be told from raw",
}


def _cells(result: _Row, row: _Row, metric: str) -> tuple[Cell, ...]:
    digits = _digits(row)
    gain = row.get("gain")
    return (
        test_name(row["test"]),
        row["readout"],
        number(row[metric]["mean"], digits),
        NONE if gain is None else interval(gain, digits, bare=True),
        over_seeds(row_seeds(result, row), digits),
        NONE if gain is None else _VERDICTS[row_verdict(result, row)],
    )


def _short(test: str) -> str:
    head, _, tail = test.partition(":")
    if head == "without":
        return f"no {tail}"
    return tail or {"seen": "protocol", "names_only": "names only"}.get(
        head, head.replace("_", " ")
    )
