"""``doctor``: can boost-edge work on this machine, how fast, and what to change.

Nothing of what may be broken is imported here: numpy, OpenCV, onnxruntime, USearch and SQLite are
tried in processes of their own, and so is the measurement.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from boost_edge.runtime.cpu_features import Processor, read_processor
from boost_edge.runtime.doctor_findings import (
    Finding,
    benchmark_findings,
    library_findings,
    machine_findings,
    order_findings,
    start_findings,
)
from boost_edge.runtime.import_probes import (
    LIBRARIES,
    ORDERS,
    Probe,
    ask_process,
    probe_library,
    probe_order,
    probe_start,
)
from boost_edge.runtime.process_limits import Limits, read_limits

__all__ = ["Diagnosis", "diagnose"]

# Of the benchmark, beside the seconds that it is given: opening a large model and gallery.
_MEASURE = """
from boost_edge.runtime.errors import BoostEdgeError
from boost_edge.runtime.self_benchmark import Plan, run_self_benchmark
try:
    tell(facts=run_self_benchmark(Plan(**json.loads(sys.argv[1]))))
except BoostEdgeError as error:
    tell(facts={"refused": str(error)})
"""
_SPARE_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the doctor saw.

    ``works`` is whether nothing serious was found. ``load`` is how many processes were running
    before the doctor began (mean of a minute). ``libraries`` are imports of one library each,
    ``orders`` of two; those of libraries that cannot be imported alone are left out, and then
    there are neither ``start``, the import of all that a query needs, nor ``benchmark``.
    OpenCV uses ``opencv_threads`` threads, the network ``limits.usable``; ``torch`` is its version,
    if it is installed. ``benchmark`` is as `run_self_benchmark` returns it, None where that failed.
    """

    works: bool
    processor: Processor
    limits: Limits
    load: float
    libraries: tuple[Probe, ...]
    torch: str | None
    orders: tuple[Probe, ...]
    start: Probe | None
    opencv_threads: int | None
    benchmark: Mapping[str, Any] | None
    findings: tuple[Finding, ...]
    seconds: float


def diagnose(
    *,
    model: Path | None,
    gallery: Path | None,
    given: bool,
    seconds: float,
    step: Callable[[str], None],
) -> Diagnosis:
    """Look at the machine, try the libraries, and measure.

    Parameters
    ----------
    model
        The model to measure; None for that of the gallery.
    gallery
        The gallery to search, in which nothing is written; None for a made one.
    given
        Whether these are the user's: where they cannot be used, boost-edge still works.
    seconds
        How long to measure, at least 0; 0 is to open model and gallery and no more.
    step
        Called with the name of each thing that is done, as it begins.
    """
    started = time.perf_counter()
    processor, limits, load = read_processor(), read_limits(), os.getloadavg()[0]
    libraries = _try_libraries(step)
    broken = {probe.name for probe in libraries if probe.status != "fine"}
    orders = _try_orders(broken, step)
    opencv = next(probe for probe in libraries if probe.name == "opencv").facts.get("threads")
    findings = [
        *library_findings(libraries),
        *order_findings(orders),
        *machine_findings(processor, limits, opencv_threads=opencv, variables=os.environ),
    ]
    start = measured = None
    if not broken:
        step("importing what a query needs")
        start = probe_start()
        forbidden = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
        findings += start_findings(start, forbidden=forbidden)
    if start is not None and start.status == "fine":
        step(f"measuring for {seconds:g} s")
        measured = _measure(model, gallery, seconds=seconds, threads=limits.usable)
        findings += benchmark_findings(measured, processor, limits, load, given=given)
    return Diagnosis(
        works=not any(finding.serious for finding in findings),
        processor=processor,
        limits=limits,
        load=load,
        libraries=libraries,
        torch=_version_of("torch"),
        orders=orders,
        start=start,
        opencv_threads=opencv,
        benchmark=measured.facts if measured is not None and "rows" in measured.facts else None,
        findings=tuple(sorted(findings, key=lambda finding: not finding.serious)),
        seconds=time.perf_counter() - started,
    )


def _try_libraries(step: Callable[[str], None]) -> tuple[Probe, ...]:
    probes: list[Probe] = []
    for name in LIBRARIES:
        step(f"importing {name}")
        probes.append(probe_library(name))
    return tuple(probes)


def _try_orders(broken: Collection[str], step: Callable[[str], None]) -> tuple[Probe, ...]:
    probes: list[Probe] = []
    for order in ORDERS:
        if not set(order) & set(broken):
            step(f"importing {' before '.join(order)}")
            probes.append(probe_order(order))
    return tuple(probes)


def _measure(model: Path | None, gallery: Path | None, *, seconds: float, threads: int) -> Probe:
    plan = {
        "model": None if model is None else os.fspath(model),
        "gallery": None if gallery is None else os.fspath(gallery),
        "seconds": seconds,
        "threads": threads,
    }
    return ask_process(
        "self-benchmark", _MEASURE, [json.dumps(plan)], seconds=seconds + _SPARE_SECONDS
    )


def _version_of(package: str) -> str | None:
    """Return the version of what is installed, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
