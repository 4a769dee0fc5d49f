"""What a process of its own costs: the cold start of ``boost-edge query``, and peak memory.

Bytecode is compiled into a folder of the measurement and the first, uncounted, run fills it, so
that neither a missing cache nor ``PYTHONDONTWRITEBYTECODE`` is taken for a slow start.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.bench.latency_runtimes import open_runtime, set_threads
from boost_edge.bench.latency_systems import System
from boost_edge.bench.own_process import run_python
from boost_edge.bench.peak import peak_bytes
from boost_edge.bench.timing import block_orders, percentile
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.manifest import Manifest

__all__ = [
    "BASELINES",
    "bare_command",
    "cold_starts",
    "main",
    "peak_memory",
    "query_command",
    "query_peak",
]

BASELINES: Mapping[str, Sequence[str]] = {
    "python": ("-c", "pass"),
    "python-imports": ("-c", "import click, sqlite3, numpy, cv2, onnxruntime"),
}
"""What a start is compared with: a bare interpreter, and one that imports the same libraries."""

_CALLS = 5
# The command line as it is, and behind what it prints the most memory that the process held.
_QUERY_PEAK = """
import re, sys
from boost_edge.__main__ import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        sys.stdout.write(re.search("VmHWM:[^0-9]*([0-9]+)", status.read())[1] + "\\n")
"""


def query_command(gallery: Path, image: Path) -> tuple[str, ...]:
    """Return the arguments of Python for one ``boost-edge query``."""
    where = (os.fspath(image), "--gallery", os.fspath(gallery))
    return ("-m", "boost_edge", "query", *where, "--format", "json")


def bare_command(model: Path, graph: Path, image: Path) -> tuple[str, ...]:
    """Return the arguments of Python for a bare script that does what a query must."""
    script = Path(__file__).with_name("bare_query.py")
    return ("-P", os.fspath(script), os.fspath(model), os.fspath(graph), os.fspath(image))


def query_peak(gallery: Path, image: Path, folder: Path) -> int | None:
    """Return the most memory in bytes that one ``boost-edge query`` holds; see `peak_memory`."""
    if not Path("/proc/self/status").exists():
        return None
    arguments = query_command(gallery, image)[2:]
    return 1024 * int(_run_python(("-c", _QUERY_PEAK, *arguments), folder).splitlines()[-1])


def cold_starts(
    commands: Mapping[str, Sequence[str]], *, runs: int, folder: Path, seed: int
) -> dict[str, dict[str, float]]:
    """Time fresh Python processes from start to exit, in turns, in milliseconds.

    Files are in the system's cache: it is the program's start that is cold, not the disk.

    Parameters
    ----------
    commands
        Name -> arguments of Python.
    folder
        Where compiled bytecode is kept.

    Returns
    -------
    dict
        Name -> ``p50_ms``, ``p90_ms``, ``min_ms`` over ``runs`` runs.
    """
    names = list(commands)
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        _run_python(commands[name], folder)
    for order in block_orders(len(names), runs, seed):
        for place in order:
            start = time.perf_counter_ns()
            _run_python(commands[names[place]], folder)
            times[names[place]].append((time.perf_counter_ns() - start) / 1e6)
    return {
        name: {
            "p50_ms": percentile(np.array(each), 0.5),
            "p90_ms": percentile(np.array(each), 0.9),
            "min_ms": min(each),
        }
        for name, each in times.items()
    }


def peak_memory(
    system: System,
    *,
    threads: int,
    folder: Path | None = None,
    runtime: str | None = None,
    query: tuple[Path, Path] | None = None,
) -> int | None:
    """Return the most memory in bytes that a fresh process holds; ``None`` without ``/proc``.

    With ``query``, a gallery and an image, the process answers a few queries as ``boost-edge
    query`` does; otherwise it runs the network a few times in ``runtime``. ``folder`` is where
    bytecode was compiled to, if it was.
    """
    task = {
        "name": system.name,
        "model": os.fspath(system.model.absolute()),
        "run": os.fspath(system.run.absolute()) if system.run else None,
        "manifest": system.manifest.to_json(),
        "threads": threads,
        "runtime": runtime,
        "query": [os.fspath(path.absolute()) for path in query] if query else None,
    }
    said = _run_python(("-m", "boost_edge.bench.fresh_process", json.dumps(task)), folder)
    peak: int | None = json.loads(said)
    return peak


def main(task: Mapping[str, Any]) -> None:
    """Do what `peak_memory` asks for, in this process, and print its peak."""
    if task["query"] is not None:
        gallery, image = task["query"]
        with Gallery.open(gallery, create=False, threads=task["threads"]) as opened:
            for _ in range(_CALLS):
                opened.query(image)
    else:
        system = System(
            name=task["name"],
            model=Path(task["model"]),
            run=Path(task["run"]) if task["run"] else None,
            manifest=Manifest.from_json(task["manifest"], source=task["model"]),
        )
        infer = open_runtime(task["runtime"], system, threads=task["threads"], batch=1)
        set_threads(task["threads"])
        size = system.manifest.image.size
        for _ in range(_CALLS):
            infer(np.zeros((1, size, size, 3), np.uint8))
    sys.stdout.write(json.dumps(peak_bytes()) + "\n")


def _run_python(arguments: Sequence[str], folder: Path | None) -> str:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key != "PYTHONDONTWRITEBYTECODE" and not key.startswith("BOOST_EDGE_")
    }
    if folder is not None:
        environment["PYTHONPYCACHEPREFIX"] = os.fspath(folder)
    return run_python(arguments, what="a fresh process of the measurement", environment=environment)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
