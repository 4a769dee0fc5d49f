"""``bench latency``: what each stage costs, in every runtime, side by side in one run.

The result's format is in docs/latency-format.md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.energy import open_meter
from boost_edge.bench.fresh_process import BASELINES, cold_starts, peak_memory, query_command
from boost_edge.bench.latency_plan import LatencyPlan
from boost_edge.bench.latency_rows import OURS, Row, measure_rows, pictures_for
from boost_edge.bench.latency_runtimes import (
    TUNING,
    set_threads,
)
from boost_edge.bench.latency_stages import (
    PHOTO,
    STAGES,
    Photos,
    make_photos,
)
from boost_edge.bench.latency_systems import (
    System,
    describe_system,
    export_design,
    given_system,
    parse_design,
)
from boost_edge.bench.results import make_result
from boost_edge.bench.scenarios import run_scenarios
from boost_edge.bench.timing import RATIO_INTERVAL
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import BoostEdgeError, MissingExtraError
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.synthetic_gallery import fill_gallery

__all__ = ["measure_latency"]


def measure_latency(plan: LatencyPlan, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make the systems, time them as planned, and return the result.

    Raises
    ------
    UsageError
        When the plan makes no sense.
    ParityError
        When a runtime's embeddings are not those of the others.
    """
    plan.check()
    report = progress or silent
    threads_before = cv2.getNumThreads()
    load = list(os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="boost-edge-latency-") as temporary:
        folder = Path(temporary)
        photos = make_photos(folder / "photos", photo=plan.photo, small=plan.small, seed=plan.seed)
        try:
            systems = _make_systems(plan, folder, report)
            galleries = [_gallery(folder, number) for number in range(len(systems))]
            rows = measure_rows(plan, systems, galleries, photos, report)
            # First the starts: they compile the bytecode that the queries then find.
            starts = _measure_starts(plan, systems, photos, folder, report)
            described = _describe(plan, systems, photos, folder, report)
            scenarios = _measure_scenarios(plan, systems, folder, report)
        finally:
            cv2.setNumThreads(threads_before)
        sizes = [photos.photo.stat().st_size, photos.small.stat().st_size]
    return make_result(
        "latency",
        {
            "protocol": plan.protocol(),
            "reference": {"system": plan.reference or plan.names[0], "runtime": plan.runtimes[0]},
            "ratio_interval": RATIO_INTERVAL,
            "load_average_before": load,
            "photo_bytes": sizes,
            "energy": "RAPL" if open_meter() else "not exposed",
            "tuning": {name: TUNING[name] for name in plan.runtimes},
            "stages": STAGES,
            "systems": described,
            "rows": rows,
            "cold_starts": starts,
            "scenario_load": asdict(plan.load),
            "scenarios": scenarios,
        },
    )


def _make_systems(plan: LatencyPlan, folder: Path, report: Progress) -> list[System]:
    systems: list[System] = []
    total = len(plan.backbones) + len(plan.models)
    designs = [parse_design(name) for name in plan.backbones]
    for number, design in enumerate(designs):
        place = folder / f"system-{number}"
        place.mkdir()
        systems.append(export_design(design, place, image_size=plan.image_size, seed=plan.seed))
        report("exporting", len(systems), total)
    for model, name in zip(plan.models, plan.model_names, strict=True):
        systems.append(given_system(model, name))
        report("exporting", len(systems), total)
    for number, system in enumerate(systems):
        with Encoder.open(system.model, threads=1) as encoder:
            fill_gallery(
                _gallery(folder, number),
                encoder,
                images=plan.gallery_images,
                seed=plan.seed,
                size=PHOTO,
            )
        report("filling galleries", number + 1, total)
    return systems


def _describe(
    plan: LatencyPlan,
    systems: Sequence[System],
    photos: Photos,
    folder: Path,
    report: Progress,
) -> list[Row]:
    """Return what each system is, how large its file, and how much memory it takes."""
    described: list[Row] = []
    threads = max(plan.threads)
    for number, system in enumerate(systems):
        with Encoder.open(system.model, threads=1) as encoder:
            sha256 = encoder.sha256
        memory: dict[str, int | str | None] = {}
        if plan.starts:
            measure = partial(peak_memory, system, threads=threads)
            memory["query"] = measure(
                query=(_gallery(folder, number), photos.photo), folder=folder / "bytecode"
            )
            for runtime in plan.runtimes:
                memory[f"infer-{runtime}"] = _peak(measure, runtime)
        described.append(
            {**describe_system(system), "model_sha256": sha256, "peak_memory_bytes": memory}
        )
        report("peak memory", number + 1, len(systems))
    return described


def _peak(measure: Any, runtime: str) -> int | str | None:
    if runtime == "torch-compile":
        return "not measured: it would be the compiler's"
    try:
        peak: int | None = measure(runtime=runtime)
        return peak
    except BoostEdgeError as error:
        return f"not measured: {error}"


def _measure_starts(
    plan: LatencyPlan,
    systems: Sequence[System],
    photos: Photos,
    folder: Path,
    report: Progress,
) -> dict[str, dict[str, float]]:
    if not plan.starts:
        return {}
    commands = {
        f"query {system.name}": query_command(_gallery(folder, number), photos.photo)
        for number, system in enumerate(systems)
    }
    report("cold starts", 0, 1)
    found = cold_starts(
        {**BASELINES, **commands}, runs=plan.starts, folder=folder / "bytecode", seed=plan.seed
    )
    report("cold starts", 1, 1)
    return found


def _measure_scenarios(
    plan: LatencyPlan, systems: Sequence[System], folder: Path, report: Progress
) -> list[Row]:
    """Run the MLPerf-style scenarios on every system, with as many threads as there may be."""
    rows: list[Row] = []
    threads = max(plan.threads)
    set_threads(threads)
    logs = folder / "loadgen"
    logs.mkdir()
    total = len(systems) * len(plan.scenarios)
    for scenario in plan.scenarios:
        for system in systems:
            head = {"system": system.name, "runtime": OURS, "threads": threads}
            with Encoder.open(system.model, threads=threads) as encoder:
                infer = partial(_embed, encoder)
                try:
                    rows += [
                        head | row
                        for row in run_scenarios(
                            infer,
                            pictures_for(system, plan.seed),
                            scenarios=[scenario],
                            load=plan.load,
                            folder=logs,
                        )
                    ]
                except MissingExtraError as error:
                    rows.append({**head, "scenario": scenario, "unavailable": str(error)})
            report("MLPerf-style scenarios", len(rows), total)
    return rows


def _embed(encoder: Encoder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return encoder.run(images).embeddings


def _gallery(folder: Path, number: int) -> Path:
    return folder / f"gallery-{number}"
