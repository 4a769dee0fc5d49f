"""``export``: a run folder in, one self-describing ONNX file out."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import boost_edge
from boost_edge.export.artefacts import writing
from boost_edge.export.float16 import store_float16
from boost_edge.export.parity import check_parity, measure_parity
from boost_edge.export.run import (
    RunRecord,
    load_backbone,
    load_head,
    read_run,
    run_digest,
    sample_paths,
)
from boost_edge.models.fused import FusedEncoder, fold
from boost_edge.runtime.errors import ParityError, UsageError
from boost_edge.runtime.manifest import (
    FORMAT_VERSION,
    METADATA_KEY,
    ImageSpec,
    Manifest,
    Precision,
    Readout,
)

if TYPE_CHECKING:
    import onnx

__all__ = ["export_model"]

_OPSET = 18
# Left behind by a graph that was not folded or was exported in training mode.
_TRAINING_ONLY = frozenset({"BatchNormalization", "Dropout", "Identity"})


def export_model(
    run: Path,
    out: Path,
    *,
    readout: Readout | None = None,
    image_size: int | None = None,
    precision: Precision = "fp32",
    progress: Callable[[str], None] | None = None,
) -> Manifest:
    """Export a run as one ONNX file, check it against torch, and return its manifest.

    The file appears under its name only when the runtime reproduces torch on the run's sample
    images; otherwise nothing is written.

    Parameters
    ----------
    readout
        Another readout than the run was trained for; it needs a head unless it is ``raw``.
    image_size
        Another input size S in pixels than the run was trained at, where the backbone allows.
    precision
        ``fp16`` stores the weights in half the room; what is computed stays float32.
    progress
        Called with the name of each step as it begins.

    Raises
    ------
    RunError
        When the run is incomplete or damaged.
    UsageError
        When the readout needs a head that the run does not have, or the size does not suit.
    ParityError
        When the exported graph differs from torch.
    """
    begin = progress or _silent
    begin("reading the run")
    record = read_run(run)
    readout = readout or record.readout
    head = load_head(run, record)
    if head is None and readout != "raw":
        raise UsageError(
            f"{run}: was trained with --readout raw and has no head for the readout {readout}: "
            "train again without --readout raw"
        )
    if head is not None and head.together is None and readout == "together":
        raise UsageError(
            f"{run}: was trained without what the readout together needs: train again with "
            "--readout together"
        )
    backbone = load_backbone(run, record, image_size=image_size)
    network = FusedEncoder(
        backbone, None if readout == "raw" else head, readout, blend=record.blend
    )
    manifest = _describe(record, network, run_digest(run), readout, precision)
    begin("converting")
    model = _convert(network)
    if precision == "fp16":
        model = store_float16(model)
    with writing(out) as temporary:
        _save(model, manifest, temporary)
        begin("comparing with torch")
        parity = measure_parity(network, temporary, sample_paths(run), manifest.image)
        check_parity(parity, out, precision)
        manifest = dataclasses.replace(manifest, parity=parity)
        _save(model, manifest, temporary)
    return manifest


def _silent(step: str) -> None:
    """Take no notice of a step."""


def _describe(
    record: RunRecord,
    network: FusedEncoder,
    run_sha256: str,
    readout: Readout,
    precision: Precision,
) -> Manifest:
    raw = readout == "raw"
    size = network.backbone.image_size
    return Manifest(
        format_version=FORMAT_VERSION,
        created_with=f"boost-edge {boost_edge.__version__}",
        backbone=record.backbone,
        taps=record.taps,
        weights=record.weights,
        image=ImageSpec(size=size, resize=record.image.resize),
        features=record.features,
        readout=readout,
        dimensions=network.dimensions,
        attributes=() if raw else record.attributes,
        training=record.training,
        run_sha256=run_sha256,
        precision=precision,
        parity=None,
        # Measured at the training size: at another one it would be a claim nobody checked.
        quality=() if raw or size != record.image.size else record.quality,
    )


def _convert(network: FusedEncoder) -> onnx.ModelProto:
    """Trace the folded network with a dynamic batch."""
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


def _save(model: onnx.ModelProto, manifest: Manifest, path: Path) -> None:
    """Write the graph with its manifest, checked."""
    import onnx

    left = sorted({node.op_type for node in model.graph.node} & _TRAINING_ONLY)
    if left:
        raise ParityError(f"the graph still holds {', '.join(left)}: please report this")
    model.producer_name = "boost-edge"
    model.producer_version = boost_edge.__version__
    model.doc_string = ""
    for node in model.graph.node:
        # The exporter notes stack traces here, with paths of the machine it ran on.
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    onnx.save_model(model, os.fspath(path))
    # The bytes, not the path: the checker refuses names that are no UTF-8.
    onnx.checker.check_model(path.read_bytes(), full_check=True)
