"""A finished run as the teacher of a network that is trained as a whole: distillation.

The student learns from the labels, from the teacher's posteriors (Hinton et al., "Distilling the
knowledge in a neural network", 2015), and from what an image looks like to the teacher, which
also holds what its backbone learnt elsewhere. Only outputs pass over, no parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.features import extract_features
from boost_edge.export.run import load_backbone, load_head, read_run, run_digest
from boost_edge.runtime.errors import RunError, UsageError
from boost_edge.runtime.manifest import Attribute

__all__ = ["Lessons", "teach"]

_BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What a teacher says of n images.

    ``posteriors`` are A arrays ``(n, K_a) float32`` whose rows sum to 1, by the student's values;
    ``looks`` is ``(n, L) float32``, rows of length 1. ``sha256`` names the teacher's run.
    """

    sha256: str
    posteriors: tuple[NDArray[np.float32], ...]
    looks: NDArray[np.float32]


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
    record = read_run(run)
    head = load_head(run, record)
    if head is None:
        raise UsageError(f"{run}: has no head to teach with: train it without --readout raw")
    if [each.name for each in record.attributes] != [each.name for each in schema]:
        raise UsageError(
            f"{run}: knows the attributes {', '.join(each.name for each in record.attributes)}, "
            f"not {', '.join(each.name for each in schema)}: train it on the same labels"
        )
    columns = [
        _columns(ours, theirs, run) for ours, theirs in zip(schema, record.attributes, strict=True)
    ]
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
            _, logits = head(batch)
            for column, each in enumerate(logits):
                said = (each / head.temperature[column]).softmax(dim=1)[:, columns[column]]
                posteriors[column].append((said / said.sum(dim=1, keepdim=True)).numpy())
            looks.append(torch.nn.functional.normalize(head.look(batch), dim=1).numpy())
    return Lessons(
        sha256=run_digest(run),
        posteriors=tuple(np.concatenate(each) for each in posteriors),
        looks=np.concatenate(looks),
    )


def _columns(ours: Attribute, theirs: Attribute, run: Path) -> list[int]:
    """Return where the teacher has each of the student's values."""
    places = {value: place for place, value in enumerate(theirs.values)}
    if absent := [value for value in ours.values if value not in places]:
        raise UsageError(
            f"{run}: does not know {ours.name} {absent[0]}: train it on the same labels"
        )
    return [places[value] for value in ours.values]
