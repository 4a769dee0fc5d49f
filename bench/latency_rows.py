"""What ``bench latency`` times within its own process: networks, stages, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.energy import open_meter
from boost_edge.bench.latency_pictures import draw_photo
from boost_edge.bench.latency_plan import LatencyPlan
from boost_edge.bench.latency_runtimes import (
    Infer,
    RuntimeAbsentError,
    open_runtime,
    set_threads,
)
from boost_edge.bench.latency_stages import Photos, stage_calls
from boost_edge.bench.latency_systems import System
from boost_edge.bench.timing import Case, Ratio, Timing, compare_blocks, time_cases
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ParityError
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.progress import Progress

__all__ = ["OURS", "Row", "measure_rows", "pictures_for"]

OURS = "onnxruntime"
"""The runtime of the package."""

_MIN_COSINE = 0.999
# Between two runtimes that round to 8 bits in their own ways.
_MIN_COSINE_INT8 = 0.9
_CHECKED = 4

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What tells a row from all others; ``batch`` is the images of one call."""

    system: str
    runtime: str
    threads: int
    stage: str
    batch: int


def measure_rows(
    plan: LatencyPlan,
    systems: Sequence[System],
    galleries: Sequence[Path],
    photos: Photos,
    report: Progress,
) -> list[Row]:
    """Time the stages of a query, and the network with each number of images at once.

    Networks for one number are closed before those for the next are opened: all of them together
    take many gigabytes.

    Raises
    ------
    ParityError
        When a runtime's embeddings are not those of the others.
    """
    return [
        row
        for batch in plan.batches
        for row in _measure_batch(plan, systems, galleries, photos, batch, report)
    ]


def _measure_batch(
    plan: LatencyPlan,
    systems: Sequence[System],
    galleries: Sequence[Path],
    photos: Photos,
    batch: int,
    report: Progress,
) -> list[Row]:
    with ExitStack() as stack:
        cases, cosines, absent = _open_networks(plan, systems, batch, report)
        for system, gallery in zip(systems, galleries, strict=True):
            if batch == 1:
                cases |= _stage_cases(plan, system, photos, gallery, stack)
            elif batch == max(plan.batches):
                cases |= _file_case(plan, system, photos, batch, stack)
        timings = _time(plan, cases, batch, report)
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


def _open_networks(
    plan: LatencyPlan, systems: Sequence[System], batch: int, report: Progress
) -> tuple[dict[_Key, Case], dict[_Key, float], list[Row]]:
    """Return the networks to time, how near their embeddings are, and rows of those absent."""
    cases: dict[_Key, Case] = {}
    cosines: dict[_Key, float] = {}
    absent: list[Row] = []
    configurations = [
        (system, runtime, threads)
        for system in systems
        for runtime in plan.runtimes
        for threads in (plan.threads if batch == 1 else (max(plan.threads),))
    ]
    for done, (system, runtime, threads) in enumerate(configurations, 1):
        key = _Key(system=system.name, runtime=runtime, threads=threads, stage="infer", batch=batch)
        try:
            infer = open_runtime(runtime, system, threads=threads, batch=batch)
            cosines[key] = _check_agreement(infer, system, key, plan.seed)
            cases[key] = _case(infer, pictures_for(system, plan.seed, batch), threads)
        except RuntimeAbsentError as error:
            absent.append({**asdict(key), "unavailable": str(error)})
        report(f"opening and compiling, batch {batch}", done, len(configurations))
    return cases, cosines, absent


def _stage_cases(
    plan: LatencyPlan, system: System, photos: Photos, gallery: Path, stack: ExitStack
) -> dict[_Key, Case]:
    """Return the cases of a query's stages."""
    cases: dict[_Key, Case] = {}
    for threads in plan.threads:
        encoder = stack.enter_context(Encoder.open(system.model, threads=threads))
        opened = stack.enter_context(Gallery.open(gallery, encoder, create=False))
        calls = stage_calls(system, encoder, opened, photos, seed=plan.seed)
        for stage, call in calls.items():
            key = _Key(system=system.name, runtime=OURS, threads=threads, stage=stage, batch=1)
            cases[key] = Case(call=call, prepare=partial(set_threads, threads))
    return cases


def _file_case(
    plan: LatencyPlan, system: System, photos: Photos, batch: int, stack: ExitStack
) -> dict[_Key, Case]:
    """Return the case of encoding files as indexing does."""
    threads = max(plan.threads)
    encoder = stack.enter_context(Encoder.open(system.model, threads=threads))
    key = _Key(system=system.name, runtime=OURS, threads=threads, stage="encode-files", batch=batch)
    call = partial(encoder.encode, [photos.photo] * batch, batch_size=batch)
    return {key: Case(call=call, prepare=partial(set_threads, threads), images=batch)}


def _time(
    plan: LatencyPlan, cases: Mapping[_Key, Case], batch: int, report: Progress
) -> dict[_Key, Timing]:
    """Time cases in one interleaved run."""
    timings = time_cases(
        list(cases.values()),
        blocks=plan.blocks if batch == 1 else plan.offline_blocks,
        seconds=plan.seconds,
        most=plan.most,
        seed=plan.seed,
        energy=open_meter(),
        progress=report,
        stage=f"timing batch {batch}",
    )
    return dict(zip(cases, timings, strict=True))


def _case(infer: Infer, images: NDArray[np.uint8], threads: int) -> Case:
    return Case(
        call=partial(infer, images), prepare=partial(set_threads, threads), images=len(images)
    )


def _ratio(plan: LatencyPlan, timings: Mapping[_Key, Timing], key: _Key) -> Ratio | None:
    """Return how many times as long a row takes as the reference in the first runtime."""
    runtime = plan.runtimes[0] if key.stage == "infer" else OURS
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
    images = pictures_for(system, seed, key.batch if key.batch > 1 else _CHECKED)
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


def pictures_for(system: System, seed: int, batch: int = _CHECKED) -> NDArray[np.uint8]:
    """Return ``(batch, S, S, 3) uint8``: a few pictures, over and over."""
    size = system.manifest.image.size
    pictures = np.stack([draw_photo(size, size, seed=seed + place) for place in range(_CHECKED)])
    return np.resize(pictures, (batch, size, size, 3))
