"""The folder that ``train`` writes and ``export`` reads: a training run.

::

    run/
      train.json              what was trained, on what, how well; written last
      backbone.safetensors    the backbone up to its last tap
      head.safetensors        the boost head (absent for the readout raw)
      samples/                copies of held-out images to measure an exported model on, then of
                              training images to calibrate one with

A run is complete alone: exporting it needs neither the labels, nor the images, nor the weights
file it was trained from. ``checkpoint*.safetensors`` and ``pictures.uint8`` are there while a
training is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boost_edge.export.artefacts import file_digest, read_tensors, writing
from boost_edge.runtime.errors import RunError
from boost_edge.runtime.manifest import (
    Attribute,
    AttributeQuality,
    ImageSpec,
    Readout,
    Training,
    Weights,
)
from boost_edge.runtime.records import format_version_of, record_from_json, record_to_json

if TYPE_CHECKING:
    from boost_edge.models.backbones import Backbone
    from boost_edge.models.head import BoostHead

__all__ = [
    "BACKBONE_FILE",
    "CHECKPOINT_FILE",
    "FINETUNED",
    "FINETUNE_CHECKPOINT_FILE",
    "HEAD_FILE",
    "PICTURES_FILE",
    "REFIT_CHECKPOINT_FILE",
    "RUN_FORMAT_VERSION",
    "SAMPLES_FOLDER",
    "FinetuneEpoch",
    "Losses",
    "RunRecord",
    "Sample",
    "is_complete",
    "load_backbone",
    "load_head",
    "read_run",
    "run_digest",
    "run_of_weights",
    "sample_paths",
    "write_run",
]

RUN_FORMAT_VERSION = 1
RECORD_FILE = "train.json"
BACKBONE_FILE = "backbone.safetensors"
HEAD_FILE = "head.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
REFIT_CHECKPOINT_FILE = "checkpoint-refit.safetensors"
FINETUNE_CHECKPOINT_FILE = "checkpoint-finetune.safetensors"
PICTURES_FILE = "pictures.uint8"
SAMPLES_FOLDER = "samples"
FINETUNED = "finetuned"
"""The name of weights that were trained with a run, and with those that took them over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Mean loss of every epoch, in nats per attribute; ``val`` is empty without such a part."""

    train: tuple[float, ...]
    val: tuple[float, ...]
    best_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image in ``samples/``: its file's name there, the part it is of, and its labels.

    ``codes`` has a number for each attribute of the training, equal for equal values and -1 where
    the value is not known.
    """

    name: str
    part: str
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneEpoch:
    """One pass over the training images, and how well the averaged weights did after it.

    ``size`` is the edge of the images it saw in pixels, ``train_loss`` its mean loss, smoothing
    and teacher included, ``val_loss`` in nats per attribute at the best temperatures,
    ``accuracy`` top-1 on the validation part by attribute, ``seconds`` what it took. The former two
    are ``None`` where no image of the validation part can tell.
    """

    size: int
    train_loss: float
    val_loss: float | None
    accuracy: tuple[float | None, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What ``train.json`` says.

    ``parts`` lists, by part, the names of the images as the label table writes them.
    ``head_width`` is ``None`` and ``head_sha256`` empty where no head was trained, ``finetune``
    empty where the backbone was frozen, ``samples`` in runs of versions that kept images without
    their labels.
    """

    format_version: int
    created_with: str
    backbone: str
    taps: tuple[str, ...]
    features: int
    weights: Weights
    image: ImageSpec
    backbone_sha256: str
    attributes: tuple[Attribute, ...]
    head_width: int | None
    head_sha256: str
    readout: Readout
    blend: float
    training: Training
    losses: Losses | None
    quality: tuple[AttributeQuality, ...]
    parts: dict[str, tuple[str, ...]]
    finetune: tuple[FinetuneEpoch, ...] = ()
    samples: tuple[Sample, ...] = ()


def write_run(folder: Path, record: RunRecord) -> None:
    """Complete a run: write its record, the last of its files, atomically."""
    with writing(folder / RECORD_FILE) as temporary:
        text = json.dumps(json.loads(record_to_json(record)), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def is_complete(folder: Path) -> bool:
    """Tell whether the folder holds a finished run."""
    return (folder / RECORD_FILE).is_file()


def run_digest(folder: Path) -> str:
    """Return the identity of a run: the sha256 of its record, which names all its parts."""
    return file_digest(folder / RECORD_FILE)


def run_of_weights(weights: str) -> Path | None:
    """Return the folder of the run that a choice of weights means, if it means one.

    ``imagenet`` and ``none`` mean themselves, whatever folders are called so.
    """
    folder = Path(weights)
    return folder if weights not in {"imagenet", "none"} and folder.is_dir() else None


def read_run(folder: Path) -> RunRecord:
    """Read a run's record and check its files against it.

    Raises
    ------
    RunError
        When the folder is no finished run, or a file is absent, damaged or of another run.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        unfinished = any(folder.glob("checkpoint*.safetensors"))
        raise RunError(
            f"{folder}: the training is not finished: run the same train command again"
            if unfinished
            else f"{folder}: not a training run (no {RECORD_FILE}): make one with boost-edge train"
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}): train again") from error
    version = format_version_of(raw)
    if type(version) is not int or version != RUN_FORMAT_VERSION:
        raise RunError(
            f"{path}: run format {version!r} is not known to this version, which reads format "
            f"{RUN_FORMAT_VERSION}: train again"
        )
    try:
        record = record_from_json(RunRecord, raw, "run")
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}): train again") from error
    _check_file(folder / BACKBONE_FILE, record.backbone_sha256)
    if record.head_sha256:
        _check_file(folder / HEAD_FILE, record.head_sha256)
    return record


def load_backbone(
    folder: Path,
    record: RunRecord,
    *,
    image_size: int | None = None,
    taps: Sequence[str] | None = None,
) -> Backbone:
    """Rebuild the backbone of a run, at its own or another image size in pixels.

    Raises
    ------
    WeightsError
        When the tensors are not those of this backbone, as with taps that end at another stage.
    """
    from boost_edge.models.restore import restore_backbone

    tensors, _ = read_tensors(folder / BACKBONE_FILE)
    return restore_backbone(
        record.backbone,
        taps=record.taps if taps is None else taps,
        image_size=image_size or record.image.size,
        weights=record.weights,
        state=tensors,
    )


def load_head(folder: Path, record: RunRecord) -> BoostHead | None:
    """Rebuild the head of a run; ``None`` where none was trained."""
    import torch

    from boost_edge.models.head import BoostHead

    if record.head_width is None:
        return None
    tensors, _ = read_tensors(folder / HEAD_FILE)
    classes = [len(attribute.values) for attribute in record.attributes]
    # Runs from before there were components, importances, combinations and what is typical have
    # none of them; some have a second head, which nothing reads now.
    tensors = {name: part for name, part in tensors.items() if not name.startswith("together.")}
    spread = tensors.get("spread")
    tensors.setdefault("importance", torch.ones(len(classes)))
    head = BoostHead(
        record.features,
        record.head_width,
        classes,
        standardise=bool(record.training.settings["standardise"]),
        components=None if spread is None else len(spread),
    )
    if "typical" in tensors:
        head.typical = torch.ones(())
    head.combinations = torch.zeros_like(tensors.setdefault("combinations", head.combinations))
    try:
        head.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{folder / HEAD_FILE}: does not fit its record: train again") from error
    return head.eval()


def sample_paths(folder: Path) -> list[Path]:
    """Return the sample images of a run, in a fixed order."""
    samples = folder / SAMPLES_FOLDER
    if not samples.is_dir():
        raise RunError(f"{samples}: missing: train again")
    return sorted(samples.iterdir())


def _check_file(path: Path, digest: str) -> None:
    if not path.is_file():
        raise RunError(f"{path}: missing: train again")
    if file_digest(path) != digest:
        raise RunError(f"{path}: is not the file that this run wrote: train again")
