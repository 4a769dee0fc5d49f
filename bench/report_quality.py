"""The report's sections on quality: the table, what boosting gains, whole catalogues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from boost_edge.bench.between_seeds import seed_interval
from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.report_blocks import (
    Block,
    Bold,
    Cell,
    Code,
    Figure,
    Paragraph,
    Section,
    Table,
    words,
)
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_plots import Mark, bars
from boost_edge.bench.report_seeds import OVER_QUERIES, OVER_SEEDS, over_seeds, row_seeds
from boost_edge.bench.report_words import (
    NONE,
    absent,
    interval,
    network,
    networks_first,
    number,
    points,
    relative,
    series_colour,
    sourced,
    weights,
)
from boost_edge.runtime.manifest import DEFAULT_READOUT

__all__ = ["agreement_section", "gains_section", "quality_section"]

_PAPER = "The paper's (quoted, not measured)"
_READOUTS = words(
    "A readout is what is compared. ",
    Code("raw"), " are the frozen network's features. ",
    Code("hidden"), " is the trained head's first layer (the paper's method). ",
    Code("attributes"), " are the posteriors of the labels: two images are alike "
    "where the head sees the same values in them. ",
    Code("blend"), " is both of these, weighted. ",
    Code("match"), " (the default) weighs each attribute by how much it tells: the similarity is "
    "the probability to agree in an attribute drawn by its weight, and where that is in doubt the "
    "look (the features, labels aside) decides. ",
    Code("together"), " are posteriors of those combinations of labels that occur: the similarity "
    "is b times the probability that all labels agree, and for the rest that of the look (b is "
    "0.5 with the recipe paper, 0.8 with the others).",
)  # fmt: skip
_HEADER = (
    "network", "recipe, readout", "mAP@10", "std", f"gain over raw ({OVER_QUERIES})",
    OVER_SEEDS, "relative", "bytes an image", "paper's mAP@10",
)  # fmt: skip


def quality_section(evidence: Evidence) -> Section:
    """Return the table of every network, recipe and readout, with the paper's figures beside it."""
    sources = networks_first(evidence.of("quality"))
    if not sources:
        return Section(title="Quality", anchor="quality", blocks=absent("quality", "Quality was"))
    main = [source for source in sources if len(_policies(source)) == 1]
    intro = words(
        "mAP@10 (times 100) as the paper computes it: the ten most relevant others are to be "
        "found; relevant is what agrees in every attribute, the more so the more words of the "
        "name agree. The std is between seeds, each of which draws other images and trains another "
        "head; gains are paired on the same queries. Their bootstrap interval over queries takes "
        "these images and heads for given: with others, expect the gain in the t interval over "
        "seeds. Absolute values depend on the sample: compare gains.",
    )
    blocks: list[Block] = [Paragraph(text=intro), Paragraph(text=_READOUTS)]
    if main:
        rows = tuple(row for source in main for row in _rows(source))
        blocks.append(
            Table(
                caption="Quality of each network, recipe and readout",
                header=_HEADER, rows=rows, right=tuple(range(2, 9)), quoted=(8,),
            )
        )  # fmt: skip
        blocks.append(_weights_table(main))
        blocks.append(sourced(*main))
    blocks.append(_papers_table(main))
    for source in sources:
        if source not in main:
            blocks += [_policy_table(source), sourced(source)]
    return Section(title="Quality", anchor="quality", blocks=tuple(blocks))


def _policies(source: Source) -> set[str]:
    return {str(row["resize"]) for row in source.result["rows"]}


def _rows(source: Source) -> Iterator[tuple[Cell, ...]]:
    result = source.result
    name = network(result["backbone"], result["taps"])
    for place, row in enumerate(result["rows"]):
        paper: Mapping[str, Any] = row.get("paper", {})
        # Figures of the paper stand beside what was measured the paper's way.
        same = bool(paper) and (row["readout"] == "raw" or paper.get("same_method", False))
        if "unavailable" in row and place and not same:
            continue
        how = "raw" if row["readout"] == "raw" else f"{row['recipe']}, {row['readout']}"
        quoted = number(paper["map10"]) if same else NONE
        if "unavailable" in row:
            yield (name, how, "not measured", *[NONE] * 5, quoted)
            continue
        yield (
            name,
            how,
            words(Bold(number(row["map10"])))
            if row["readout"] == DEFAULT_READOUT
            else number(row["map10"]),
            number(row["map10_std"]),
            interval(row["gain"], bare=True) if "gain" in row else NONE,
            over_seeds(row_seeds(result, row)),
            relative(row.get("relative_gain")),
            number(row["bytes_per_image"], 0) if "bytes_per_image" in row else NONE,
            quoted,
        )


def _weights_table(main: list[Source]) -> Table:
    """Return what each network's weights are, or why it could not be measured."""
    rows: list[tuple[Cell, ...]] = []
    for source in main:
        result = source.result
        [why, *_] = [str(row["unavailable"]) for row in result["rows"] if "unavailable" in row] or [
            ""
        ]
        said = f"not measured: {why}" if why else weights(result)
        rows.append((network(result["backbone"], result["taps"]), said))
    return Table(caption="Whose weights", header=("network", "weights"), rows=tuple(rows))


def _papers_table(main: list[Source]) -> Table:
    """Return the six rows of the paper, and what we measured of the same with the same method."""
    rows: list[tuple[Cell, ...]] = []
    for name, figure in PAPER_FIGURES.items():
        found = [
            words(relative(row["relative_gain"]), " (", source.link("rows", place), ")")
            for source in main
            if source.result["backbone"] == name
            for place, row in enumerate(source.result["rows"])
            if "relative_gain" in row and row["recipe"] == "paper" and row["readout"] == "hidden"
        ]
        rows.append(
            (
                network(name),
                number(figure.raw),
                number(figure.boosted),
                relative(figure.relative_gain),
                found[0] if found else "not measured",
            )
        )
    return Table(
        caption=f"{_PAPER}: its six networks with ImageNet weights",
        header=("network", "raw mAP@10", "boosted mAP@10", "relative", "ours, the paper's method"),
        rows=tuple(rows),
        right=(1, 2, 3),
        quoted=(1, 2, 3),
    )


def _policy_table(source: Source) -> Table:
    result = source.result
    rows = tuple(
        (
            str(row["resize"]),
            "raw" if row["readout"] == "raw" else f"{row['recipe']}, {row['readout']}",
            number(row.get("map10")),
            number(row.get("map10_std")),
            interval(row["gain"], bare=True) if "gain" in row else NONE,
            over_seeds(row_seeds(result, row)),
            relative(row.get("relative_gain")),
        )
        for row in result["rows"]
    )
    return Table(
        caption=f"How a picture is made square: {network(result['backbone'], result['taps'])}",
        header=("resize", "recipe, readout", "mAP@10", "std", f"gain over raw ({OVER_QUERIES})",
                OVER_SEEDS, "relative"),
        rows=rows,
        right=(2, 3, 4, 5, 6),
    )  # fmt: skip


def gains_section(evidence: Evidence) -> Section:
    """Return what boosting adds to each network's raw features, as bars with intervals."""
    title, anchor = "What boosting gains", "gains"
    sources = [
        source
        for source in networks_first(evidence.of("quality"))
        if len(_policies(source)) == 1 and any("gain" in row for row in source.result["rows"])
    ]
    if not sources:
        return Section(title=title, anchor=anchor, blocks=absent("quality", "Gains were"))
    groups: list[tuple[str, list[Mark]]] = []
    rows: list[tuple[Cell, ...]] = []
    for source in sources:
        result = source.result
        name = network(result["backbone"], result["taps"])
        marks: list[Mark] = []
        for place, row in enumerate(result["rows"]):
            if "gain" not in row:
                continue
            gain = row["gain"]
            label = f"{row['recipe']}, {row['readout']}"
            marks.append(
                Mark(
                    label=label, colour=series_colour(row["readout"]), value=gain["mean"],
                    low=gain["low"], high=gain["high"], note=relative(row.get("relative_gain")),
                    seeds=seed_interval(row_seeds(result, row)),
                )
            )  # fmt: skip
            link = source.link("rows", place)
            rows.append(
                (name, label, interval(gain, bare=True), over_seeds(row_seeds(result, row)),
                 relative(row["relative_gain"]), words(link))
            )  # fmt: skip
        groups.append((name, marks))
    description = (
        "Bars: gain in mAP@10 over the raw features of the same network, with 95% intervals over "
        "queries and, the thin lines, over seeds; the per cent at the end are relative to raw."
    )
    caption = "Gain over raw features, in points of mAP@10"
    figure = Figure(
        name="gains",
        caption=caption,
        description=description,
        svg=bars(
            groups, axis="gain in mAP@10 (95% intervals)", title=caption, description=description
        ),
        table=Table(
            caption="Gain over raw features",
            header=(
                "network",
                "recipe, readout",
                f"gain in mAP@10 ({OVER_QUERIES})",
                OVER_SEEDS,
                "relative",
                "row",
            ),
            rows=tuple(rows),
            right=(2, 3, 4),
        ),
    )
    return Section(
        title=title,
        anchor=anchor,
        blocks=(Paragraph(text=(description,)), figure, sourced(*sources)),
    )


def agreement_section(evidence: Evidence) -> Section:
    """Return how often the hits in a whole catalogue share the query's label."""
    title, anchor = "Whole catalogue", "catalogue"
    sources = evidence.of("agreement")
    if not sources:
        return Section(title=title, anchor=anchor, blocks=absent("agreement", "Agreement was"))
    rows: list[tuple[Cell, ...]] = []
    for source in sources:
        for place, row in enumerate(source.result["rows"]):
            low, high = row["interval"]
            gain = NONE
            if place:
                least, most = row["gain_interval"]
                gain = f"{points(row['gain_over_first'])} ({points(least)} to {points(most)})"
            rows.append(
                (
                    row["readout"],
                    f"{row['images']:,}",
                    f"{source.result['queries']:,}",
                    f"{row['agreement']:.1%} ({low:.1%} to {high:.1%})",
                    gain,
                    f"{row['chance']:.1%}",
                    number(4 * row["dimensions"], 0),
                    words(source.link("rows", place)),
                )
            )
    first = sources[0].result
    text = (
        f"How many of the {first['hits']} best hits among all images of a gallery have the "
        f"query's {first['attribute']}; the queries took no part in the training. Gains are paired "
        "on the queries, over the first row of the same file; intervals are 95% over the queries. "
        "Each row is one model: what another training would give is not in them."
    )
    table = Table(
        caption=f"Hits with the query's {first['attribute']}",
        header=("readout", "images", "queries", "share of hits", "gain over raw", "chance",
                "bytes an image", "row"),
        rows=tuple(rows),
        right=(1, 2, 3, 4, 5, 6),
    )  # fmt: skip
    blocks = (Paragraph(text=(text,)), table, sourced(*sources))
    return Section(title=title, anchor=anchor, blocks=blocks)
