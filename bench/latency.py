"""``bench latency``: what each stage costs, in every runtime, side by side in one run.

The result's format is in docs/latency-format.md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.energy import open_meter
from boost_edge.bench.fresh_process import BASELINES, cold_starts, peak_memory, query_command
from boost_edge.bench.latency_pictures import draw_photo
from boost_edge.bench.latency_plan import LatencyPlan
from boost_edge.bench.latency_runtimes import (
    TUNING,
    Infer,
    RuntimeAbsentError,
    open_runtime,
    set_threads,
)
from boost_edge.bench.latency_stages import (
    PHOTO,
    STAGES,
    Photos,
    make_photos,
    stage_calls,
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
from boost_edge.bench.timing import (
    RATIO_INTERVAL,
    Case,
    Ratio,
    Timing,
    compare_blocks,
    time_cases,
)
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import BoostEdgeError, MissingExtraError, ParityError
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.synthetic_gallery import fill_gallery

__all__ = ["measure_latency"]

_MIN_COSINE = 0.999
# Between two runtimes that round to 8 bits in their own ways.
_MIN_COSINE_INT8 = 0.9
_CHECKED = 4
_OURS = "onnxruntime"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What tells a row from all others; ``batch`` is the images of one call."""

    system: str
    runtime: str
    threads: int
    stage: str
    batch: int


_Row = dict[str, Any]


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
            rows = _measure_rows(plan, systems, photos, folder, report)
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


def _measure_rows(
    plan: LatencyPlan,
    systems: Sequence[System],
    photos: Photos,
    folder: Path,
    report: Progress,
) -> list[_Row]:
    """Time everything that runs in this process: batch 1 and the stages, then offline."""
    with ExitStack() as stack:
        absent: list[_Row] = []
        cases: dict[_Key, Case] = {}
        cosines: dict[_Key, float] = {}
        configurations = [
            (system, runtime, threads, batch)
            for system in systems
            for runtime in plan.runtimes
            for batch in plan.batches
            for threads in (plan.threads if batch == 1 else (max(plan.threads),))
        ]
        for done, (system, runtime, threads, batch) in enumerate(configurations, 1):
            key = _Key(
                system=system.name, runtime=runtime, threads=threads, stage="infer", batch=batch
            )
            try:
                infer = open_runtime(runtime, system, threads=threads, batch=batch)
                cosines[key] = _check_agreement(infer, system, key, plan.seed)
                cases[key] = _case(infer, _batch_of(system, batch, plan.seed), threads)
            except RuntimeAbsentError as error:
                absent.append({**asdict(key), "unavailable": str(error)})
            report("opening and compiling", done, len(configurations))
        for number, system in enumerate(systems):
            cases |= _stage_cases(plan, system, photos, _gallery(folder, number), stack)
        timings = _time(plan, cases, report)
    rows = [
        {
            **asdict(key),
            **timing.summary(),
            "min_cosine": cosines.get(key),
            "ratio": asdict(ratio) if ratio else None,
            "times_cheaper": asdict(ratio.inverse()) if ratio else None,
        }
        for key, timing in timings.items()
        for ratio in [_ratio(plan, timings, key)]
    ]
    return rows + absent


def _stage_cases(
    plan: LatencyPlan, system: System, photos: Photos, gallery: Path, stack: ExitStack
) -> dict[_Key, Case]:
    """Return the cases of a query's stages, and of encoding files as indexing does."""
    cases: dict[_Key, Case] = {}
    for threads in plan.threads:
        encoder = stack.enter_context(Encoder.open(system.model, threads=threads))
        opened = stack.enter_context(Gallery.open(gallery, encoder, create=False))
        key = partial(_Key, system=system.name, runtime=_OURS, threads=threads)
        prepare = partial(set_threads, threads)
        calls = stage_calls(system, encoder, opened, photos, seed=plan.seed)
        for stage, call in calls.items():
            cases[key(stage=stage, batch=1)] = Case(call=call, prepare=prepare)
        if threads == max(plan.threads) and max(plan.batches) > 1:
            batch = max(plan.batches)
            paths = [photos.photo] * batch
            cases[key(stage="encode-files", batch=batch)] = Case(
                call=partial(encoder.encode, paths, batch_size=batch),
                prepare=prepare,
                images=batch,
            )
    return cases


def _time(plan: LatencyPlan, cases: Mapping[_Key, Case], report: Progress) -> dict[_Key, Timing]:
    """Time batch 1 and the stages in one interleaved run, what has larger batches in another."""
    found: dict[_Key, Timing] = {}
    for stage, blocks, keys in (
        ("timing batch 1", plan.blocks, [key for key in cases if key.batch == 1]),
        ("timing offline", plan.offline_blocks, [key for key in cases if key.batch > 1]),
    ):
        timings = time_cases(
            [cases[key] for key in keys],
            blocks=blocks,
            seconds=plan.seconds,
            most=plan.most,
            seed=plan.seed,
            energy=open_meter(),
            progress=report,
            stage=stage,
        )
        found |= dict(zip(keys, timings, strict=True))
    return found


def _case(infer: Infer, images: NDArray[np.uint8], threads: int) -> Case:
    return Case(
        call=partial(infer, images), prepare=partial(set_threads, threads), images=len(images)
    )


def _ratio(plan: LatencyPlan, timings: Mapping[_Key, Timing], key: _Key) -> Ratio | None:
    """Return how many times as long a row takes as the reference in the first runtime."""
    runtime = plan.runtimes[0] if key.stage == "infer" else _OURS
    first = _Key(
        system=plan.reference or plan.names[0],
        runtime=runtime,
        threads=key.threads,
        stage=key.stage,
        batch=key.batch,
    )
    if first not in timings:
        return None
    return compare_blocks(timings[key], timings[first])


def _check_agreement(infer: Infer, system: System, key: _Key, seed: int) -> float:
    """Return the least cosine between a runtime's embeddings and those of onnxruntime.

    In 8 bits a runtime may compute something else, which is said; in float32 it is an error.
    """
    images = _batch_of(system, key.batch if key.batch > 1 else _CHECKED, seed)
    set_threads(key.threads)
    with Encoder.open(system.model, threads=key.threads) as encoder:
        expected = encoder.run(images).embeddings
    step = key.batch
    found = [infer(images[start : start + step]) for start in range(0, len(images), step)]
    cosine = float((np.concatenate(found) * expected).sum(axis=1).min())
    if system.manifest.precision == "int8":
        if not cosine >= _MIN_COSINE_INT8:
            raise RuntimeAbsentError(
                f"its embeddings in 8 bits are not those of onnxruntime (cosine {cosine:.3f}, "
                f"needs {_MIN_COSINE_INT8})"
            )
    elif not cosine >= _MIN_COSINE:
        raise ParityError(
            f"{system.name}: the embeddings of {key.runtime} are not those of onnxruntime (cosine "
            f"{cosine:.6f}, needs {_MIN_COSINE}): a time would mean nothing; leave {key.runtime} "
            "out with --runtimes"
        )
    return cosine


def _batch_of(system: System, batch: int, seed: int) -> NDArray[np.uint8]:
    """Return ``(batch, S, S, 3) uint8``: a few pictures, over and over."""
    size = system.manifest.image.size
    pictures = np.stack([draw_photo(size, size, seed=seed + place) for place in range(_CHECKED)])
    return np.resize(pictures, (batch, size, size, 3))


def _describe(
    plan: LatencyPlan,
    systems: Sequence[System],
    photos: Photos,
    folder: Path,
    report: Progress,
) -> list[_Row]:
    """Return what each system is, how large its file, and how much memory it takes."""
    described: list[_Row] = []
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
) -> list[_Row]:
    """Run the MLPerf-style scenarios on every system, with as many threads as there may be."""
    rows: list[_Row] = []
    threads = max(plan.threads)
    set_threads(threads)
    logs = folder / "loadgen"
    logs.mkdir()
    total = len(systems) * len(plan.scenarios)
    for scenario in plan.scenarios:
        for system in systems:
            head = {"system": system.name, "runtime": _OURS, "threads": threads}
            with Encoder.open(system.model, threads=threads) as encoder:
                infer = partial(_embed, encoder)
                try:
                    rows += [
                        head | row
                        for row in run_scenarios(
                            infer,
                            _batch_of(system, _CHECKED, plan.seed),
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
