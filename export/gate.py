"""The gate that a model in 8 bits must pass: faster here, and nearly as good at finding.

::

    training images --calibrate--> ranges --quantise--> candidate --+-- mAP@10 on held-out images
                                               ^                    `-- time beside float32
                                               `-- more layers in float32, if too much is lost
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from boost_edge.export.float16 import store_float16
from boost_edge.export.onnx_file import save_model
from boost_edge.export.quantise import Calibrated, calibrate, keeps_to_7_bits, quantise
from boost_edge.export.race import race_models
from boost_edge.export.retrieval import average_precisions
from boost_edge.export.samples import Samples
from boost_edge.export.sensitivity import most_sensitive_first
from boost_edge.runtime.bootstrap import Interval, paired_bootstrap
from boost_edge.runtime.cpu_features import Processor, read_processor
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import GateError, UsageError
from boost_edge.runtime.manifest import Manifest, Quantisation

__all__ = ["loss_of", "pass_gate", "precisions_of"]

# The order of the layers needs fewer images than their ranges.
_JUDGED_ALONE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """What every candidate is compared with: the model in float32 and its average precisions."""

    fp32: Path
    manifest: Manifest
    samples: Samples
    precisions: NDArray[np.float64]
    processor: Processor
    reduce_range: bool
    max_loss: float


def pass_gate(
    fp32: Path,
    manifest: Manifest,
    samples: Samples,
    *,
    max_loss: float,
    folder: Path,
    begin: Callable[[str], None],
) -> tuple[onnx.ModelProto, Quantisation]:
    """Return the model in 8 bits, and what the gate measured.

    All layers are tried first. While that loses too much and is still faster, the most sensitive
    ones stay in float32: one, two, four and so on. So that luck with a few images does not decide,
    it is the upper end of the loss's 95% interval that must keep to the limit.

    Parameters
    ----------
    fp32
        The model file in float32, whose manifest is ``manifest``.
    samples
        Images to calibrate with, and others to measure on.
    max_loss
        Most points of mAP@10 that may be lost.
    folder
        Where files may be left that are of no use afterwards.
    begin
        Called with the name of each step as it begins.

    Raises
    ------
    GateError
        When no model in 8 bits is both faster and good enough.
    UsageError
        When there is nothing to quantise, or nothing to find among the images.
    """
    begin("calibrating")
    calibrated = calibrate(fp32, samples.calibration, folder)
    processor = read_processor()
    trial = _Trial(
        fp32=fp32,
        manifest=manifest,
        samples=samples,
        precisions=precisions_of(fp32, samples),
        processor=processor,
        reduce_range=keeps_to_7_bits(processor),
        max_loss=max_loss,
    )
    if np.isnan(trial.precisions).all():
        raise UsageError(
            "no two held-out images of the run have a label in common, so nothing can be measured: "
            "train on more images, or use another --precision"
        )
    tried: list[Quantisation] = []
    for kept in _plans(trial, calibrated, begin):
        begin(f"measuring int8 with {len(kept)} of {len(calibrated.layers)} layers in fp32")
        layers = [layer for layer in calibrated.layers if layer not in kept]
        # What stays in float32 is stored in half the room.
        model = store_float16(quantise(calibrated, layers, reduce_range=trial.reduce_range))
        found = _judge(trial, model, folder / "int8.onnx", calibrated, len(kept))
        tried.append(found)
        if not found.int8_ms < found.fp32_ms:
            # With more layers in float32 it only gets slower.
            break
        if found.loss_high <= max_loss:
            return model, found
    raise GateError(f"int8 is refused: {_refusal(tried)}")


def _plans(
    trial: _Trial, calibrated: Calibrated, begin: Callable[[str], None]
) -> Iterator[frozenset[str]]:
    """Yield which layers stay in float32, from none on."""
    yield frozenset()
    begin(f"finding out which of {len(calibrated.layers)} layers are sensitive")
    layers = most_sensitive_first(
        calibrated, trial.samples.calibration[:_JUDGED_ALONE], reduce_range=trial.reduce_range
    )
    count = 1
    while count < len(layers):
        yield frozenset(layers[:count])
        count *= 2


def _judge(
    trial: _Trial, model: onnx.ModelProto, path: Path, calibrated: Calibrated, kept: int
) -> Quantisation:
    """Write a candidate, and measure it beside the model in float32."""
    save_model(model, dataclasses.replace(trial.manifest, precision="int8"), path)
    before, after = trial.precisions, precisions_of(path, trial.samples)
    loss = loss_of(before, after)
    fp32_ms, int8_ms = race_models((trial.fp32, path), trial.samples.held_out[0])
    return Quantisation(
        layers=len(calibrated.layers),
        fp32_layers=kept,
        reduce_range=trial.reduce_range,
        calibration_images=len(trial.samples.calibration),
        images=loss.queries,
        map10_fp32=float(100 * np.nanmean(before)),
        map10_int8=float(100 * np.nanmean(after)),
        loss_low=loss.low,
        loss_high=loss.high,
        max_loss=trial.max_loss,
        fp32_ms=fp32_ms,
        int8_ms=int8_ms,
        processor=trial.processor.name,
    )


def precisions_of(model: Path, samples: Samples) -> NDArray[np.float64]:
    """Return what `average_precisions` says of a model file and the held-out images."""
    with Encoder.open(model) as encoder:
        return average_precisions(encoder.encode(samples.held_out), samples.codes)


def loss_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> Interval:
    """Return how many points of mAP@10 are lost between two of `precisions_of`, paired."""
    asked = ~np.isnan(before)
    return paired_bootstrap(100 * after[asked], 100 * before[asked])


def _refusal(tried: list[Quantisation]) -> str:
    """Return the figures of the first and of the last try, and what can be done."""
    first, last = tried[0], tried[-1]
    figures = [f"all {first.layers} layers in 8 bits: {_figures(first)}"]
    if last is not first:
        figures.append(f"with {last.fp32_layers} of them in fp32: {_figures(last)}")
    return (
        f"{'; '.join(figures)}; it must be faster and lose at most {last.max_loss:g} on "
        f"{last.images} held-out images: use --precision fp16, or allow more with --max-loss"
    )


def _figures(found: Quantisation) -> str:
    return (
        f"mAP@10 {found.map10_fp32:.1f} -> {found.map10_int8:.1f} (loses up to "
        f"{found.loss_high:.2f} with 95% confidence), {found.fp32_ms:.2f} -> {found.int8_ms:.2f} ms"
    )
