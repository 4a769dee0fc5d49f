"""Yardsticks of the machine: operations and bytes a second, and how many a network needs.

The rate of operations is that of a large matrix product in onnxruntime, in float32; that of bytes
is of copying memory which no cache holds. Neither is a bound: a network's operations over the one
say how well the network is computed beside a product of matrices, and a convolution that needs
fewer operations than are counted, or whose matrices suit the processor better, takes less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["copy_rate", "operations_of", "product_rate"]

_EDGE = 1024
_COPIED_BYTES = 128 * 2**20
_REPEATS = 10


def product_rate(threads: int) -> float:
    """Return the operations a second (two for each multiply-add) of a large matrix product."""
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [_EDGE, _EDGE]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "product", ends[:2], ends[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    matrices = {name: rng.random(shape, np.float32) for name in "ab"}
    return 2 * _EDGE**3 / _shortest(lambda: session.run(None, matrices))


def copy_rate() -> float:
    """Return the bytes a second that one thread copies (each is read once and written once)."""
    source = np.ones(_COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    return _COPIED_BYTES / _shortest(lambda: np.copyto(target, source))


def operations_of(model: Path) -> int:
    """Return the operations that one image takes in a model file's products and convolutions."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(model)).graph
    shapes = {each.name: list(each.dims) for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        dims = each.type.tensor_type.shape.dim
        # The batch is the only axis without a number.
        shapes[each.name] = [dim.dim_value or 1 for dim in dims]
    total = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weights = shapes[node.input[1]]
        if node.op_type == "Conv":
            inner = math.prod(weights[1:])
        else:
            transposed = any(each.name == "transB" and each.i for each in node.attribute)
            inner = weights[-1] if transposed else weights[-2] if len(weights) > 1 else weights[0]
        total += 2 * inner * math.prod(shapes[node.output[0]])
    return total


def _shortest(call: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few calls, which little disturbed."""
    call()
    times: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
