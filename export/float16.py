"""Weights stored in half the room: float16 in the file, float32 in every computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["store_float16"]

# Fewer values than this are not worth a node of their own: biases, means, shapes.
_FEWEST = 512
# float16 has a significand of 11 bits: what it can hold is at most half of 2^-10 away. A tensor
# that is farther has values below its range, which would be rounded to nothing.
_FARTHEST = 2.0**-10


def store_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights in float16, each cast to float32 where it is used.

    The casts depend on nothing but weights, so onnxruntime does them once, when it opens the file,
    and then computes as it does with weights in float32. A weight that float16 cannot hold stays as
    it is: one with a value beyond 65504, or with values so small that they would vanish.

    The model given is left as it was.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    casts: list[onnx.NodeProto] = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        half = _halved(numpy_helper.to_array(tensor))
        if half is None:
            continue
        # The cast takes over the name, so that nobody who uses the weight sees a difference.
        name, stored = tensor.name, f"{tensor.name}.float16"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    _put_first(graph, casts)
    return result


def _halved(values: NDArray[np.float32]) -> NDArray[np.float16] | None:
    """Return the values in float16; ``None`` where that is not worth it, or does not hold them."""
    if values.size < _FEWEST:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    error = np.linalg.norm((half.astype(np.float64) - values).ravel())
    if not error <= _FARTHEST * np.linalg.norm(values.astype(np.float64).ravel()):
        return None
    return half


def _put_first(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Put nodes before all others: a graph is in the order in which it is computed."""
    ordered = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(ordered)
