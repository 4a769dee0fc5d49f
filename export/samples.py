"""The images that a run keeps, so that what is exported from it needs no others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.parts import Part
from boost_edge.export.run import SAMPLES_FOLDER, RunRecord, Sample
from boost_edge.export.temperature import UNKNOWN
from boost_edge.runtime.errors import ImageError, RunError, UsageError
from boost_edge.runtime.images import load_image
from boost_edge.runtime.manifest import ImageSpec

__all__ = ["Samples", "keep_samples", "read_samples"]

# To measure on, and to find the ranges of activations with.
_MOST_HELD_OUT = 256
_MOST_TRAINING = 64
# Large photos: after this many images, no more than fit into so many bytes.
_FEWEST = 32
_MOST_BYTES = 2**28
# Fewer say nothing about a point of mAP, and nothing about the range of an activation.
_FEWEST_HELD_OUT = 20
_FEWEST_TRAINING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Images of a run as the network takes them, ``(n, S, S, 3)`` uint8 RGB.

    ``calibration`` are of the training part, ``held_out`` of those that nothing was trained on,
    whose labels are ``codes`` ``(n, A)``: equal for equal values, -1 where unknown.
    """

    calibration: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    codes: NDArray[np.int64]


def keep_samples(run: Path, parts: Mapping[str, Part]) -> tuple[Sample, ...]:
    """Copy images into the folder ``samples`` of a run, and return what they are.

    First come up to 256 held-out images, those of the test part before those of the validation
    part, then up to 64 training images; fewer of each where they are large.
    """
    samples = run / SAMPLES_FOLDER
    shutil.rmtree(samples, ignore_errors=True)
    samples.mkdir(parents=True)
    kept: list[Sample] = []
    for names, most in ((("test", "val"), _MOST_HELD_OUT), (("train",), _MOST_TRAINING)):
        for part, row in _choose(parts, names, most):
            path = parts[part].paths[row]
            name = f"{len(kept):03d}{path.suffix.lower()}"
            shutil.copyfile(path, samples / name)
            codes: list[int] = parts[part].rows.codes[row].clip(min=UNKNOWN).tolist()
            kept.append(Sample(name=name, part=part, codes=tuple(codes)))
    return tuple(kept)


def read_samples(run: Path, record: RunRecord, spec: ImageSpec) -> Samples:
    """Read the images that a run keeps, with the labels of those that were held out.

    Raises
    ------
    RunError
        When an image is gone or damaged.
    UsageError
        When the run has no labels beside its images, or too few images to measure with.
    """
    if not record.samples:
        raise UsageError(
            f"{run}: was trained by a version that kept no labels with its images, which int8 is "
            "measured with: train again, or use another --precision"
        )
    training = [each for each in record.samples if each.part == "train"]
    # A head that was trained once more has learnt the validation part too.
    learnt = {"train", "val"} if record.training.refit else {"train"}
    held_out = [each for each in record.samples if each.part not in learnt]
    if len(held_out) < _FEWEST_HELD_OUT or len(training) < _FEWEST_TRAINING:
        raise UsageError(
            f"{run}: keeps {len(held_out)} held-out and {len(training)} training images, but int8 "
            f"is measured with at least {_FEWEST_HELD_OUT} and {_FEWEST_TRAINING}: train on more "
            "images, or use another --precision"
        )
    return Samples(
        calibration=_read(run, training, spec),
        held_out=_read(run, held_out, spec),
        codes=np.array([each.codes for each in held_out], np.int64),
    )


def _choose(
    parts: Mapping[str, Part], names: tuple[str, ...], most: int
) -> Iterator[tuple[str, int]]:
    """Yield part and row of the images to keep."""
    size = 0
    rows = [(part, row) for part in names for row in range(len(parts[part]))]
    for count, (part, row) in enumerate(rows[:most]):
        size += parts[part].paths[row].stat().st_size
        if count >= _FEWEST and size > _MOST_BYTES:
            return
        yield part, row


def _read(run: Path, samples: list[Sample], spec: ImageSpec) -> NDArray[np.uint8]:
    try:
        return np.stack([load_image(run / SAMPLES_FOLDER / each.name, spec) for each in samples])
    except ImageError as error:
        raise RunError(f"{error}: train again") from error
