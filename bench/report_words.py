"""How a report says things: names of networks and tests, numbers with their intervals."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from boost_edge.bench.report_blocks import Block, Command, Paragraph, Section, Text, words
from boost_edge.bench.report_evidence import MAKES, Evidence, Source
from boost_edge.bench.report_svg import SERIES

__all__ = [
    "FEWEST_FOR_P99",
    "NONE",
    "absent",
    "busy",
    "interval",
    "network",
    "networks_first",
    "number",
    "p99",
    "points",
    "ratio_interval",
    "relative",
    "section_of",
    "series_colour",
    "side_name",
    "side_result",
    "signed",
    "sourced",
    "test_name",
    "weights",
]

MINUS = "\u2212"
NONE = "\u2013"
"""A cell without a number."""
FEWEST_FOR_P99 = 100
"""Of fewer calls the 99th percentile is the slowest one."""

_NETWORKS = {
    "pca": "PCA",
    "resnet18": "ResNet-18",
    "resnet18_w40": "ResNet-18 of width 40",
    "resnet18_w56": "ResNet-18 of width 56",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "vit_b_16": "ViT-B/16",
    "vit_tiny_patch16_224": "ViT-Tiny/16",
    "mobilenet_v2": "MobileNetV2",
    "squeezenet1_1": "SqueezeNet 1.1",
}
_ENDS = {
    "resnet18": "layer4",
    "resnet18_w40": "layer4",
    "resnet18_w56": "layer4",
    "resnet34": "layer4",
    "resnet50": "layer4",
    "resnet101": "layer4",
    "vit_b_16": "encoder_layer_11",
    "vit_tiny_patch16_224": "encoder_layer_11",
    "mobilenet_v2": "features.18",
    "squeezenet1_1": "features.12",
}
"""The tap that is a network's end."""
_TESTS = {
    "seen": "the paper's protocol",
    "names_only": "relevance by name words only",
    "unseen_groups": "groups never seen in training",
}


def network(name: str, taps: Sequence[str] = ()) -> str:
    """Return what people call a backbone, and where its features are from if not its end alone."""
    title = _NETWORKS.get(name, name)
    if not taps or tuple(taps) == (_ENDS.get(name),):
        return title
    return f"{title} ({' + '.join(_places(taps))})"


def _places(taps: Sequence[str]) -> Iterator[str]:
    """Yield where features are taken, neighbours on the same grid as one place."""
    for grid, group in itertools.groupby(taps, lambda tap: tap.partition(":")[2]):
        stages = [tap.removeprefix("pca").partition(":")[0] for tap in group]
        if not grid:
            yield from stages
        elif len(stages) == 1:
            yield f"{stages[0]}, {grid} grid"
        else:
            *most, last = _shortened(stages)
            yield f"{', '.join(most)} and {last}, {grid} grids"


def _shortened(stages: Sequence[str]) -> list[str]:
    """Return the first name, and of the others the number alone where they differ in no more."""
    numbered = [re.fullmatch(r"(.*?)([0-9]+)", stage) for stage in stages]
    if any(match is None for match in numbered):
        return list(stages)
    parts = [match.groups() for match in numbered if match is not None]
    if len({start for start, _ in parts}) > 1:
        return list(stages)
    return [stages[0], *(number for _, number in parts[1:])]


def networks_first(sources: Sequence[Source]) -> list[Source]:
    """Return the results of networks, then those of pixels' principal components."""
    return sorted(sources, key=lambda source: str(source.result["backbone"]) == "pca")


def weights(result: Mapping[str, Any]) -> str:
    """Return whose weights were measured."""
    said: Mapping[str, Any] = result["weights"]
    source = str(said.get("source", ""))
    if said["name"] == "imagenet" and not source:
        text = "torchvision's ImageNet"
    elif source.startswith("file:"):
        text = source.removeprefix("file:")
    else:
        text = source or str(said["name"])
    return f"{text}; {result['note']}" if result.get("note") else text


def side_name(evidence: Evidence, side: Mapping[str, Any]) -> str:
    """Return what a row of another file (``file``, ``row``) is, as far as that file is here."""
    _, recipe, readout = str(side["row"]).split("/", 2)
    how = "raw" if readout == "raw" else f"boosted (recipe {recipe}, readout {readout})"
    if (found := side_result(evidence, side)) is not None:
        return f"{network(found['backbone'], found['taps'])} {how}"
    return f"{side['file']} {how}"


def side_result(evidence: Evidence, side: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the result that a row of another file is from, where that file is here."""
    for source in evidence.of("quality"):
        if source.name.rpartition("/")[2] == side["file"]:
            return source.result
    return None


def test_name(test: str) -> str:
    """Return what a test of ``bench honesty`` is about."""
    head, _, tail = test.partition(":")
    if head == "without":
        return f"{tail} not trained on"
    if head == "copies":
        return f"edited copy: {tail}"
    return _TESTS.get(test, test)


def series_colour(readout: str) -> str:
    """Return which of the page's colours a readout has."""
    return readout if readout in SERIES else "other"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number, with its thousands apart; a dash where there is none."""
    return NONE if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def relative(share: float | None) -> str:
    """Return a relative gain in per cent."""
    return NONE if share is None else f"{share:+.0%}".replace("-", MINUS)


def interval(gain: Mapping[str, Any], digits: int = 2, *, bare: bool = False) -> str:
    """Return a gain with the interval that it stands in; ``bare`` where a header says which."""
    low, high = (signed(float(gain[name]), digits) for name in ("low", "high"))
    confidence = "" if bare else f"{gain['confidence']:.0%}: "
    return f"{signed(float(gain['mean']), digits)} ({confidence}{low} to {high})"


def ratio_interval(result: Mapping[str, Any]) -> str:
    """Return what the intervals of a result's ratios of times are."""
    protocol: Mapping[str, Any] = result["protocol"]
    blocks = str(protocol.get("blocks", protocol.get("rounds", "some")))
    if "offline_blocks" in protocol:
        blocks += f" blocks ({protocol['offline_blocks']} with larger batches)"
    else:
        blocks += " blocks" if "blocks" in protocol else " rounds"
    if result.get("ratio_interval") == "t":
        return f"95% t intervals over {blocks}"
    return f"95% bootstrap intervals over {blocks}, too narrow for so few"


def busy(result: Mapping[str, Any]) -> str:
    """Return a sentence where others were at work on the machine before it was measured."""
    load: Sequence[float] = result.get("load_average_before", ())
    cores = result["machine"].get("cores") or 0
    if not cores or max(load, default=0.0) <= cores:
        return ""
    said = ", ".join(number(each) for each in load)
    return f"The machine was not idle: load {said} (1, 5, 15 minutes before) on {cores} cores. "


def p99(row: Mapping[str, Any], digits: int = 1) -> str:
    """Return the 99th percentile of a row's times; a dash below 100 calls, where it is none."""
    calls = row.get("calls", row.get("searches", FEWEST_FOR_P99))
    return number(row["p99_ms"], digits) if calls >= FEWEST_FOR_P99 else NONE


def points(share: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{signed(100 * share, 1)} points"


def sourced(*sources: Source) -> Paragraph:
    """Return the line below a picture or table that says where its numbers come from."""
    parts: list[Text] = []
    for source in sources:
        result = source.result
        machine = result["machine"]
        seeds = f", {result['seeds']} seeds" if "seeds" in result else ""
        parts.append(
            words(
                "; " if parts else "From ",
                source.link(),
                f" ({result['date']}{seeds}, {machine['processor']}, {machine['cores']} cores)",
            )
        )
    return Paragraph(text=words(*parts, "."), tone="source")


def section_of(
    kind: str, title: str, anchor: str, *, what: str
) -> Callable[[Callable[[Evidence], list[Block]]], Callable[[Evidence], Section]]:
    """Make a function of blocks one of a section, which says where there is no result of a kind.

    ``what`` begins the sentence that says so: ``Latency was``.
    """

    def decorate(blocks: Callable[[Evidence], list[Block]]) -> Callable[[Evidence], Section]:
        @functools.wraps(blocks)
        def make(evidence: Evidence) -> Section:
            found = blocks(evidence) if evidence.of(kind) else absent(kind, what)
            return Section(title=title, anchor=anchor, blocks=tuple(found))

        return make

    return decorate


def absent(kind: str, what: str) -> tuple[Paragraph, Command]:
    """Return what a section says where its results are missing: the files, and what makes them."""
    files, command = MAKES[kind]
    text = words(f"{what} not measured here: there is no {files}. This makes it:")
    return Paragraph(text=text, tone="absent"), Command(line=command)
