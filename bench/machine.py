"""The machine and the libraries that a measurement was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import boost_edge
from boost_edge.runtime.cpu_features import read_processor

__all__ = ["describe_machine"]

_LIBRARIES = (
    "faiss-cpu",
    "hnswlib",
    "mlcommons-loadgen",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "openvino",
    "torch",
    "torchvision",
    "usearch",
)


def describe_machine() -> dict[str, object]:
    """Return processor, cores, system and library versions; nothing that names a person or host."""
    libraries: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    processor = read_processor()
    return {
        "boost_edge": boost_edge.__version__,
        "processor": processor.name,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "instructions": list(processor.instructions),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": libraries,
    }
