"""The same network in onnxruntime, PyTorch (eager and compiled) and OpenVINO, each as tuned.

Every runtime is called in the same way: one batch at a time, from one thread, with a fixed number
of threads inside, and gives back numpy embeddings. All compute in float32, but for model files in
8 bits, which are given as they are to those runtimes that read ONNX.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.latency_systems import System, build_network
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.model_file import EMBEDDING, IMAGE

__all__ = ["RUNTIMES", "TUNING", "Infer", "RuntimeAbsentError", "open_runtime", "set_threads"]

# (N, S, S, 3) uint8 to (N, D) float32.
Infer: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

RUNTIMES = ("onnxruntime", "torch", "torch-compile", "openvino")
TUNING = {
    "onnxruntime": "as boost-edge runs it: all graph optimisations, threads that do not spin",
    "torch": "eager, no_grad, channels last; batch normalisation folded where there is any, "
    "attention as torchvision has it",
    "torch-compile": "as torch, with Inductor, static shapes and frozen weights; compiled for each "
    "number of threads and batch size",
    "openvino": "the same ONNX file, hint LATENCY, static shapes, float32 as everywhere (its own "
    "default is bfloat16 where the processor has it)",
}
_COMPILERS = ("c++", "g++", "clang++")


class RuntimeAbsentError(Exception):
    """A runtime cannot run a system here; the message says why, and becomes the row's."""


def set_threads(threads: int) -> None:
    """Let OpenCV, and torch where it is loaded, use so many threads."""
    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        torch: Any = sys.modules["torch"]
        torch.set_num_threads(threads)


def open_runtime(runtime: str, system: System, *, threads: int, batch: int) -> Infer:
    """Open a system in a runtime of ``RUNTIMES``.

    Raises
    ------
    RuntimeAbsentError
        When it is not installed, or cannot run the system.
    """
    match runtime:
        case "torch":
            return _open_torch(system)
        case "torch-compile":
            return _open_compiled(system, threads)
        case "openvino":
            return _open_openvino(system, threads, batch)
        case _:
            encoder = Encoder.open(system.model, threads=threads)
            return lambda images: encoder.run(images).embeddings


def _open_torch(system: System) -> Infer:
    torch = _need("torch")
    return _call_torch(torch, _torch_network(torch, system))


def _open_compiled(system: System, threads: int) -> Infer:
    torch = _need("torch")
    given = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ((given,) if given else _COMPILERS)):
        raise RuntimeAbsentError("no C++ compiler, which torch.compile needs: install g++")
    dynamo: Any = importlib.import_module("torch._dynamo")
    # One compiled version for each number of threads and batch size; without it, past eight of
    # them, torch goes back to eager mode and only says so in a log.
    dynamo.config.recompile_limit = 256
    dynamo.config.fail_on_recompile_limit_hit = True
    # It says on stderr that there is no GPU, which nobody asked about.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    set_threads(threads)
    network = torch.compile(
        _torch_network(torch, system), dynamic=False, options={"freezing": True}
    )
    return _call_torch(torch, network)


def _torch_network(torch: Any, system: System) -> Any:
    """Return the network as PyTorch's guides advise for inference on CPUs."""
    if system.run is None:
        raise RuntimeAbsentError("a model file holds no torch network")
    from boost_edge.models.fused import fold

    network: Any = build_network(system.run)
    # Folding also writes attention out in plain products, which torch's own kernels beat.
    if not any(isinstance(each, torch.nn.MultiheadAttention) for each in network.modules()):
        network = fold(network)
    return network.eval().to(memory_format=torch.channels_last)


def _call_torch(torch: Any, network: Any) -> Infer:
    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Not inference_mode: Inductor freezes weights only without gradients in this way.
        with torch.no_grad():
            return cast("NDArray[np.float32]", network(torch.from_numpy(images))[0].numpy())

    return infer


def _open_openvino(system: System, threads: int, batch: int) -> Infer:
    openvino = _need("openvino")
    core = openvino.Core()
    model = core.read_model(os.fspath(system.model))
    size = system.manifest.image.size
    model.reshape({IMAGE: [batch, size, size, 3]})
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        request.infer({IMAGE: images})
        return np.array(request.get_tensor(EMBEDDING).data, np.float32)

    return infer


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = "train" if module == "torch" else "bench"
        raise RuntimeAbsentError(
            f"{module} is not installed: pip install 'boost-edge[{extra}]'"
        ) from error
