"""``bench models``: exported model files on images that a label table holds back.

What users get is what is judged: each file is opened by `boost_edge.Encoder` and runs on
onnxruntime, so this needs no torch. Labels are judged on the whole test part; retrieval as the
paper does it, on groups of images whose attributes all agree, drawn from the test part for each
seed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import gain_of, spread
from boost_edge.bench.judging import judge_embeddings
from boost_edge.bench.labelling import SHOWN_FROM, judge_predictions, shown_shares
from boost_edge.bench.metrics import chance_map_at_k
from boost_edge.bench.paper import PAPER_ATTRIBUTES
from boost_edge.bench.ranking import RANKING_METRICS
from boost_edge.bench.relevance import draw_groups, group_rows, relevance_matrix
from boost_edge.bench.results import make_result
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.runtime.crawl import find_images, require_paths
from boost_edge.runtime.encoder import Encoder, Encoding, read_manifest
from boost_edge.runtime.errors import ImageError, LabelTableError, UsageError
from boost_edge.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from boost_edge.export.labels import LabelTable

__all__ = ["ModelsPlan", "measure_models"]

_METRICS = ("map10", *RANKING_METRICS)
_PARTS = ("train", "val", "test")
_BYTES = 4
# Progress is told after so many images.
_CHUNK = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPlan:
    """What model files are judged by.

    Parameters
    ----------
    name_column
        The column whose words grade the relevance.
    attributes
        Columns to judge by; ``None`` for the paper's where the table has them all, else every one
        that looks categorical.
    image_column
        See `boost_edge.export.labels.read_labels`.
    groups, per_group
        How many groups of test images with equal attributes are drawn, and images of each.
    seeds
        How many times.
    """

    name_column: str
    attributes: tuple[str, ...] | None = None
    image_column: str | None = None
    groups: int = 100
    per_group: int = 10
    seeds: int = 5


def measure_models(
    labels: Path,
    *,
    images: Path,
    models: Sequence[Path],
    plan: ModelsPlan,
    unlike: Sequence[Path] = (),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judge model files on the test part of a label table, and return a row for each.

    ``unlike`` are folders of images of something else, whose labels are all wrong: for each of them
    ``shown_unlike`` is the share of its images that are said to have a value all the same.

    ``gain`` is the paired bootstrap interval of a model's mAP@10 over the first one's. Samples are
    drawn from one test part and overlap: it resamples images, each with its queries of all seeds.

    Raises
    ------
    UsageError
        When the table has no test part or cannot be used, has too few groups, no model is given,
        or one twice, or a folder of unlike images has none or the name of another.
    ModelFileError
        When a file is no model.
    ImageError
        When a test image cannot be read: a measurement has no room for gaps.
    MissingExtraError
        When ranx, or for a Parquet table pyarrow, is not installed.
    """
    _check(plan)
    names = _name(models)
    others = _find_unlike(unlike)
    for path in models:
        # A file that is no model should not be found out after minutes of work on the others.
        read_manifest(path)
    table = _read(labels, images, plan)
    part = {name: _rows(table, name) for name in _PARTS}
    test = part["test"]
    draws = [_draw(table, test, plan, seed) for seed in range(plan.seeds)]
    encoded: dict[str, Encoding] = {}
    rows: list[dict[str, Any]] = []
    for name, path in zip(names, models, strict=True):
        with Encoder.open(path) as encoder:
            files = [table.paths[int(row)] for row in test]
            encoded[name] = _encode(encoder, files, name, progress or silent)
            rows.append({"model": name, **_describe(encoder, table)})
            if encoder.manifest.attributes:
                rows[-1]["attributes"] = _judge_labels(
                    encoder, encoded[name], table, part, others, progress or silent
                )

    def measure(seed: int) -> Trial:
        (progress or silent)("ranking", seed, plan.seeds)
        return _measure_seed(table, test, draws[seed], encoded, plan)

    described = _describe_data(table, part, plan)
    what = {"data": described, "models": [row["sha256"] for row in rows], "names": names}
    trials = run_trials(plan.seeds, measure, what=what, out=out)
    (progress or silent)("ranking", plan.seeds, plan.seeds)
    # Where seeds share all queries, their scores are averaged by query before they are compared.
    asked = draws[0] if trials.paired else np.concatenate(draws)
    return make_result(
        "models",
        {
            **described,
            "samples": [trial.sample for trial in trials.seeds],
            "distinct_queries": len(np.unique(asked)),
            "chance_map10": 100 * chance_map_at_k(plan.groups * plan.per_group),
            "shown_from": SHOWN_FROM,
            "unlike": {folder: len(found) for folder, found in others.items()},
            "rows": [
                row | _scores(trials, row["model"], names[0], described["attributes"], asked)
                for row in rows
            ],
        },
    )


def _check(plan: ModelsPlan) -> None:
    if min(plan.groups, plan.seeds) < 1 or plan.per_group < 2:
        raise UsageError(
            f"{plan.groups} groups of {plan.per_group} images, {plan.seeds} seeds: at least one "
            "group of two images, and one seed"
        )


def _name(models: Sequence[Path]) -> list[str]:
    """Return what to call each model: its file's name, or where others have it too the path."""
    if not models or len({path.resolve() for path in models}) < len(models):
        raise UsageError("give at least one model file, and each of them once")
    files = [path.name for path in models]
    called = [path.name if files.count(path.name) == 1 else path.as_posix() for path in models]
    # It parts the names in a file of scores.
    return [name.replace("|", "_") for name in called]


def _find_unlike(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Return the images of each folder, by its name."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in found:
            raise UsageError(f"{folder}: another folder of unlike images is called {name} too")
        found[name] = sorted(find_images(require_paths([os.fspath(folder)])))
        if not found[name]:
            raise UsageError(f"{folder}: has no images")
    return found


def _judge_labels(
    encoder: Encoder,
    encoding: Encoding,
    table: LabelTable,
    part: dict[str, NDArray[np.int64]],
    others: dict[str, list[str]],
    report: Progress,
) -> dict[str, dict[str, Any]]:
    """Judge what a model says of the test part, and how often it is sure of unlike images."""
    schema = encoder.manifest.attributes
    judged = judge_predictions(
        schema, _said(encoding), table, test=part["test"], train=part["train"]
    )
    for each in judged.values():
        each["shown_unlike"] = {}
    for folder, files in others.items():
        try:
            found = _encode(encoder, files, folder, report)
        except ImageError as error:
            raise UsageError(f"{folder}: {error}: take it out of the folder") from error
        shares = shown_shares(schema, _said(found))
        for name, each in judged.items():
            each["shown_unlike"][folder] = shares[name]
    return judged


def _said(encoding: Encoding) -> NDArray[np.float32]:
    """Return the posteriors of a model that has attributes."""
    return cast("NDArray[np.float32]", encoding.attributes)


def _read(labels: Path, images: Path, plan: ModelsPlan) -> LabelTable:
    from boost_edge.export.label_files import read_table
    from boost_edge.export.label_images import check_column
    from boost_edge.export.labels import read_labels

    cells = read_table(labels)
    check_column(cells, plan.name_column, "--name-column")
    attributes = plan.attributes
    if attributes is None and set(PAPER_ATTRIBUTES) <= set(cells.columns):
        attributes = PAPER_ATTRIBUTES
    table = read_labels(
        labels, images=images, attributes=attributes, image_column=plan.image_column
    )
    if table.split is None or "test" not in table.split:
        raise LabelTableError(
            f"{labels}: has no column split that says which images are the test part: divide it by "
            "product with boost-edge bench split"
        )
    if plan.name_column not in table.columns:
        raise UsageError(f"--name-column {plan.name_column}: is the column that names the images")
    return table


def _rows(table: LabelTable, part: str) -> NDArray[np.int64]:
    return np.array([row for row, each in enumerate(table.split or ()) if each == part], np.int64)


def _draw(
    table: LabelTable, test: NDArray[np.int64], plan: ModelsPlan, seed: int
) -> NDArray[np.int64]:
    """Return the places in the test part that a seed asks, in their order."""
    names = [table.names[int(row)] for row in test]
    try:
        return draw_groups(
            table.codes[test], names, seed=seed, groups=plan.groups, per_group=plan.per_group
        )
    except UsageError as error:
        raise UsageError(f"{table.path}: in the test part {error}") from error


def _encode(encoder: Encoder, files: Sequence[Path | str], name: str, report: Progress) -> Encoding:
    parts: list[Encoding] = []
    for start in range(0, len(files), _CHUNK):
        parts.append(encoder.predict(files[start : start + _CHUNK]))
        report(f"encoding ({name})", min(start + _CHUNK, len(files)), len(files))
    posteriors = [part.attributes for part in parts if part.attributes is not None]
    return Encoding(
        embeddings=np.concatenate([part.embeddings for part in parts]),
        attributes=np.concatenate(posteriors) if posteriors else None,
    )


def _describe(encoder: Encoder, table: LabelTable) -> dict[str, Any]:
    """Return what a model file says of itself."""
    manifest, training = encoder.manifest, encoder.manifest.training
    return {
        "sha256": encoder.sha256,
        "bytes": encoder.path.stat().st_size,
        "precision": manifest.precision,
        "backbone": manifest.backbone,
        "taps": list(manifest.taps),
        "weights": {"name": manifest.weights.name, "source": manifest.weights.source},
        "readout": manifest.readout,
        "dimensions": manifest.dimensions,
        "bytes_per_image": _BYTES * manifest.dimensions,
        "image_size": manifest.image.size,
        "resize": manifest.image.resize,
        "recipe": training and training.recipe,
        "training_images": training and training.images.get("train"),
        "trained_on_this_table": training and training.labels_sha256 == table.sha256,
    }


def _describe_data(
    table: LabelTable, part: dict[str, NDArray[np.int64]], plan: ModelsPlan
) -> dict[str, Any]:
    groups = group_rows(table.codes[part["test"]], min_size=plan.per_group)
    return {
        "labels_sha256": table.sha256,
        "attributes": [attribute.name for attribute in table.attributes],
        "name_column": plan.name_column,
        "images": {name: len(part[name]) for name in _PARTS},
        "missing": len(table.missing),
        "protocol": {
            "groups": plan.groups,
            "per_group": plan.per_group,
            "groups_available": len(groups),
        },
        "seeds": plan.seeds,
    }


def _measure_seed(
    table: LabelTable,
    test: NDArray[np.int64],
    drawn: NDArray[np.int64],
    encoded: dict[str, Encoding],
    plan: ModelsPlan,
) -> Trial:
    numbers: list[int] = test[drawn].tolist()
    codes = table.codes[numbers]
    titles = table.columns[plan.name_column]
    relevance = relevance_matrix(codes, [titles[row] for row in numbers])
    attributes = tuple(attribute.name for attribute in table.attributes)
    asked = "\n".join(table.names[row] for row in numbers)
    return Trial(
        sample=hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest(),
        rows={
            name: judge_embeddings(each.embeddings[drawn], relevance, codes, attributes)
            for name, each in encoded.items()
        },
    )


def _scores(
    trials: Trials, name: str, base: str, attributes: Sequence[str], asked: NDArray[np.int64]
) -> dict[str, Any]:
    row: dict[str, Any] = {metric: spread(trials, name, metric) for metric in _METRICS}
    row["agreement10"] = {
        each: spread(trials, name, f"agreement.{each}")["mean"] for each in attributes
    }
    if name != base:
        gains = {metric: gain_of(trials, base, name, metric, images=asked) for metric in _METRICS}
        before = spread(trials, base, "map10")["mean"]
        row["gain"] = gains.pop("map10")
        row["relative_gain"] = row["gain"]["mean"] / before if before else None
        row["gains"] = gains
    return row
