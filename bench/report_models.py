"""The report's section on model files: how they label and find what they were not trained on."""

from __future__ import annotations

from boost_edge.bench.report_blocks import Block, Cell, Paragraph, Section, Table
from boost_edge.bench.report_evidence import Evidence, Source
from boost_edge.bench.report_seeds import least_to_most, row_seeds
from boost_edge.bench.report_words import NONE, interval, network, number, relative, sourced

__all__ = ["models_section"]


def models_section(evidence: Evidence) -> Section:
    """Return every model file's retrieval and labels, one measurement after the other."""
    blocks: list[Block] = []
    for source in evidence.of("models"):
        result, protocol = source.result, source.result["protocol"]
        text = (
            f"{result['images']['test']:,} images that the label table holds back, through the "
            f"files that users get. Retrieval as the paper judges it, on {protocol['groups']} "
            f"groups of {protocol['per_group']} images, drawn {result['seeds']} times; gains are "
            "over the first file, with intervals over images. The samples overlap and each file is "
            "one training: what another training would give is in no interval here."
        )
        blocks.append(Paragraph(text=(text,)))
        if foreign := [
            row["model"] for row in result["rows"] if row["trained_on_this_table"] is False
        ]:
            said = f"Trained on another table, and may have seen test images: {', '.join(foreign)}."
            blocks.append(Paragraph(text=(said,), tone="hurts"))
        blocks += [_retrieval(source), _labels(source), sourced(source)]
    title = "Shipped and other models on unseen products"
    return Section(title=title, anchor="models", blocks=tuple(blocks))


def _retrieval(source: Source) -> Table:
    return Table(
        caption=f"{source.name}: retrieval",
        header=("model", "network", "readout", "precision", "file, MB", "bytes per image",
                "mAP@10", "std", "nDCG@10", "gain (95% over images)", "of single samples",
                "relative"),
        rows=tuple(
            (
                row["model"], network(row["backbone"], row["taps"]), row["readout"],
                row["precision"], number(row["bytes"] / 1e6, 1),
                number(row["bytes_per_image"], 0), number(row["map10"]["mean"]),
                number(row["map10"]["std"]), number(row["ndcg10"]["mean"], 3),
                interval(row["gain"], bare=True) if "gain" in row else NONE,
                least_to_most(row_seeds(source.result, row)),
                relative(row.get("relative_gain")),
            )
            for row in source.result["rows"]
        ),
        right=(4, 5, 6, 7, 8, 9, 10, 11),
    )  # fmt: skip


def _labels(source: Source) -> Table:
    shown = f"p ≥ {source.result['shown_from']:g}"
    unlike: list[str] = list(source.result.get("unlike", {}))
    rows: list[tuple[Cell, ...]] = []
    for name in source.result["attributes"]:
        for row in source.result["rows"]:
            judged = row.get("attributes", {}).get(name)
            if judged is not None:
                rows.append(
                    (
                        name, row["model"], f"{judged['images']:,}", _share(judged["accuracy"]),
                        _share(judged["majority"]), number(judged["calibration_error"], 3),
                        _share(judged["shown"]), _share(judged["shown_accuracy"]),
                        *(_share(judged["shown_unlike"][folder]) for folder in unlike),
                    )
                )  # fmt: skip
    return Table(
        caption=f"{source.name}: labels",
        header=("attribute", "model", "images", "accuracy", "commonest value",
                "calibration error", shown, "of them right",
                *(f"{shown}: {folder}" for folder in unlike)),
        rows=tuple(rows),
        right=tuple(range(2, 8 + len(unlike))),
        folded=True,
    )  # fmt: skip


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"
