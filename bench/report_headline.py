"""The sentences that people quote, each with its interval and the row that it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.report_blocks import (
    Block,
    Bold,
    Cell,
    Code,
    Command,
    Figure,
    Paragraph,
    Section,
    Table,
    Text,
    words,
)
from boost_edge.bench.report_cheaper import cheaper_claims
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_honesty import verdicts
from boost_edge.bench.report_labels import labels_needed
from boost_edge.bench.report_plots import Mark, pairs
from boost_edge.bench.report_seeds import (
    OVER_QUERIES,
    OVER_SEEDS,
    around,
    interval_with_seeds,
    over_seeds,
    row_seeds,
    side_seeds,
)
from boost_edge.bench.report_speed import find_row
from boost_edge.bench.report_words import (
    absent,
    busy,
    interval,
    network,
    networks_first,
    number,
    relative,
    side_name,
    side_result,
    weights,
)
from boost_edge.runtime.manifest import DEFAULT_READOUT, DEFAULT_RECIPE

__all__ = ["FINDS_MOST", "headline_section"]

_TARGET_TIMES = 2.3
_TARGET_GAIN = 1.0
_DEFAULT = (DEFAULT_RECIPE, DEFAULT_READOUT)
FINDS_MOST = ("contrastive", "together")
"""The recipe and readout that find most of all where no sample's test part is read.

Chosen by bench/results/ablation/resnet18-stages.json, and judged by the report.
"""

_IMAGENET = """\
boost-edge bench quality styles.csv --images images/ --name-column productDisplayName \\
  --attributes gender,masterCategory,subCategory,articleType,baseColour,season,usage \\
  --backbone resnet18 --weights imagenet --recipe boost,contrastive --readout raw,match,together \\
  --out resnet18-imagenet.json
boost-edge bench quality styles.csv --images images/ --name-column productDisplayName \\
  --attributes gender,masterCategory,subCategory,articleType,baseColour,season,usage \\
  --backbone vit_b_16 --weights imagenet --tap encoder_layer_11 --readout raw \\
  --out vit_b_16-imagenet.json
boost-edge bench versus vit_b_16-imagenet.json:raw resnet18-imagenet.json:boost/match"""


def headline_section(evidence: Evidence) -> Section:
    """Return small boosted against big raw three ways, then gains, labels, and where it hurts."""
    blocks: list[Block] = []
    # What is compared by default comes first.
    default = "/".join(_DEFAULT)
    versus = sorted(
        evidence.of("versus"), key=lambda each: not each.result["second"]["row"].endswith(default)
    )
    own = [each for each in versus if _compared_to_itself(evidence, each.result) is not None]
    if versus:
        # A network beside itself is told where each network's gain is.
        blocks += [_claim(_versus(evidence, source)) for source in versus if source not in own]
    else:
        blocks += absent("versus", "A small boosted network against a bigger raw one was")
    blocks += _picture(evidence)
    blocks += _papers_way(evidence)
    blocks += cheaper_claims(evidence)
    blocks.append(
        Paragraph(
            text=words(
                Bold("With ImageNet weights, to be run. "),
                "torchvision downloads its checkpoints where there is a network; the data set is "
                "Kaggle's fashion-product-images-small. On such a machine:",
            )
        )
    )
    blocks.append(Command(line=_IMAGENET))
    blocks += [_claim(_versus(evidence, source)) for source in own]
    blocks += [_claim(_gain(*each)) for each in _boosted(evidence)]
    blocks += [
        _claim(text) for source in evidence.of("curve") for text in _labels(evidence, source)
    ]
    for source in evidence.of("honesty"):
        if source.result["recipe"] != DEFAULT_RECIPE:
            continue
        blocks += [Paragraph(text=t, tone=tone) for tone, t in verdicts(source) if tone == "hurts"]
    return Section(title="In short", anchor="short", blocks=tuple(blocks))


def _picture(evidence: Evidence) -> list[Block]:
    """Return raw and boosted quality of every network, beside the raw one that was to be beaten."""
    # A network's taps stand together, the best last.
    sources = sorted(
        _boosted(evidence),
        key=lambda each: (
            (name := str(each[0].result["backbone"])) == "pca", name, each[2]["map10"]
        ),
    )  # fmt: skip
    if not sources:
        return []
    rows: list[tuple[str, float, list[Mark]]] = []
    notes: set[str] = set()
    cells: list[tuple[Cell, ...]] = []
    for source, at, default in sources:
        result = source.result
        [raw] = [each["map10"] for each in result["rows"] if each["readout"] == "raw"]
        name = network(result["backbone"], result["taps"])
        if note := result.get("note"):
            name, notes = f"{name} *", notes | {f"* {note}"}
        marks: list[Mark] = []
        for place, row in ((at, default), *_rows_of(source, FINDS_MOST)):
            marks.append(_mark(result, raw, row))
            cells.append(
                (name, f"{row['recipe']}, {row['readout']}", number(raw), number(row["map10"]),
                 interval(row["gain"], bare=True), over_seeds(row_seeds(result, row)),
                 marks[-1].note, words(source.link("rows", place)))
            )  # fmt: skip
        rows.append((name, raw, marks))
    level = _level(evidence)
    caption = "mAP@10 of raw features, and boosted"
    description = "; ".join(
        f"{name}: {number(raw)} raw, "
        + ", ".join(f"{number(mark.value)} {mark.label}" for mark in marks)
        for name, raw, marks in rows
    )
    description += (
        ". The lines at the boosted values are the 95% intervals of the gains over queries, the "
        "thin ones those over seeds; the per cent are of the last gain, relative to raw."
    )
    if level is not None:
        description += f" Dotted: {level[0]}, {number(level[1])}."
    header = (
        "network", "recipe, readout", "raw", "boosted", f"gain ({OVER_QUERIES})", OVER_SEEDS,
        "relative", "row",
    )  # fmt: skip
    return [
        Figure(
            name="raw-and-boosted",
            caption=caption,
            description=description,
            svg=pairs(rows, level, axis="mAP@10", title=caption, description=description),
            table=Table(caption=caption, header=header, rows=tuple(cells), right=(2, 3, 4, 5, 6)),
        ),
        *(Paragraph(text=(f"{note}.",)) for note in sorted(notes)),
    ]


def _level(evidence: Evidence) -> tuple[str, float] | None:
    """Return the name and mAP@10 of what a boosted network was to beat: another one, raw."""
    for source in evidence.of("versus"):
        result = source.result
        if result["metric"] == "map10" and not _compared_to_itself(evidence, result):
            return side_name(evidence, result["first"]), result["first"]["map10"]["mean"]
    return None


def _mark(result: Mapping[str, Any], raw: float, row: Mapping[str, Any]) -> Mark:
    gain = row["gain"]
    how = "" if row["recipe"] == DEFAULT_RECIPE else f", {row['recipe']}"
    return Mark(
        label=f"boosted ({row['readout']}{how})", colour=row["readout"], value=row["map10"],
        low=raw + gain["low"], high=raw + gain["high"], note=relative(row["relative_gain"]),
        seeds=around(raw, row_seeds(result, row)),
    )  # fmt: skip


def _claim(text: Text) -> Paragraph:
    return Paragraph(text=text, tone="claim")


def _versus(evidence: Evidence, source: Source) -> Text:
    """Return one row against another on the same queries, in a sentence."""
    result = source.result
    metric = result["metric"]
    digits = 2 if metric == "map10" else 4
    first, second = result["first"], result["second"]
    name = "mAP@10" if metric == "map10" else metric
    means = first[metric]["mean"], second[metric]["mean"]
    times = means[1] / means[0]
    known = [_weights(evidence, side) for side in (second, first)]
    text = words(
        Bold(_against(evidence, result, known)),
        f"{side_name(evidence, second)} reaches {name} {number(means[1], digits)}, "
        f"{side_name(evidence, first)} {number(means[0], digits)}, on the same "
        f"{result['gain']['queries']:,} queries of {result['seeds']} seeds: ",
        Bold(interval_with_seeds(result["gain"], side_seeds(result), digits)),
        f", {times:.2f} times ({relative(result['relative_gain'])}). ",
    )
    if None not in known:
        told = " and ".join(dict.fromkeys(map(str, known)))
        text = words(text, f"Weights: {told}. ")
    if metric == "map10":
        own = _compared_to_itself(evidence, result)
        target = relative(_TARGET_GAIN) if own else f"{_TARGET_TIMES} times"
        reached = times >= (1.0 + _TARGET_GAIN if own else _TARGET_TIMES)
        text = words(text, f"The target was {target}: {'' if reached else 'not '}reached. ")
    return words(text, "(", source.link("gain"), ")")


def _against(evidence: Evidence, result: Mapping[str, Any], known: Sequence[str | None]) -> str:
    """Return what kind of comparison it is, as the start of its paragraph."""
    if (own := _compared_to_itself(evidence, result)) is not None:
        return f"{network(own)} against its own usual features. "
    if all(each not in (None, "none") for each in known):
        return "Real weights, small networks. "
    return "One network against another. "


def _compared_to_itself(evidence: Evidence, result: Mapping[str, Any]) -> str | None:
    """Return the backbone of both sides, tapped in two ways; None for two backbones."""
    first, second = (side_result(evidence, result[side]) for side in ("first", "second"))
    if first is None or second is None or first["backbone"] != second["backbone"]:
        return None
    return str(first["backbone"])


def _weights(evidence: Evidence, side: Mapping[str, Any]) -> str | None:
    """Return whose weights a side of a comparison has, where its file is here."""
    found = side_result(evidence, side)
    return None if found is None else weights(found)


def _papers_way(evidence: Evidence) -> list[Block]:
    """Return the paper's quality beside our latency of the same two architectures."""
    small, big = PAPER_FIGURES["resnet18"], PAPER_FIGURES["vit_b_16"]
    start = words(
        Bold("The paper's quality, our clock. "),
        f"The paper (quoted, not measured here) has ResNet-18 boosted at mAP@10 "
        f"{number(small.boosted)} and ViT-B/16 raw at {number(big.raw)}. ",
    )
    found = [
        (source, *rows)
        for source in evidence.of("latency")
        if (rows := _both(source.result)) is not None
    ]
    if not found:
        gone = "Their latency was not measured here: no latency.json has both. This makes it:"
        return [Paragraph(text=words(start, gone), tone="absent"), absent("latency", "")[1]]
    source, ours, theirs = found[0]
    place = source.result["rows"].index(theirs)
    said = (
        f"Measured here, one query takes {number(ours['p50_ms'], 1)} ms with the first and "
        f"{number(theirs['p50_ms'], 1)} ms with the second (p50, {ours['threads']} thread"
        f"{'s' if ours['threads'] > 1 else ''})"
    )
    reference = source.result["reference"]["system"]
    ratio = theirs["ratio"] if reference == ours["system"] else ours.get("times_cheaper")
    if ratio is not None and reference in (ours["system"], theirs["system"]):
        low, high = ratio["low"], ratio["high"]
        said += f": {ratio['estimate']:.1f} times as long (95%: {low:.1f} to {high:.1f})"
    said += f". {busy(source.result)}"
    return [_claim(words(start, said, "(", source.link("rows", place), ")"))]


def _both(latency: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    ours, theirs = (find_row(latency, name, "query") for name in ("resnet18+boost", "vit_b_16"))
    return None if ours is None or theirs is None else (ours, theirs)


def _boosted(evidence: Evidence) -> Iterator[tuple[Source, int, Mapping[str, Any]]]:
    """Yield the row of the default recipe and readout, and its place, of every network."""
    for source in networks_first(evidence.of("quality")):
        if len({row["resize"] for row in source.result["rows"]}) == 1:
            for place, row in _rows_of(source, _DEFAULT):
                yield source, place, row


def _rows_of(source: Source, wanted: tuple[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a recipe and readout that have a gain, and their places."""
    for place, row in enumerate(source.result["rows"]):
        if (row["recipe"], row["readout"]) == wanted and "gain" in row:
            yield place, row


def _gain(source: Source, place: int, row: Mapping[str, Any]) -> Text:
    result = source.result
    text = words(
        Bold(f"{network(result['backbone'], result['taps'])}: "),
        "boosting gains ",
        Bold(
            f"{interval_with_seeds(row['gain'], row_seeds(result, row))} mAP@10, "
            f"{relative(row['relative_gain'])}"
        ),
        f" over its own raw features, at {row['bytes_per_image']:,} bytes an image "
        f"({_raw_bytes(result)} raw). Weights: {weights(result)}. ",
        _reached(source, place, row),
    )
    for other, most in _rows_of(source, FINDS_MOST):
        text = words(
            text,
            " With ",
            Code(f"--recipe {FINDS_MOST[0]} --readout {FINDS_MOST[1]}"),
            " it gains ",
            Bold(
                f"{interval_with_seeds(most['gain'], row_seeds(result, most))}, "
                f"{relative(most['relative_gain'])}"
            ),
            f", at {most['bytes_per_image']:,} bytes an image. ",
            _reached(source, other, most),
        )
    return text


def _reached(source: Source, place: int, row: Mapping[str, Any]) -> Text:
    """Return whether a gain is what was aimed at, and where it stands."""
    result, said = source.result, ""
    # The target is not that of pixels' principal components, which are no network.
    if result["backbone"] != "pca" and result["weights"]["name"] != "none":
        reached = "reached" if row["relative_gain"] >= _TARGET_GAIN else "not reached"
        said = f"The target was {relative(_TARGET_GAIN)}: {reached}. "
    return words(said, "(", source.link("rows", place), ")")


def _raw_bytes(result: Mapping[str, Any]) -> str:
    raw = [row["bytes_per_image"] for row in result["rows"] if row["readout"] == "raw"]
    return f"{raw[0]:,}" if raw else "not measured"


def _labels(evidence: Evidence, source: Source) -> Iterator[Text]:
    for passed in source.result["passes"]:
        if passed["readout"] == DEFAULT_READOUT:
            needed = labels_needed(evidence, source, passed)
            yield words(Bold("Labels needed. "), needed, " (", source.link("passes"), ")")
