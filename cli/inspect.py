"""``boost-edge inspect``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.options import json_option
from boost_edge.cli.render import (
    counts,
    megabytes,
    of_gallery,
    print_json,
    printable,
    quality_table,
    quantisation_facts,
    table,
)
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Manifest
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.export.run import RunRecord
    from boost_edge.runtime.gallery_facts import GalleryStats

__all__ = ["command"]


@click.command("inspect")
@click.argument("target", type=click.Path(path_type=Path, readable=False), metavar="FILE_OR_DIR")
@json_option
def command(target: Path, json: bool) -> int:
    """Show what a model file, a training run or a gallery is.

    Also where it comes from: every artefact names its parents by their sha256.

    \b
    Example:
      boost-edge inspect model.onnx
      boost-edge inspect .boost-edge
    """
    if not target.exists():
        raise UsageError(f"{target}: there is no gallery here, and no model or run either")
    if target.is_dir():
        facts, text = _run(target) if (target / "train.json").exists() else _gallery(target)
    else:
        facts, text = _model(target)
    if json:
        print_json(facts)
    else:
        click.echo("\n".join(text))
    return ExitCode.FINE


def _model(path: Path) -> tuple[dict[str, Any], list[str]]:
    from boost_edge.runtime.model_file import open_model

    opened = open_model(path, threads=1, optimisation="none")
    manifest, sha256 = opened.manifest, opened.sha256
    size = path.stat().st_size
    facts = {
        "kind": "model",
        "path": str(path),
        "sha256": sha256,
        "bytes": size,
        "manifest": dataclasses.asdict(manifest),
    }
    return facts, _model_text(path, sha256, size, manifest)


def _model_text(path: Path, sha256: str, size: int, manifest: Manifest) -> list[str]:
    weights = manifest.weights
    rows = [
        ["model", f"{path}, {megabytes(size)}, {manifest.precision}"],
        ["sha256", sha256],
        ["made with", manifest.created_with],
        [
            "backbone",
            f"{manifest.backbone} {'+'.join(manifest.taps)}, {manifest.features} features",
        ],
        [
            "weights",
            f"{weights.name} ({weights.source}), {weights.licence or 'licence not stated'}",
        ],
        [
            "input",
            f"{manifest.image.size} x {manifest.image.size} px, {manifest.image.resize}"
            + (", large JPEGs decoded in part" if manifest.image.decode else ""),
        ],
        [
            "embedding",
            f"{manifest.readout}, {manifest.dimensions} dimensions, "
            f"{manifest.dimensions * 4} bytes an image",
        ],
    ]
    if manifest.training is not None:
        training = manifest.training
        rows.append(
            [
                "training",
                f"recipe {training.described}, seed {training.seed}, "
                f"{counts(training.images)} images",
            ]
        )
        rows.append(["labels", f"sha256 {training.labels_sha256}"])
    if manifest.parity is not None:
        parity = manifest.parity
        rows.append(
            ["parity", f"min cosine {parity.min_cosine:.7f} to torch on {parity.images} images"]
        )
    if manifest.quantisation is not None:
        rows += quantisation_facts(manifest.quantisation)
    lines = _facts(rows)
    if manifest.attributes:
        lines += ["", *_attribute_table(manifest)]
    if manifest.quality:
        lines += ["", *quality_table(manifest.quality)]
    return lines


def _attribute_table(manifest: Manifest) -> list[str]:
    return table(
        ["attribute", "values", ""],
        [
            [each.name, str(len(each.values)), ", ".join(each.values)]
            for each in manifest.attributes
        ],
        right=(1,),
    )


def _run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    from boost_edge.cli.extras import need_train_extra

    with need_train_extra("inspecting a training run"):
        from boost_edge.export.run import read_run

        record = read_run(folder)
    rows = [
        ["run", str(folder)],
        ["made with", record.created_with],
        ["backbone", f"{record.backbone} {'+'.join(record.taps)}, {record.features} features"],
        ["weights", f"{record.weights.name} ({record.weights.source})"],
        ["head", "none" if record.head_width is None else f"width {record.head_width}"],
        ["readout", record.readout],
        [
            "training",
            f"recipe {record.training.described}, {record.training.epochs} epochs, "
            f"seed {record.training.seed}, {counts(record.training.images)} images",
        ],
    ]
    lines = _facts(rows)
    if record.finetune:
        lines += ["", *_epoch_table(record)]
    if record.quality:
        lines += ["", *quality_table(record.quality)]
    facts = {"kind": "run", "path": str(folder), "record": dataclasses.asdict(record)}
    return facts, lines


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _epoch_table(record: RunRecord) -> list[str]:
    """Return what each epoch of a whole network came to on the validation part."""
    # A run without a head names no attributes.
    names = [attribute.name for attribute in record.attributes]
    return table(
        ["epoch", "px", "loss", "validation", *names, "minutes"],
        [
            [
                str(number),
                str(epoch.size),
                f"{epoch.train_loss:.3f}",
                _optional(epoch.val_loss),
                *map(_optional, epoch.accuracy[: len(names)]),
                f"{epoch.seconds / 60:.1f}",
            ]
            for number, epoch in enumerate(record.finetune, start=1)
        ],
        right=range(4 + len(names) + 1),
    )


def _gallery(folder: Path) -> tuple[dict[str, Any], list[str]]:
    from boost_edge.runtime.gallery_facts import gallery_stats

    stats = gallery_stats(folder)
    facts = of_gallery(stats.path, dataclasses.asdict(stats))
    rows = [
        ["gallery", str(stats.path)],
        ["images", f"{stats.images:,}" + (f", {stats.deleted:,} deleted" if stats.deleted else "")],
        ["attributes", ", ".join(stats.attributes) or "none"],
        ["size", megabytes(stats.bytes_on_disk)],
        ["embedding", f"{stats.dimensions} dimensions"],
        ["search cache", f"{_cache(stats)}, vectors {stats.vectors}"],
        ["model", stats.model_path],
        ["sha256", stats.model_sha256],
        ["format", f"version {stats.format_version}, generation {stats.generation}"],
    ]
    return {"kind": "gallery", **facts}, _facts(rows)


def _cache(stats: GalleryStats) -> str:
    match stats.cache:
        case "not needed":
            return "none needed"
        case "missing" | "unusable":
            return f"{stats.cache}: the next search builds it"
        case "behind":
            return f"{counted(stats.cache_newer, 'image')} newer"
        case "up to date":
            return stats.cache


def _facts(rows: list[list[str]]) -> list[str]:
    """Lay out names and values, without cutting a value."""
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {printable(value)}" for name, value in rows]
