"""``bench card``: a model's card in Markdown, every figure of it from a committed measurement.

What a person has to say (the data, the licence, what the model is not for) stands in a file of
notes, and is taken over word by word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boost_edge.bench.report_blocks import Block, Paragraph, Section, Table
from boost_edge.bench.report_markdown import to_markdown
from boost_edge.bench.report_seeds import least_to_most, row_seeds
from boost_edge.bench.report_words import (
    FEWEST_FOR_P99,
    NONE,
    busy,
    interval,
    network,
    number,
    p99,
    ratio_interval,
    relative,
    signed,
)
from boost_edge.bench.results import read_result
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Manifest

__all__ = ["make_card"]


def make_card(
    model: Path, *, measured: Path, latency: Path | None = None, notes: Path | None = None
) -> str:
    """Return the card of a model file.

    Parameters
    ----------
    measured
        A result of ``bench models`` that this file took part in.
    latency
        A result of ``bench latency`` that it took part in.
    notes
        Markdown to put between what the model is and how good it is.

    Raises
    ------
    UsageError
        When a result is not of this file, byte for byte, or the notes cannot be read.
    """
    with Encoder.open(model, threads=1) as encoder:
        manifest, sha256 = encoder.manifest, encoder.sha256
    result = read_result(measured, kind="models")
    rows = {row["sha256"]: row for row in result["rows"]}
    if sha256 not in rows:
        raise UsageError(f"{measured}: measured other files than {model}: measure it again")
    row = rows[sha256]
    sections = [
        _what_it_is(row, manifest, sha256),
        _labels(row, result),
        _retrieval(result, row),
    ]
    if latency is not None:
        sections.append(_speed(read_result(latency, kind="latency"), sha256, latency, model))
    said = ""
    if notes is not None:
        try:
            said = notes.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"{notes}: cannot be read: {error}") from error
    first, *others = (
        to_markdown([section], title="", lead="").split("\n\n", 2)[2] for section in sections
    )
    return "\n".join([f"# {model.name}\n", first, *([said] if said else []), *others])


def _what_it_is(row: dict[str, Any], manifest: Manifest, sha256: str) -> Section:
    facts = [
        ("file", f"{row['bytes'] / 1e6:.1f} MB, ONNX, weights {manifest.precision}"),
        ("sha256", sha256),
        ("input", f"{manifest.image.size} x {manifest.image.size} px, {manifest.image.resize}"),
        ("network", network(manifest.backbone, manifest.taps)),
        ("weights", f"{manifest.weights.name}: {manifest.weights.source}"),
        (
            "embedding",
            f"{manifest.readout}, {manifest.dimensions} dimensions, "
            f"{row['bytes_per_image']:,} bytes an image",
        ),
        ("attributes", ", ".join(f"{a.name} ({len(a.values)})" for a in manifest.attributes)),
    ]
    if (training := manifest.training) is not None:
        counts = ", ".join(f"{count:,} {part}" for part, count in training.images.items())
        facts.append(("images", counts))
        facts.append(("head", f"recipe {training.described}, seed {training.seed}"))
    table = Table(caption="The model", header=("", ""), rows=tuple(facts))
    return Section(title="What it is", anchor="what", blocks=(table,))


def _labels(row: dict[str, Any], result: dict[str, Any]) -> Section:
    judged = row.get("attributes", {})
    surely = f"p ≥ {result['shown_from']:g}"
    unlike: dict[str, int] = result.get("unlike", {})
    table = Table(
        caption="Attributes",
        header=(
            "attribute", "images", "accuracy", "always the commonest", "calibration error",
            surely, "of them right", *(f"{surely}: {folder}" for folder in unlike),
        ),
        rows=tuple(
            (
                name, f"{each['images']:,}", number(each["accuracy"], 3),
                _share(each["majority"]), number(each["calibration_error"], 3),
                _share(each["shown"]), _share(each["shown_accuracy"]),
                *(_share(each["shown_unlike"][folder]) for folder in unlike),
            )
            for name, each in judged.items()
        ),
        right=tuple(range(1, 7 + len(unlike))),
    )  # fmt: skip
    blocks: tuple[Block, ...] = (table,)
    if unlike:
        counts = ", ".join(f"{folder} ({count:,} images)" for folder, count in unlike.items())
        said = f"Of images of something else nothing should be said for sure: {counts}."
        blocks = (Paragraph(text=(said,)), table)
    return Section(title="How well it labels", anchor="labels", blocks=blocks)


def _retrieval(result: dict[str, Any], row: dict[str, Any]) -> Section:
    protocol, first = result["protocol"], result["rows"][0]
    lead = (
        f"{protocol['groups']} groups of {protocol['per_group']} of the "
        f"{result['images']['test']:,} images held back, drawn {result['seeds']} times; an image "
        "answers another if all attributes agree, graded by the words of the product's name; "
        f"chance {number(result['chance_map10'])}. Intervals are over these images: each file is "
        "one training, and what another would give is not in them."
    )
    blocks: list[Block] = [
        Paragraph(text=(lead,)),
        Table(
            caption="Retrieval",
            header=("model", "network", "readout", "mAP@10", "std", "over the first (95%)",
                    "of single samples", "relative"),
            rows=tuple(
                (
                    each["model"], network(each["backbone"], each["taps"]), each["readout"],
                    number(each["map10"]["mean"]), number(each["map10"]["std"]),
                    interval(each["gain"], bare=True) if "gain" in each else NONE,
                    least_to_most(row_seeds(result, each)), relative(each.get("relative_gain")),
                )
                for each in result["rows"]
            ),
            right=(3, 4, 5, 6, 7),
        ),
    ]  # fmt: skip
    if row is not first and row["gain"]["mean"] < 0:
        lost = f"It finds less than {first['model']}: {signed(row['gain']['mean'])} points."
        blocks.append(Paragraph(text=(lost,), tone="hurts"))
    return Section(title="How well it finds", anchor="retrieval", blocks=tuple(blocks))


def _speed(result: dict[str, Any], sha256: str, source: Path, model: Path) -> Section:
    names = {each["system"]: each["model_sha256"] for each in result["systems"]}
    if sha256 not in names.values():
        raise UsageError(f"{source}: measured other files than {model}: measure it again")
    chosen = [
        each
        for each in result["rows"]
        if each["stage"] in ("infer", "query") and each["batch"] == 1 and "p50_ms" in each
    ]
    lead = (
        f"One query image at a time, all interleaved in one run on {_machine(result)}. "
        f"{busy(result)}Ratios are to {result['reference']['system']}, with "
        f"{ratio_interval(result)}; of fewer than {FEWEST_FOR_P99} calls there is no p99."
    )
    table = Table(
        caption="Speed",
        header=("model", "stage", "runtime", "threads", "p50, ms", "p99, ms", "ratio (95%)"),
        rows=tuple(
            (
                each["system"], each["stage"], each["runtime"], str(each["threads"]),
                number(each["p50_ms"], 2), p99(each, 2), _ratio(each["ratio"]),
            )
            for each in chosen
        ),
        right=(3, 4, 5),
    )  # fmt: skip
    return Section(title="How fast it is", anchor="speed", blocks=(Paragraph(text=(lead,)), table))


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine['processor']}, {machine['cores']} cores"


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return NONE
    return f"{ratio['estimate']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _share(value: float | None) -> str:
    return NONE if value is None else number(value, 3)
