"""``bench regression``: what fixed small workloads of the runtime cost, in instructions.

Seconds differ from run to run by more than most regressions; instructions of one thread hardly do,
whatever else the machine does. Valgrind shows programs a processor without AVX-512, so counts are
of the kernels for AVX2.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from boost_edge.bench.callgrind import count_marked, count_whole, find_valgrind, valgrind_version
from boost_edge.bench.compare import Limits, compare_results
from boost_edge.bench.regression_work import FEW, IMAGES, MANY, PHOTO, WORKLOADS, prepare
from boost_edge.bench.results import make_result
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.process_limits import available_threads
from boost_edge.runtime.progress import Progress, silent

__all__ = ["check_protocol", "compare_counts", "describe_protocol", "measure_regression"]

_STAGE = "counting instructions"
_PROGRAMS = ("work", "import", "bare")
# Whatever a user has set must not change what is counted.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
}
_KEPT = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_LIBRARIES = ("click", "numpy", "onnxruntime", "opencv-python-headless", "usearch")


def measure_regression(
    model: Path, *, runs: int = 3, progress: Progress | None = None
) -> dict[str, Any]:
    """Count the instructions of each of ``WORKLOADS`` in processes of their own.

    A workload's count is that of ``MANY`` calls less that of ``FEW``, for one call, so that
    whatever comes before or is done once cancels out.

    Parameters
    ----------
    model
        The file whose network is run; counts of different models do not compare.
    runs
        How many times all is done, each in new processes. The median is kept, and the spread
        (largest less smallest, over the median) is stated.

    Raises
    ------
    BoostEdgeError
        When valgrind is not there, or fails.
    """
    if runs < 1:
        raise UsageError(f"runs is {runs}, but must be at least 1")
    find_valgrind()
    report = progress or silent
    with tempfile.TemporaryDirectory(prefix="boost-edge-regression-") as temporary:
        folder = Path(temporary)
        report(_STAGE, 0, len(_PROGRAMS) * runs)
        prepare(folder, model)
        found = _count(folder, model, runs, report)
    return make_result(
        "regression",
        {
            "protocol": describe_protocol(model),
            "runs": runs,
            "workloads": dict(WORKLOADS),
            "rows": [_row(name, [each[name] for each in found]) for name in WORKLOADS],
        },
    )


def check_protocol(baseline: Mapping[str, Any], model: Path) -> None:
    """Refuse a baseline that was counted with another model, Python, library or valgrind.

    Raises
    ------
    UsageError
        When it was: most of a difference would not be this code's.
    """
    if differing := _differing(baseline["protocol"], describe_protocol(model)):
        raise UsageError(
            f"the baseline has {differing}: count a new baseline with --out, or compare all the "
            "same with --any-version"
        )


def compare_counts(
    baseline: Mapping[str, Any], result: Mapping[str, Any], *, growth: float
) -> dict[str, Any]:
    """Compare two results by ratio whatever their protocols, as `boost_edge.bench.compare` does."""
    old = {**baseline, "protocol": result["protocol"]}
    return compare_results(old, result, limits=Limits(instructions=growth))


def describe_protocol(model: Path) -> dict[str, Any]:
    """Return what two counts must have in common to be compared."""
    return {
        "counter": "callgrind Ir",
        "valgrind": valgrind_version(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "gallery_images": IMAGES,
        "photo": list(PHOTO),
        "calls": [FEW, MANY],
    }


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first difference of two protocols in words; empty where there is none."""
    before = {**old, **old.get("libraries", {})}
    after = {**new, **new["libraries"]}
    for key in sorted(before.keys() | after.keys()):
        if key != "libraries" and before.get(key) != after.get(key):
            return f"{key} {before.get(key)}, here it is {after.get(key)}"
    return ""


def _count(folder: Path, model: Path, runs: int, report: Progress) -> list[dict[str, int]]:
    """Return the counts of each run by workload; several programs run at the same time."""
    environment = {key: os.environ[key] for key in _KEPT if key in os.environ} | _ENVIRONMENT
    environment["PYTHONPYCACHEPREFIX"] = os.fspath(folder / "bytecode")
    work = (
        "-m",
        "boost_edge.bench.regression_work",
        os.fspath(folder),
        os.fspath(model.absolute()),
    )
    commands: dict[str, Sequence[str]] = {
        "work": (sys.executable, *work),
        "import": (sys.executable, "-c", "import boost_edge.cli.main"),
        "bare": (sys.executable, "-c", "pass"),
    }
    for command in commands.values():
        # Compiles the bytecode, which the counted runs then find.
        subprocess.run(  # noqa: S603 - this interpreter
            command, env=environment, check=False, capture_output=True
        )
    done: list[int] = []

    def count(job: tuple[int, str]) -> dict[str, int]:
        run, program = job
        place = folder / f"{program}-{run}"
        if program == "work":
            found = count_marked(commands[program], environment, place)
        else:
            found = {program: count_whole(commands[program], environment, place)}
        done.append(run)
        report(_STAGE, len(done), len(jobs))
        return found

    # The long ones first.
    jobs = [(run, program) for program in _PROGRAMS for run in range(runs)]
    with ThreadPoolExecutor(available_threads()) as pool:
        counts = list(pool.map(count, jobs))
    return [
        _workloads({name: n for (each, _), part in zip(jobs, counts, strict=True)
                    if each == run for name, n in part.items()})
        for run in range(runs)
    ]  # fmt: skip


def _workloads(parts: Mapping[str, int]) -> dict[str, int]:
    """Return the instructions of one call of each workload, from what was counted in parts."""
    found = {
        name: round((parts[f"{name}:{MANY}"] - parts[f"{name}:{FEW}"]) / (MANY - FEW))
        for name in WORKLOADS
        if f"{name}:{MANY}" in parts
    }
    found["query-without-network"] = found["query"] - found["encode"]
    found["import-cli"] = parts["import"] - parts["bare"]
    return found


def _row(name: str, counts: Sequence[int]) -> dict[str, Any]:
    middle = statistics.median(counts)
    return {
        "workload": name,
        "instructions": round(middle),
        "spread": (max(counts) - min(counts)) / middle,
        "by_run": list(counts),
    }
