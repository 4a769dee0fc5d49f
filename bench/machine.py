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
    "mlcommons-loadgen",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "openvino",
    "torch",
    "torchvision",
    "usearch",
)
# What decides how fast a network runs on an x86-64 or ARM64 processor.
_INSTRUCTIONS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


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
        "instructions": _instructions(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": libraries,
    }


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or "unknown"


def _instructions() -> list[str]:
    known = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [name for name in _INSTRUCTIONS if name in known]


def _cpuinfo(key: str) -> str:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""
