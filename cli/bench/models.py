"""``boost-edge bench models``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.gains import between
from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, image_column_option, images_option, names
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import megabytes, table, warn, wrapped
from boost_edge.runtime.wording import counted

__all__ = ["models"]


@click.command("models")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    required=True,
    metavar="FILE",
    help="A model file; may be repeated: the others are compared with the first.",
)
@click.option(
    "--name-column",
    required=True,
    metavar="NAME",
    help="Column whose words grade what agrees.",
)
@click.option(
    "--attributes",
    callback=names,
    metavar="A,B",
    help="Columns to judge by; default: the paper's seven, else all that look categorical.",
)
@count_option(
    "--groups", default=100, text="How many groups of test images with equal attributes are drawn."
)
@count_option(
    "--per-group",
    default=10,
    least=2,
    text="How many images of each group; smaller groups are left out.",
)
@count_option("--seeds", default=5, text="How many samples are drawn.")
@click.option(
    "--unlike",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="Images of something else, of which nothing should be said for sure; may be repeated.",
)
@image_column_option
@result_options
def models(
    labels: Path,
    images: Path,
    model: tuple[Path, ...],
    name_column: str,
    attributes: tuple[str, ...] | None,
    groups: int,
    per_group: int,
    seeds: int,
    unlike: tuple[Path, ...],
    image_column: str | None,
    out: Path | None,
    json: bool,
) -> int:
    """Judge exported model files on images that were held back.

    LABELS has a column split, such as bench split writes: its test part is labelled and searched
    with each model, as users would, without torch.

    \b
    Example:
      boost-edge bench split styles.csv --images images/ \\
        --name-column productDisplayName --out split.csv
      boost-edge bench models split.csv --images images/ \\
        --name-column productDisplayName --model old.onnx --model new.onnx
    """
    with need_train_extra("judging models"):
        from boost_edge.bench.models import ModelsPlan, measure_models

        plan = ModelsPlan(
            name_column=name_column,
            attributes=attributes,
            image_column=image_column,
            groups=groups,
            per_group=per_group,
            seeds=seeds,
        )
        with Bars() as bars:
            result = measure_models(
                labels,
                images=images,
                models=model,
                plan=plan,
                unlike=unlike,
                out=out,
                progress=bars,
            )
    if result["missing"]:
        warn(f"{counted(result['missing'], 'image')} of the table missing, and not judged")
    for row in result["rows"]:
        if row["trained_on_this_table"] is False:
            warn(f"{row['model']}: was trained on another table: it may have seen test images")
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    protocol = result["protocol"]
    title = (
        f"{result['images']['test']:,} test images; retrieval: {protocol['groups']} groups of "
        f"{protocol['per_group']}, {result['seeds']} seeds"
    )
    lines = [*wrapped(title, indent=""), "", *_retrieval(result)]
    labelling = _labelling(result)
    return [*lines, "", *labelling] if labelling else lines


def _retrieval(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            row["model"],
            megabytes(row["bytes"]),
            str(row["dimensions"]),
            f"{row['map10']['mean']:.2f}",
            "" if row["map10"]["std"] is None else f"{row['map10']['std']:.2f}",
            "" if row["ndcg10"]["mean"] is None else f"{row['ndcg10']['mean']:.3f}",
            f"{row['relative_gain']:+.0%}" if row.get("relative_gain") is not None else "",
            between(row["gain"]["low"], row["gain"]["high"]) if "gain" in row else "",
        ]
        for row in result["rows"]
    ]
    header = ["model", "file", "D", "mAP@10", "std", "nDCG@10", "gain", "95% over images"]
    return table(header, rows, right=(1, 2, 3, 4, 5, 6), squeeze=0)


def _labelling(result: dict[str, Any]) -> list[str]:
    """Show how well each attribute is predicted: by attribute, then by model."""
    rows = [
        [
            row["model"],
            name,
            _share(judged["accuracy"]),
            _share(judged["majority"]),
            f"{judged['calibration_error']:.3f}",
            _share(judged["shown"]),
            _share(judged["shown_accuracy"]),
            *(_share(share) for share in judged.get("shown_unlike", {}).values()),
        ]
        for name in result["attributes"]
        for row in result["rows"]
        if (judged := row.get("attributes", {}).get(name)) is not None
    ]
    surely = f"p >= {result['shown_from']:g}"
    header = [
        *("model", "attribute", "accuracy", "majority", "error", surely, "of them right"),
        *(f"{surely}: {folder}" for folder in result.get("unlike", {})),
    ]
    return table(header, rows, right=tuple(range(2, len(header))), squeeze=0) if rows else []


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
