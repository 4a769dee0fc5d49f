"""Finished runs as the teachers of a network that is trained as a whole: distillation.

The student learns from the labels, from the teacher's posteriors (Hinton et al., "Distilling the
knowledge in a neural network", 2015), and from what an image looks like to the teacher, which
also holds what its backbone learnt elsewhere. Only outputs pass over, no parameters. Several
teachers speak as one (`Ensemble`).

A teacher looks once at every whole picture (`Lessons`), or at each step at the very pixels that
the student sees (`Tutor`; Beyer et al., "Knowledge distillation: A good teacher is patient and
consistent", 2022), which takes its own time at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from boost_edge.export.features import extract_features
from boost_edge.export.run import RunRecord, load_backbone, load_head, read_run, run_digest
from boost_edge.models.backbones import Backbone
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import RunError, UsageError
from boost_edge.runtime.manifest import Attribute, ResizePolicy

__all__ = [
    "Ensemble",
    "Lessons",
    "Said",
    "Teacher",
    "Tutor",
    "check_teacher",
    "hire_tutor",
    "teach",
]

_BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a teacher says of n images.

    ``posteriors`` are A tensors ``(n, K_a)`` whose rows sum to 1, by the student's values;
    ``looks`` is ``(n, L)``, rows of length 1. All are float32.
    """

    posteriors: tuple[Tensor, ...]
    looks: Tensor


class Teacher(Protocol):
    """Whoever can say something of the training images."""

    @property
    def sha256(self) -> str:
        """Name the run that teaches, and how."""
        ...

    @property
    def look_width(self) -> int:
        """Return the width L of what the teacher sees."""
        ...

    def say(self, items: NDArray[np.int64], pixels: Tensor) -> Said:
        """Speak of the training images ``(n,)``, now ``(n, s, s, 3) float32``, on their device."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What was said once of all n training images, as whole pictures: a `Teacher`.

    ``posteriors`` are A arrays ``(n, K_a) float32`` and ``looks`` ``(n, L) float32``, as in
    `Said`. ``sha256`` names the teacher's run.
    """

    sha256: str
    posteriors: tuple[NDArray[np.float32], ...]
    looks: NDArray[np.float32]

    @property
    def look_width(self) -> int:
        """Return the width L of what the teacher sees."""
        width: int = self.looks.shape[1]
        return width

    def say(self, items: NDArray[np.int64], pixels: Tensor) -> Said:
        """Say again what was said of these images; how they look now does not matter."""
        return Said(
            posteriors=tuple(
                torch.from_numpy(each[items]).to(pixels.device) for each in self.posteriors
            ),
            looks=torch.from_numpy(self.looks[items]).to(pixels.device),
        )


class Tutor:
    """A run that looks at what the student sees, scaled to ``size`` pixels: a `Teacher`.

    ``columns`` says for each attribute where the run has the student's values; ``sha256`` names
    the run.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: BoostHead,
        columns: Sequence[list[int]],
        sha256: str,
        size: int,
    ) -> None:
        self.sha256 = f"{sha256} consistent"
        self.look_width = head.look_width
        self._network = nn.ModuleList([backbone, head])
        self._backbone, self._head, self._columns = backbone, head, columns
        self._size = size
        self._device: torch.device | None = None

    def say(self, items: NDArray[np.int64], pixels: Tensor) -> Said:
        """Look at ``pixels`` ``(n, s, s, 3) float32``, and speak of them."""
        del items
        size = self._size
        if self._device != pixels.device:
            self._device = pixels.device
            self._network.to(pixels.device)
        with torch.no_grad():
            shown = interpolate(
                pixels.permute(0, 3, 1, 2),
                (size, size),
                mode="bilinear",
                antialias=size < pixels.shape[1],
            )
            features = self._backbone(shown.permute(0, 2, 3, 1)).float()
            with torch.autocast(pixels.device.type, enabled=False):
                return _said(self._head, features, self._columns)


class Ensemble:
    """Several teachers as one `Teacher`: the mean of their posteriors, their looks side by side."""

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.sha256 = " ".join(each.sha256 for each in teachers)
        self.look_width = sum(each.look_width for each in teachers)
        self._teachers = tuple(teachers)

    def say(self, items: NDArray[np.int64], pixels: Tensor) -> Said:
        """Let each speak of the same images ``pixels`` ``(n, s, s, 3) float32``."""
        said = [each.say(items, pixels) for each in self._teachers]
        posteriors = zip(*(each.posteriors for each in said), strict=True)
        return Said(
            posteriors=tuple(torch.stack(each).mean(dim=0) for each in posteriors),
            looks=normalize(torch.cat([each.looks for each in said], dim=1), dim=1),
        )


def teach(
    run: Path,
    paths: Sequence[Path],
    schema: Sequence[Attribute],
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Lessons:
    """Return what the run's backbone and head say of the images.

    Raises
    ------
    RunError
        When the run is incomplete or damaged, or cannot read one of the images.
    UsageError
        When the run has no head, or not the attributes and values of the student.
    """
    record, head, columns = _read_teacher(run, schema)
    features = extract_features(
        load_backbone(run, record),
        paths,
        resize=record.image.resize,
        cache=cache,
        progress=progress,
    )
    if features.skipped:
        raise RunError(f"{run}: cannot teach: {features.skipped[0][1]}")
    posteriors: list[list[NDArray[np.float32]]] = [[] for _ in schema]
    looks: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for batch in torch.split(torch.from_numpy(features.matrix), _BATCH):
            said = _said(head, batch, columns)
            for column, each in enumerate(said.posteriors):
                posteriors[column].append(each.numpy())
            looks.append(said.looks.numpy())
    return Lessons(
        sha256=run_digest(run),
        posteriors=tuple(np.concatenate(each) for each in posteriors),
        looks=np.concatenate(looks),
    )


def hire_tutor(run: Path, schema: Sequence[Attribute]) -> Tutor:
    """Return the run as one who looks over the student's shoulder.

    It looks at the size at which it was trained on crops itself, if it was: on whole pictures,
    which show things smaller, a network is best at a larger one.

    Raises
    ------
    RunError
        When the run is incomplete or damaged.
    UsageError
        When the run has no head, or not the attributes and values of the student.
    """
    record, head, columns = _read_teacher(run, schema)
    size = record.finetune[-1].size if record.finetune else record.image.size
    return Tutor(load_backbone(run, record), head, columns, run_digest(run), size)


def check_teacher(run: Path, names: Sequence[str], resize: ResizePolicy | None) -> RunRecord:
    """Return the record of a run that can teach a student of these attributes.

    ``resize`` is how the images were resized that it is to look at with the student, if it is.

    Raises
    ------
    RunError
        When the run is incomplete or damaged.
    UsageError
        When the run has no head, other attributes, or learnt from images that were resized in
        another way.
    """
    record = read_run(run)
    known = [each.name for each in record.attributes]
    if record.head_width is None:
        raise UsageError(f"{run}: has no head to teach with: train it without --readout raw")
    if known != list(names):
        raise UsageError(
            f"{run}: knows the attributes {', '.join(known)}, not {', '.join(names)}: train it on "
            "the same labels"
        )
    if resize not in (None, record.image.resize):
        raise UsageError(
            f"{run}: learnt with --resize {record.image.resize}, and cannot look at what is shown "
            f"with {resize}: train both with the same"
        )
    return record


def _read_teacher(
    run: Path, schema: Sequence[Attribute]
) -> tuple[RunRecord, BoostHead, list[list[int]]]:
    """Return the run's record and head, and where it has each of the student's values."""
    record = check_teacher(run, [each.name for each in schema], None)
    head = cast("BoostHead", load_head(run, record))
    columns = [
        _columns(ours, theirs, run) for ours, theirs in zip(schema, record.attributes, strict=True)
    ]
    head.eval()
    return record, head, columns


def _columns(ours: Attribute, theirs: Attribute, run: Path) -> list[int]:
    """Return where the teacher has each of the student's values."""
    places = {value: place for place, value in enumerate(theirs.values)}
    if absent := [value for value in ours.values if value not in places]:
        raise UsageError(
            f"{run}: does not know {ours.name} {absent[0]}: train it on the same labels"
        )
    return [places[value] for value in ours.values]


def _said(head: BoostHead, features: Tensor, columns: Sequence[list[int]]) -> Said:
    """Read the head's posteriors and look of features ``(n, F)``."""
    _, logits = head(features)
    posteriors: list[Tensor] = []
    for column, each in enumerate(logits):
        said = (each / head.temperature[column]).softmax(dim=1)[:, columns[column]]
        posteriors.append(said / said.sum(dim=1, keepdim=True))
    return Said(posteriors=tuple(posteriors), looks=normalize(head.look(features), dim=1))
