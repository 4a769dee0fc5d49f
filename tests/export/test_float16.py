"""Weights in float16: half the file, the same computation."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from boost_edge.export.convert import export_model
from boost_edge.export.float16 import store_float16
from boost_edge.export.parity import LIMITS
from boost_edge.export.run import sample_paths
from boost_edge.export.train import TrainReport, TrainSettings
from boost_edge.runtime.encoder import Encoder


def product_of(*weights: NDArray[np.float32]) -> onnx.ModelProto:
    """Return a graph that multiplies its input (1, n) by each square weight, one after another."""
    names = ["x", *(f"y{place}" for place in range(1, len(weights) + 1))]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [names[place], f"w{place}"], [names[place + 1]])
            for place in range(len(weights))
        ],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, len(weights[0])])],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, [1, len(weights[0])])],
        [numpy_helper.from_array(weight, f"w{place}") for place, weight in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def types_of(model: onnx.ModelProto) -> list[int]:
    """Return the types of a model's weights, in order."""
    return [tensor.data_type for tensor in model.graph.initializer]


def optimised(path: Path, tmp_path: Path) -> onnx.ModelProto:
    """Return the graph that onnxruntime makes of a file when it opens it."""
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(tmp_path / "optimised.onnx")


@pytest.fixture(scope="module")
def exported(
    train_into: Callable[..., TrainReport],
    quick: TrainSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a folder with ``run`` and its models ``fp32.onnx`` and ``fp16.onnx``. Read only."""
    folder = tmp_path_factory.mktemp("float16")
    settings = dataclasses.replace(quick, backbone="resnet18", weights="none", image_size=64)
    train_into(folder / "run", settings)
    export_model(folder / "run", folder / "fp32.onnx")
    export_model(folder / "run", folder / "fp16.onnx", precision="fp16")
    return folder


def test_half_the_file(exported: Path) -> None:
    """The file is half as large, says what it is, and agrees with torch as far as it claims."""
    sizes = [(exported / name).stat().st_size for name in ("fp16.onnx", "fp32.onnx")]
    assert 0.49 < sizes[0] / sizes[1] < 0.52
    with Encoder.open(exported / "fp16.onnx") as encoder:
        manifest = encoder.manifest
    assert manifest.precision == "fp16"
    assert manifest.parity is not None
    assert manifest.parity.min_cosine >= LIMITS["fp16"].min_cosine
    assert manifest.parity.top10_overlap >= LIMITS["fp16"].top10_overlap


def test_same_computation(exported: Path, tmp_path: Path) -> None:
    """What onnxruntime runs has the same operators as in fp32, on float32, and no cast is left."""
    graphs = [optimised(exported / name, tmp_path).graph for name in ("fp32.onnx", "fp16.onnx")]
    kinds = [Counter(node.op_type for node in graph.node) for graph in graphs]
    assert kinds[0] == kinds[1]
    for graph in graphs:
        assert TensorProto.FLOAT16 not in {each.data_type for each in graph.initializer}


def test_embeddings_are_near(exported: Path) -> None:
    """Every held-out image is embedded as in fp32, to the accuracy of float16."""
    paths = sample_paths(exported / "run")
    with (
        Encoder.open(exported / "fp32.onnx") as whole,
        Encoder.open(exported / "fp16.onnx") as half,
    ):
        one, other = whole.encode(paths), half.encode(paths)
    assert (one * other).sum(axis=1).min() >= LIMITS["fp16"].min_cosine
    assert np.abs(one - other).max() > 0


def test_a_weight_that_does_not_fit_stays() -> None:
    """Values beyond float16's range, or below it, keep their weight in float32; small ones too."""
    ones = np.ones((32, 32), np.float32)
    large, tiny = ones.copy(), ones * 1e-9
    large[3, 5] = 65520.0
    model = store_float16(product_of(ones, large, tiny, ones * 65504, ones * 0))
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    assert types_of(model) == [half, single, single, half, half]
    assert types_of(store_float16(product_of(np.eye(8, dtype=np.float32)))) == [single]


def test_a_weight_that_is_used_twice() -> None:
    """One stored weight with one cast serves all who use it; the model given is left as it was."""
    weight = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    model = product_of(weight, weight)
    model.graph.node[1].input[1] = "w0"
    del model.graph.initializer[1]
    before = model.SerializeToString()
    stored = store_float16(model)
    assert model.SerializeToString() == before
    assert [node.op_type for node in stored.graph.node] == ["Cast", "MatMul", "MatMul"]
    data = stored.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    runtime: Any = onnxruntime
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.ones((1, 32), np.float32)
    rounded = weight.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ rounded @ rounded, rtol=1e-4)


def test_scales_of_a_quantised_model_stay() -> None:
    """What 8-bit weights are multiplied with is not rounded, however many channels there are."""
    model = product_of(np.ones((1024, 1024), np.float32))
    quantised = numpy_helper.from_array(np.ones((1024, 1024), np.int8), "w0")
    scales = numpy_helper.from_array(np.full(1024, 0.001, np.float32), "scales")
    del model.graph.initializer[:]
    model.graph.initializer.extend([quantised, scales])
    model.graph.node[0].input[1] = "weight"
    scale = helper.make_node("DequantizeLinear", ["w0", "scales"], ["weight"], axis=1)
    model.graph.node.insert(0, scale)
    assert types_of(store_float16(model)) == [TensorProto.INT8, TensorProto.FLOAT]
