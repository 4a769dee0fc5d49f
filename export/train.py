"""``train``: labels and images in, a run folder out.

::

    label table --split--> rows --decode--> images --backbone--> features --fit--> head
                                                |                 |--calibrate--> temperatures
                                                |                 `--test part--> quality
                                                `--finetune--> backbone
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import boost_edge
from boost_edge.export.artefacts import file_digest, make_folder, write_tensors
from boost_edge.export.calibrate import measure_quality
from boost_edge.export.combinations import need_combinations
from boost_edge.export.contrast import need_library
from boost_edge.export.features import extract_features
from boost_edge.export.finetune_recipe import FinetuneRecipe
from boost_edge.export.fit import Fitted
from boost_edge.export.head_training import train_head
from boost_edge.export.labels import LabelTable, read_labels
from boost_edge.export.parts import Encoded, Part, images_digest, make_parts
from boost_edge.export.recipes import RECIPES, Recipe
from boost_edge.export.run import (
    BACKBONE_FILE,
    CHECKPOINT_FILE,
    FINETUNE_CHECKPOINT_FILE,
    HEAD_FILE,
    PICTURES_FILE,
    REFIT_CHECKPOINT_FILE,
    RUN_FORMAT_VERSION,
    FinetuneEpoch,
    Losses,
    RunRecord,
    Sample,
    is_complete,
    run_digest,
    write_run,
)
from boost_edge.export.samples import keep_samples
from boost_edge.export.splits import Split, split_rows
from boost_edge.export.teacher import check_teacher
from boost_edge.export.whole import make_backbone, train_backbone, without_known
from boost_edge.models.backbones import Backbone
from boost_edge.runtime.errors import ImageError, LabelTableError, RunError, UsageError
from boost_edge.runtime.manifest import (
    DEFAULT_DECODE,
    DEFAULT_READOUT,
    DEFAULT_RECIPE,
    DEFAULT_RESIZE,
    Attribute,
    AttributeQuality,
    ImageSpec,
    Readout,
    ResizePolicy,
    Training,
)
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.wording import counted

__all__ = ["TrainReport", "TrainSettings", "train", "train_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train; every field has the command line's default.

    Parameters
    ----------
    attributes, image_column
        See `boost_edge.export.labels.read_labels`.
    backbone, weights, taps, image_size
        See `boost_edge.models.backbones.build_backbone`. ``weights`` may also be the folder of a
        finished run, whose backbone is then taken over. Without taps the features are those that a
        head reads best (`boost_edge.models.backbones.head_taps`); of a network that is trained as
        a whole, for the readout ``raw`` and for a head as wide as its features (the recipe
        ``paper``) they are those of its end, and of a run that is taken over the run's.
    resize
        How an image becomes a square; see `boost_edge.runtime.manifest.ImageSpec`.
    readout
        What the embedding will be; ``raw`` trains no head.
    finetune
        Train the backbone too, all of it, before the head; ``None`` leaves it frozen.
    teachers
        Finished runs on the same labels to learn from besides; with ``finetune`` only.
    limit
        Fit on at most this many labelled images (the test part comes on top).
    test_part
        Measure the head on the test part; otherwise none of its images is read, and the run knows
        nothing of them.
    seed
        Decides the split, the initial weights and the order of the images.
    strict
        Refuse to start when an image of the table is missing.
    """

    attributes: tuple[str, ...] | None = None
    image_column: str | None = None
    backbone: str = "resnet18"
    weights: str = "imagenet"
    taps: tuple[str, ...] | None = None
    image_size: int | None = None
    resize: ResizePolicy = DEFAULT_RESIZE
    recipe: Recipe = RECIPES[DEFAULT_RECIPE]
    readout: Readout = DEFAULT_READOUT
    finetune: FinetuneRecipe | None = None
    teachers: tuple[Path, ...] = ()
    limit: int | None = None
    test_part: bool = True
    seed: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training did: the run, and the rows it had to leave out.

    ``missing`` are the rows (as the label table names them) whose image is absent, ``skipped``
    the images that could not be read; ``duplicates`` counts the rows that repeat another one,
    ``known`` the images left out of the test part because the network that it began with, or a
    teacher, had been trained on them.
    """

    folder: Path
    record: RunRecord
    missing: tuple[str, ...]
    duplicates: int
    skipped: tuple[ImageError, ...]
    known: int


def train(
    labels: Path,
    *,
    images: Path,
    out: Path,
    settings: TrainSettings,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a boost head on a frozen backbone and write the run to the folder ``out``.

    Calling it again with the same arguments after an interruption goes on where it stopped.
    ``cache`` is the folder of the feature cache (default: the user's cache folder);
    ``progress`` is called with (stage, done, total).

    Raises
    ------
    UsageError
        When ``out`` already holds a finished run, or an argument makes no sense.
    LabelTableError
        When the table cannot be used, or (``strict``) an image is missing.
    WeightsError
        When the backbone's weights cannot be had.
    RunError
        When ``out`` holds an unfinished run with other data or settings.
    """
    _check_settings(out, settings)
    table = read_labels(
        labels,
        images=images,
        attributes=settings.attributes,
        image_column=settings.image_column,
    )
    if settings.strict and table.missing:
        raise LabelTableError(
            f"{labels}: {counted(len(table.missing), 'image')} missing in {images}, the first is "
            f"{table.missing[0]}: mend the table, or train without --strict"
        )
    return train_on(table, out=out, settings=settings, cache=cache, progress=progress)


def train_on(
    table: LabelTable,
    *,
    out: Path,
    settings: TrainSettings,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train as `train` does, on labels that are read already.

    Raises
    ------
    BoostEdgeError
        As `train`.
    """
    report = progress or silent
    _check_settings(out, settings)
    teachers = _teacher_digests(table, settings)
    split = split_rows(table, seed=settings.seed, limit=settings.limit)
    if not settings.test_part:
        split = dataclasses.replace(split, test=split.test[:0])
    split, known = without_known(table, split, settings)
    recipe = settings.recipe
    if settings.readout == "together":
        learnt = split.fitted if recipe.refit or not recipe.validation else split.train
        need_combinations(table.codes[learnt], recipe.combination_images)
    make_folder(out)
    backbone = make_backbone(table, split, settings)
    epochs: tuple[FinetuneEpoch, ...] = ()
    if settings.finetune is not None:
        epochs = train_backbone(
            out, table, split, backbone, settings.finetune, settings, cache, report
        )
    if settings.readout != "raw" and not recipe.validation:
        # The head is trained on both.
        split = dataclasses.replace(split, train=split.fitted, val=split.val[:0])
    encoded, skipped = _encode(table, split, backbone, settings.resize, cache, report)
    schema, parts = make_parts(table, split, encoded)
    del encoded  # the parts have its features
    fitted: Fitted | None = None
    quality: tuple[AttributeQuality, ...] = ()
    if settings.readout != "raw":
        fitted = train_head(
            parts["train"].rows,
            parts["val"].rows if len(parts["val"]) else None,
            [len(attribute.values) for attribute in schema],
            recipe,
            seed=settings.seed,
            folder=out,
            progress=report,
        )
        quality = measure_quality(fitted.head, schema, parts["train"].rows, parts["test"].rows)
    _store(out, backbone, fitted)
    samples = keep_samples(out, parts)
    record = _describe(
        out, table, backbone, schema, parts, samples, fitted, quality, settings, teachers
    )
    record = dataclasses.replace(record, finetune=epochs)
    write_run(out, record)
    for name in (CHECKPOINT_FILE, REFIT_CHECKPOINT_FILE, FINETUNE_CHECKPOINT_FILE, PICTURES_FILE):
        (out / name).unlink(missing_ok=True)
    return TrainReport(
        folder=out,
        record=record,
        missing=table.missing,
        duplicates=table.duplicates,
        skipped=skipped,
        known=known,
    )


def _check_settings(out: Path, settings: TrainSettings) -> None:
    """Refuse what makes no sense before any work is done."""
    if is_complete(out):
        raise UsageError(
            f"{out}: already holds a finished run: choose another --out, or delete it first"
        )
    if settings.recipe.contrast:
        need_library()
    if settings.finetune is None and settings.teachers:
        raise UsageError("a teacher needs a network to teach: ask for finetune too")
    if settings.finetune is not None and settings.finetune.consistent and not settings.teachers:
        raise UsageError("--consistent is said of a teacher: give --teacher RUN too")
    if settings.finetune is not None and settings.backbone == "pca":
        raise UsageError("pca is fitted, and cannot be trained as a whole: choose a network")
    unfinished = out / FINETUNE_CHECKPOINT_FILE
    if settings.finetune is None and unfinished.exists():
        raise RunError(
            f"{unfinished}: belongs to an unfinished training with --finetune: go on with it, "
            "choose another --out, or delete the folder"
        )


def _encode(
    table: LabelTable,
    split: Split,
    backbone: Backbone,
    resize: ResizePolicy,
    cache: Path | None,
    report: Progress,
) -> tuple[dict[int, Encoded], tuple[ImageError, ...]]:
    """Return the readable images by row of the table, and what could not be read."""
    rows: list[int] = np.concatenate([split.train, split.val, split.test]).tolist()
    features = extract_features(
        backbone,
        [table.paths[row] for row in rows],
        resize=resize,
        cache=cache,
        progress=partial(report, "features"),
    )
    unread = {index for index, _ in features.skipped}
    encoded = {
        row: Encoded(digest=features.digests[index], features=features.matrix[index])
        for index, row in enumerate(rows)
        if index not in unread
    }
    return encoded, tuple(error for _, error in features.skipped)


def _store(out: Path, backbone: Backbone, fitted: Fitted | None) -> None:
    """Write the tensors."""
    write_tensors(out / BACKBONE_FILE, backbone.state_dict(), {})
    if fitted is not None:
        write_tensors(out / HEAD_FILE, fitted.head.state_dict(), {})


def _describe(
    out: Path,
    table: LabelTable,
    backbone: Backbone,
    schema: tuple[Attribute, ...],
    parts: dict[str, Part],
    samples: tuple[Sample, ...],
    fitted: Fitted | None,
    quality: tuple[AttributeQuality, ...],
    settings: TrainSettings,
    teachers: tuple[str, ...],
) -> RunRecord:
    recipe = settings.recipe
    return RunRecord(
        format_version=RUN_FORMAT_VERSION,
        created_with=f"boost-edge {boost_edge.__version__}",
        backbone=settings.backbone,
        taps=backbone.taps,
        features=backbone.width,
        weights=backbone.weights,
        image=ImageSpec(size=backbone.image_size, resize=settings.resize, decode=DEFAULT_DECODE),
        backbone_sha256=file_digest(out / BACKBONE_FILE),
        attributes=schema if fitted else (),
        head_width=fitted.head.width if fitted else None,
        head_sha256=file_digest(out / HEAD_FILE) if fitted else "",
        readout=settings.readout,
        blend=recipe.blend,
        training=Training(
            labels_sha256=table.sha256,
            images_sha256=images_digest(parts),
            images={name: len(part) for name, part in parts.items()},
            recipe=recipe.name if fitted else "none",
            settings=_settings(settings, fitted is not None, teachers),
            seed=settings.seed,
            epochs=len(fitted.history) if fitted else 0,
        ),
        losses=_losses(fitted) if fitted else None,
        quality=quality,
        parts={name: part.names for name, part in parts.items()},
        samples=samples,
    )


def _teacher_digests(table: LabelTable, settings: TrainSettings) -> tuple[str, ...]:
    """Return what names the runs that teach, after a look whether they can teach this."""
    consistent = settings.finetune is not None and settings.finetune.consistent
    for run in settings.teachers:
        names = [each.name for each in table.attributes]
        check_teacher(run, names, settings.resize if consistent else None)
    return tuple(run_digest(run) for run in settings.teachers)


def _settings(
    settings: TrainSettings, with_head: bool, teachers: tuple[str, ...]
) -> dict[str, float | int | str | bool | None]:
    """Return the head's settings, and those of the network's training under ``finetune_``."""
    values = settings.recipe.settings() if with_head else {}
    if settings.finetune is not None:
        whole = settings.finetune.settings()
        values |= {f"finetune_{name}": value for name, value in whole.items()}
        if teachers:
            values["finetune_teacher_run"] = " ".join(teachers)
    return values


def _losses(fitted: Fitted) -> Losses:
    return Losses(
        train=tuple(epoch.train_loss for epoch in fitted.history),
        val=tuple(epoch.val_loss for epoch in fitted.history if epoch.val_loss is not None),
        best_epoch=fitted.best_epoch,
    )
