"""The backbone of a training: built or fitted, and where that is asked for trained as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.batches import Pictures
from boost_edge.export.finetune import finetune
from boost_edge.export.finetune_recipe import FinetuneRecipe
from boost_edge.export.labels import LabelTable
from boost_edge.export.parts import Encoded, Part, make_parts
from boost_edge.export.pictures import load_pictures
from boost_edge.export.run import (
    FINETUNE_CHECKPOINT_FILE,
    FINETUNED,
    PICTURES_FILE,
    FinetuneEpoch,
    RunRecord,
    load_backbone,
    read_run,
    run_of_weights,
)
from boost_edge.export.splits import Split
from boost_edge.export.teacher import Ensemble, Teacher, hire_tutor, teach
from boost_edge.models.backbones import BACKBONES, Backbone, build_backbone, head_taps, parse_taps
from boost_edge.models.pca import fit_pca
from boost_edge.models.taps import Tap
from boost_edge.runtime.errors import ImageError, LabelTableError, UsageError
from boost_edge.runtime.images import load_image
from boost_edge.runtime.manifest import DEFAULT_DECODE, ImageSpec, Weights
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from boost_edge.export.train import TrainSettings

__all__ = ["make_backbone", "train_backbone", "without_known"]

# More images than this change the leading components no more.
_MOST_PCA_IMAGES = 10_000
# Validation stops a training, and chooses.
_FITTED = ("train", "val")


def without_known(table: LabelTable, split: Split, settings: TrainSettings) -> tuple[Split, int]:
    """Take out of the test part what the network or its teacher was trained on, by name.

    Return the split, and how many images that were.

    Raises
    ------
    RunError
        When the weights or a teacher are of a run that is not finished, or damaged.
    """
    records: list[RunRecord] = []
    if (run := run_of_weights(settings.weights)) is not None:
        records += [each for each in [read_run(run)] if each.weights.name == FINETUNED]
    records += [read_run(each) for each in settings.teachers]
    known = {name for record in records for part in _FITTED for name in record.parts[part]}
    rows: list[int] = split.test.tolist()
    kept = np.array([row for row in rows if table.names[row] not in known], dtype=np.int64)
    return replace(split, test=kept), len(rows) - len(kept)


def make_backbone(table: LabelTable, split: Split, settings: TrainSettings) -> Backbone:
    """Build the backbone with its weights; for PCA, fit it on the training images.

    Raises
    ------
    UsageError
        When an argument makes no sense, or the weights are those of a run with another backbone.
    RunError
        When the weights are those of a run that is not finished, or damaged.
    LabelTableError
        When too few images can be read to fit it on.
    WeightsError
        When the weights cannot be had.
    """
    if (run := run_of_weights(settings.weights)) is not None:
        return _from_run(run, settings)
    if settings.backbone != "pca":
        return build_backbone(
            settings.backbone,
            weights=settings.weights,
            taps=_chosen_taps(settings),
            image_size=settings.image_size,
        )
    size = settings.image_size or BACKBONES["pca"].image_size
    spec = ImageSpec(size=size, resize=settings.resize, decode=DEFAULT_DECODE)
    images: list[NDArray[np.uint8]] = []
    rows: list[int] = split.train[:_MOST_PCA_IMAGES].tolist()
    for row in rows:
        try:
            images.append(load_image(table.paths[row], spec))
        except ImageError:
            # The same image is met again, and reported, when the features are extracted.
            continue
    if len(images) < 2:
        raise LabelTableError(f"{table.path}: too few readable images to fit the backbone pca")
    return fit_pca(np.stack(images), taps=settings.taps)


def _chosen_taps(settings: TrainSettings) -> tuple[str, ...] | None:
    """Return the taps asked for; where none are, those that suit what is trained.

    Of a network that is built: one that is taken over from a run keeps the run's.
    """
    read_at_the_end = (
        settings.finetune is not None or settings.readout == "raw" or settings.recipe.reads_the_end
    )
    if settings.taps is not None or read_at_the_end:
        return settings.taps
    return head_taps(settings.backbone, settings.image_size)


def _from_run(folder: Path, settings: TrainSettings) -> Backbone:
    """Take over the backbone of a finished run, at its or another image size, with any taps."""
    record = read_run(folder)
    if settings.backbone != record.backbone:
        raise UsageError(
            f"{folder}: has the backbone {record.backbone}, not {settings.backbone}: give "
            f"--backbone {record.backbone}"
        )
    backbone = _with_taps(folder, record, settings)
    backbone.weights = Weights(
        name=record.weights.name,
        source=record.weights.source,
        sha256=record.backbone_sha256,
        licence=record.weights.licence,
    )
    return backbone


def _with_taps(folder: Path, record: RunRecord, settings: TrainSettings) -> Backbone:
    """Load the backbone up to the stage where the run's last tap is."""
    taps = record.taps
    if settings.taps is not None:
        taps = parse_taps("+".join(settings.taps), record.backbone)
    last, ends = (Tap.parse(each[-1]).stage for each in (taps, record.taps))
    if last != ends:
        raise UsageError(f"{folder}: ends at {ends}: leave --tap out, or give taps that end there")
    return load_backbone(folder, record, image_size=settings.image_size, taps=taps)


def train_backbone(
    out: Path,
    table: LabelTable,
    split: Split,
    backbone: Backbone,
    recipe: FinetuneRecipe,
    settings: TrainSettings,
    cache: Path | None,
    report: Progress,
) -> tuple[FinetuneEpoch, ...]:
    """Train the whole backbone in place, and return what each epoch came to.

    Raises
    ------
    LabelTableError
        When nothing is left to train on.
    UsageError, RunError
        When a teacher cannot teach, or a checkpoint belongs to something else.
    """
    rows: list[int] = np.concatenate([split.train, split.val]).tolist()
    file = out / PICTURES_FILE
    loaded = load_pictures(
        [table.paths[row] for row in rows],
        ImageSpec(size=backbone.image_size, resize=settings.resize, decode=DEFAULT_DECODE),
        file,
        progress=partial(report, "pictures"),
    )
    unread = {index for index, _ in loaded.skipped}
    encoded = {
        row: Encoded(digest=loaded.digests[index], features=np.empty(0, dtype=np.float32))
        for index, row in enumerate(rows)
        if index not in unread
    }
    schema, parts = make_parts(table, split, encoded)
    places = {table.paths[row]: index for index, row in enumerate(rows)}
    train_part, val_part = parts["train"], parts["val"]
    teachers: list[Teacher] = []
    for run in settings.teachers:
        if recipe.consistent:
            teachers.append(hire_tutor(run, schema))
        else:
            said = partial(report, "teacher")
            teachers.append(teach(run, train_part.paths, schema, cache=cache, progress=said))
    start = backbone.weights
    epochs = finetune(
        backbone,
        _pictures(train_part, loaded.pixels, places),
        _pictures(val_part, loaded.pixels, places),
        [len(attribute.values) for attribute in schema],
        recipe,
        seed=settings.seed,
        teacher=Ensemble(teachers) if teachers else None,
        checkpoint=out / FINETUNE_CHECKPOINT_FILE,
        progress=partial(report, "finetuning"),
    )
    backbone.weights = Weights(
        name=FINETUNED,
        source=f"{start.source}, then on {table.path.name}"
        if start.name == FINETUNED
        else f"trained on {table.path.name}, starting from {start.source}",
        sha256=start.sha256,
        licence=start.licence,
    )
    file.unlink()
    return epochs


def _pictures(part: Part, pixels: NDArray[np.uint8], places: Mapping[Path, int]) -> Pictures:
    rows = [places[path] for path in part.paths]
    return Pictures(pixels=pixels, rows=np.array(rows, dtype=np.int64), codes=part.rows.codes)
