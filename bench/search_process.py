"""Processes of ``bench search``: each engine is built, and opened once, in one of its own.

So that its seconds and its memory are its own: ``python -m boost_edge.bench.search_process
build|open ENGINE WORK`` prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.bench.own_process import run_python
from boost_edge.bench.peak import peak_bytes
from boost_edge.bench.search_data import draw_queries, load_vectors
from boost_edge.bench.search_engines import Engine
from boost_edge.bench.search_plan import SearchPlan, engine_of, read_plan
from boost_edge.runtime.replace import replacing

__all__ = ["built", "milliseconds", "opened"]

_K = 10
_SEARCHES = 200


def built(name: str, plan: SearchPlan, work: Path) -> dict[str, Any]:
    """Return the build record of an engine, which is built first where there is none."""
    record = work / f"{name}.build.json"
    if not record.exists():
        said = _run("build", name, work, threads=1 if name == "ours" else plan.threads)
        with replacing(record) as temporary:
            temporary.write_text(said + "\n", encoding="utf-8")
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content


def opened(name: str, work: Path) -> dict[str, Any]:
    """Return what it takes to open an engine and search for the first time, and its memory."""
    content: dict[str, Any] = json.loads(_run("open", name, work, threads=1))
    return content


def _run(verb: str, name: str, work: Path, *, threads: int) -> str:
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return run_python(
        ("-m", "boost_edge.bench.search_process", verb, name, os.fspath(work)),
        what=f"{work}: {verb} of {name}",
        environment=os.environ | dict.fromkeys(pools, str(threads)),
    ).strip()


def _build(engine: Engine, plan: SearchPlan, work: Path) -> dict[str, Any]:
    vectors = load_vectors(plan.data, work)
    started = time.perf_counter(), time.process_time()
    said = engine.build(vectors, work, threads=plan.threads)
    return {
        **said,
        "wall_seconds": time.perf_counter() - started[0],
        "cpu_seconds": time.process_time() - started[1],
        "peak_bytes": peak_bytes(),
        "bytes": _size(work / engine.files),
    }


def _open(engine: Engine, plan: SearchPlan, work: Path) -> dict[str, Any]:
    queries = draw_queries(plan.data, _SEARCHES)
    before = peak_bytes()
    model = milliseconds(lambda: _open_model(engine))
    opening = milliseconds(lambda: engine.open(work))
    first = milliseconds(lambda: engine.search(queries[0], _K))
    for query in queries[1:]:
        engine.search(query, _K)
    return {
        "open_ms": opening,
        "first_search_ms": first,
        **({"model_ms": model} if engine.name == "ours" else {}),
        "bytes_before": before,
        "peak_bytes": peak_bytes(),
    }


def _open_model(engine: Engine) -> None:
    """Open the model and load what is imported, so that opening is only that."""
    from boost_edge.bench.search_ours import Ours

    if isinstance(engine, Ours):
        engine.open_model()
    import usearch.index  # noqa: F401 # pyright: ignore[reportUnusedImport] - loaded only

    for package in engine.packages:
        __import__(package)


def milliseconds(do: Callable[[], object]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1e3


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def main() -> None:
    """Do what the arguments say."""
    verb, name, folder = sys.argv[1:]
    work = Path(folder)
    plan = read_plan(work)
    engine = engine_of(name, plan)
    # The first product of matrices starts NumPy's threads.
    np.matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))
    said = {"build": _build, "open": _open}[verb](engine, plan, work)
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
