"""``export``: a run folder in, one self-describing ONNX file out."""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import boost_edge
from boost_edge.export.artefacts import writing
from boost_edge.export.float16 import store_float16
from boost_edge.export.gate import pass_gate
from boost_edge.export.onnx_file import save_model
from boost_edge.export.parity import check_parity, measure_parity
from boost_edge.export.run import (
    RunRecord,
    load_backbone,
    load_head,
    read_run,
    run_digest,
    sample_paths,
)
from boost_edge.export.samples import Samples, read_samples
from boost_edge.models.fused import FusedEncoder, fold
from boost_edge.runtime.errors import GateError, ParityError, UsageError
from boost_edge.runtime.manifest import (
    DEFAULT_MAX_LOSS,
    FORMAT_VERSION,
    Manifest,
    Precision,
    Quantisation,
    Readout,
)

if TYPE_CHECKING:
    import onnx

__all__ = ["convert_network", "export_model"]

_OPSET = 18
# torch takes its time; more images show no other fault.
_PARITY_IMAGES = 64


def export_model(
    run: Path,
    out: Path,
    *,
    readout: Readout | None = None,
    image_size: int | None = None,
    precision: Precision = "fp32",
    max_loss: float = DEFAULT_MAX_LOSS,
    progress: Callable[[str], None] | None = None,
) -> Manifest:
    """Export a run as one ONNX file, check it against torch, and return its manifest.

    The file appears under its name only when the runtime reproduces torch on the run's sample
    images, and in 8 bits only when it is faster and good enough; otherwise nothing is written.

    Parameters
    ----------
    readout
        Another readout than the run was trained for; it needs a head unless it is ``raw``.
    image_size
        Another input size S in pixels than the run was trained at, where the backbone allows.
    precision
        ``fp16`` stores the weights in half the room; what is computed stays float32. ``int8`` has
        the backbone compute in 8 bits, if it passes the gate of `boost_edge.export.gate`.
    max_loss
        Most points of mAP@10 that ``int8`` may lose.
    progress
        Called with the name of each step as it begins.

    Raises
    ------
    RunError
        When the run is incomplete or damaged.
    UsageError
        When the readout needs a head that the run does not have, the size does not suit, or the
        run keeps too few labelled images for ``int8``.
    ParityError
        When the exported graph differs from torch.
    GateError
        When no model in 8 bits is both faster and good enough.
    """
    begin = progress or _silent
    begin("reading the run")
    record = read_run(run)
    network = _load(run, record, readout or record.readout, image_size)
    manifest = _describe(record, network, run_digest(run))
    samples = read_samples(run, record, manifest.image) if precision == "int8" else None
    begin("converting")
    model = convert_network(network)
    if precision == "fp16":
        model, manifest = store_float16(model), dataclasses.replace(manifest, precision="fp16")
    images = sample_paths(run)[:_PARITY_IMAGES]
    with writing(out) as temporary:
        save_model(model, manifest, temporary)
        begin("comparing with torch")
        parity = measure_parity(network, temporary, images, manifest.image)
        check_parity(parity, out, manifest.precision)
        if samples is not None:
            model, quantisation = _quantise(temporary, manifest, samples, max_loss, out, begin)
            # The quality is what the network said before its weights were rounded.
            manifest = dataclasses.replace(
                manifest, precision="int8", quantisation=quantisation, quality=()
            )
            save_model(model, manifest, temporary)
            parity = measure_parity(network, temporary, images, manifest.image)
        manifest = dataclasses.replace(manifest, parity=parity)
        save_model(model, manifest, temporary)
    return manifest


def convert_network(network: FusedEncoder) -> onnx.ModelProto:
    """Trace the folded network with a dynamic batch, to a graph without a manifest.

    Raises
    ------
    ParityError
        When torch's exporter gives nothing.
    """
    size = network.backbone.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    names = ["embedding"] if network.head is None else ["embedding", "attributes"]
    with warnings.catch_warnings():
        # The exporter warns about its own use of deprecated torch functions.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            fold(network),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ParityError("torch's exporter returned nothing: please report this")
    model: onnx.ModelProto = program.model_proto
    return model


def _silent(step: str) -> None:
    """Take no notice of a step."""


def _load(run: Path, record: RunRecord, readout: Readout, image_size: int | None) -> FusedEncoder:
    """Rebuild the trained network, with a readout that it has."""
    head = load_head(run, record)
    if head is None and readout != "raw":
        raise UsageError(
            f"{run}: was trained with --readout raw and has no head for the readout {readout}: "
            "train again without --readout raw"
        )
    backbone = load_backbone(run, record, image_size=image_size)
    try:
        return FusedEncoder(
            backbone, None if readout == "raw" else head, readout, blend=record.blend
        )
    except UsageError as error:
        raise UsageError(f"{run}: {error}, and train again") from error


def _quantise(
    fp32: Path,
    manifest: Manifest,
    samples: Samples,
    max_loss: float,
    out: Path,
    begin: Callable[[str], None],
) -> tuple[onnx.ModelProto, Quantisation]:
    """Return the model in 8 bits if it passes the gate; ``out`` is the file to name if not."""
    with tempfile.TemporaryDirectory(prefix="boost-edge-") as folder:
        try:
            return pass_gate(
                fp32, manifest, samples, max_loss=max_loss, folder=Path(folder), begin=begin
            )
        except GateError as error:
            raise GateError(f"{out}: not written: {error}") from error


def _describe(record: RunRecord, network: FusedEncoder, run_sha256: str) -> Manifest:
    raw = network.readout == "raw"
    size = network.backbone.image_size
    return Manifest(
        format_version=FORMAT_VERSION,
        created_with=f"boost-edge {boost_edge.__version__}",
        backbone=record.backbone,
        taps=record.taps,
        weights=record.weights,
        image=dataclasses.replace(record.image, size=size),
        features=record.features,
        readout=network.readout,
        dimensions=network.dimensions,
        attributes=() if raw else record.attributes,
        training=record.training,
        run_sha256=run_sha256,
        precision="fp32",
        parity=None,
        # Measured at the training size: at another one it would be a claim nobody checked.
        quality=() if raw or size != record.image.size else record.quality,
    )
