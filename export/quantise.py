"""Static quantisation by onnxruntime's own tools: the backbone's layers in 8 bits.

Activations become uint8 with one scale each, weights int8 with one scale for each output channel
(QDQ, "U8S8"): what onnxruntime has fast kernels for on any x86-64 and on ARM. What comes before the
first layer and after the features stays in float32: it takes little time, and the embedding is made
there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from boost_edge.runtime.cpu_features import Processor
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.model_file import IMAGE

__all__ = ["Calibrated", "backbone_layers", "calibrate", "keeps_to_7_bits", "quantise"]

_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
# Between two layers in 8 bits these work in 8 bits too: without them, each would convert.
_BETWEEN = frozenset({"Add", "Clip", "Concat", "MaxPool", "Relu"})
_TYPES = sorted(_LAYERS | _BETWEEN)
_BATCH = 8
# The rank of what these take and give in a convolutional network: maps (N, C, H, W). A
# transformer's sums (N, L, C) hold all that its layers have found, and do not survive 8 bits.
_MAP_RANK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A model that is ready to be quantised.

    ``ranges`` are onnxruntime's, of each activation. ``layers`` names the nodes that may be
    quantised, in the order of the graph, ``between`` those that follow them.
    """

    model: onnx.ModelProto
    ranges: Any
    layers: tuple[str, ...]
    between: tuple[str, ...]


def keeps_to_7_bits(processor: Processor) -> bool:
    """Return whether weights keep to 7 bits: unless it is known that sums cannot saturate.

    `Processor.needs_reduced_range` is whether it is known that they can.
    """
    return not (processor.family == "arm" or processor.has_int8_dot)


def calibrate(model: Path, images: NDArray[np.uint8], folder: Path) -> Calibrated:
    """Find the range of each activation on images.

    Parameters
    ----------
    model
        The exported file, in float32.
    images
        ``(n, S, S, 3)`` RGB, as the network takes them.
    folder
        Where files may be left that are of no use afterwards.

    Raises
    ------
    UsageError
        When the model has no layer to quantise.
    """
    from onnxruntime import quantization

    tools: Any = quantization
    prepared = folder / "prepared.onnx"
    # onnxruntime's symbolic shape inference fails on ReduceL2; onnx's own finds what is needed.
    tools.quant_pre_process(model, prepared, skip_symbolic_shape=True)
    ready = onnx.load(os.fspath(prepared))
    layers = backbone_layers(ready.graph)
    if not layers:
        raise UsageError("the backbone has no layer that could be quantised: use another precision")
    calibrator: Any = tools.create_calibrator(
        prepared,
        _TYPES,
        augmented_model_path=os.fspath(folder / "augmented.onnx"),
        calibrate_method=tools.CalibrationMethod.MinMax,
    )
    calibrator.collect_data(_Reader(images))
    return Calibrated(
        model=ready,
        ranges=calibrator.compute_data(),
        layers=layers,
        between=_between(ready.graph),
    )


def quantise(
    calibrated: Calibrated, layers: Collection[str], *, reduce_range: bool, between: bool = True
) -> onnx.ModelProto:
    """Return the model with some of its layers in 8 bits.

    Parameters
    ----------
    layers
        Names of ``calibrated.layers``; the others stay in float32.
    reduce_range
        Whether weights keep to 7 bits, so that sums of products do not saturate where the processor
        has no instruction for them: `boost_edge.runtime.cpu_features`.
    between
        Whether what lies between layers is quantised too.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType

    model = onnx.ModelProto()
    model.CopyFrom(calibrated.model)
    quantiser: Any = QDQQuantizer(
        model,
        True,  # for each channel
        reduce_range,
        QuantType.QInt8,  # weights
        QuantType.QUInt8,  # activations
        calibrated.ranges,
        [*layers, *(calibrated.between if between else ())],
        [],
        _TYPES,
        # The products of attention are of two activations each.
        {"MatMulConstBOnly": True},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    result: onnx.ModelProto = quantiser.model.model
    return result


class _Reader:
    """Gives a calibrator its batches; onnxruntime's protocol."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(
            np.split(images, range(_BATCH, len(images), _BATCH))
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch; ``None`` after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {IMAGE: batch}


def backbone_layers(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the names of the layers with weights that make the features."""
    weights = {tensor.name for tensor in graph.initializer}
    behind = {name for name in weights if name.startswith("head.")}
    layers: list[str] = []
    for node in graph.node:
        # From the head, or from the norm of bare features, on: the embedding.
        if node.op_type == "ReduceL2" or behind.intersection(node.input):
            behind.update(node.output)
        elif node.op_type in _LAYERS and node.input[1] in weights:
            layers.append(node.name)
    return tuple(layers)


def _between(graph: onnx.GraphProto) -> tuple[str, ...]:
    ranks = {each.name: len(each.type.tensor_type.shape.dim) for each in graph.value_info}
    return tuple(
        node.name
        for node in graph.node
        if node.op_type in _BETWEEN and ranks.get(node.output[0]) == _MAP_RANK
    )
