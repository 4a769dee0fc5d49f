"""The machine and the libraries that a measurement was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import boost_edge

__all__ = ["describe_machine"]

_LIBRARIES = (
    "faiss-cpu",
    "hnswlib",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
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
    return {
        "boost_edge": boost_edge.__version__,
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": libraries,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
