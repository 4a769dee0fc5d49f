"""``bench overhead``: what is spent around the network, in a query, in indexing and at the start.

The result's format is in docs/latency-format.md.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.fresh_process import bare_command, cold_starts, query_command, query_peak
from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.bench.latency_runtimes import set_threads
from boost_edge.bench.latency_systems import System, export_design, given_system, parse_design
from boost_edge.bench.limits import copy_rate, operations_of, product_rate
from boost_edge.bench.overhead_plan import TARGETS, OverheadPlan
from boost_edge.bench.results import make_result
from boost_edge.bench.timing import RATIO_INTERVAL, Case, Timing, compare_blocks, time_cases
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import decode_image, fit_image, read_bytes, resize_image
from boost_edge.runtime.model_file import ATTRIBUTES, EMBEDDING, IMAGE, open_model
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.spread import images_at_once
from boost_edge.runtime.synthetic_gallery import fill_gallery

__all__ = ["OVERHEAD_STAGES", "measure_overhead"]

OVERHEAD_STAGES = {
    "query": "Gallery.query: the photo's path to ten hits",
    "session": "onnxruntime's run alone, of a photo that is decoded and resized",
    "decode": "the photo's bytes, read from the file, to pixels, in part where the model allows it",
    "decode-whole": "the same, of all pixels",
    "resize": "the pixels of decode to the network's input",
    "encode": "the network's input to checked embedding and attributes",
    "search": "an embedding to ten hits of the gallery",
}
# Different pictures among the photos that are indexed; the rest differ in bytes alone.
_PICTURES = 4


def measure_overhead(plan: OverheadPlan, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make the systems, measure them as planned, and return the result.

    Raises
    ------
    UsageError
        When the plan makes no sense.
    """
    plan.check()
    report = progress or silent
    threads_before = cv2.getNumThreads()
    load = list(os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="boost-edge-overhead-") as temporary:
        folder = Path(temporary)
        photos = _draw_photos(folder / "photos", plan)
        try:
            limits = {
                "operations_per_second": {str(each): product_rate(each) for each in plan.threads},
                "copied_bytes_per_second": copy_rate(),
            }
            systems = [
                _measure(plan, system, photos, folder / f"system-{number}", report)
                for number, system in enumerate(_make_systems(plan, folder, report))
            ]
        finally:
            cv2.setNumThreads(threads_before)
        size = photos[0].stat().st_size
    return make_result(
        "overhead",
        {
            "protocol": plan.protocol(),
            "targets": dict(TARGETS),
            "ratio_interval": RATIO_INTERVAL,
            "load_average_before": load,
            "photo_bytes": size,
            "stages": OVERHEAD_STAGES,
            "limits": limits,
            "systems": systems,
        },
    )


def _draw_photos(folder: Path, plan: OverheadPlan) -> list[Path]:
    """Draw the photos as JPEG files, no two with the same bytes."""
    folder.mkdir()
    drawn = [
        encode_jpeg(draw_photo(*plan.photo, seed=plan.seed + number)) for number in range(_PICTURES)
    ]
    paths: list[Path] = []
    for number in range(plan.files):
        path = folder / f"{number:06d}.jpg"
        # What follows the end of a JPEG is nobody's.
        path.write_bytes(drawn[number % _PICTURES] + str(number).encode())
        paths.append(path)
    return paths


def _make_systems(plan: OverheadPlan, folder: Path, report: Progress) -> list[System]:
    systems: list[System] = []
    total = len(plan.backbones) + len(plan.models)
    for number, design in enumerate([parse_design(name) for name in plan.backbones]):
        place = folder / f"design-{number}"
        place.mkdir()
        systems.append(export_design(design, place, image_size=None, seed=plan.seed))
        report("exporting", len(systems), total)
    return systems + [given_system(model) for model in plan.models]


def _measure(
    plan: OverheadPlan,
    system: System,
    photos: Sequence[Path],
    folder: Path,
    report: Progress,
) -> dict[str, Any]:
    """Return all that is measured of one system."""
    gallery, photo = folder / "gallery", photos[0]
    with Encoder.open(system.model, threads=max(plan.threads)) as encoder:
        images, seed = plan.gallery_images, plan.seed
        like = encoder.encode([photo])[0]
        fill_gallery(gallery, encoder, images=images, seed=seed, size=plan.photo, like=like)
        sha256 = encoder.sha256
        # The first query builds the graph of a large gallery, which is not to be timed.
        with Gallery.open(gallery, encoder, progress=report) as opened:
            opened.query(photo)
    timings, whole = _time_queries(plan, system, gallery, photo, report)
    manifest = system.manifest
    return {
        "system": system.name,
        "model_sha256": sha256,
        "model_bytes": system.model.stat().st_size,
        "image_size": manifest.image.size,
        "decode": manifest.image.decode,
        "dimensions": manifest.dimensions,
        "precision": manifest.precision,
        "operations": operations_of(system.model),
        "rows": timings,
        "query": whole,
        "indexing": _time_indexing(plan, system, photos, folder, report),
        "cold_start": _time_starts(plan, system, gallery, photo, folder, report),
    }


def _time_queries(
    plan: OverheadPlan, system: System, gallery: Path, photo: Path, report: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the stages of a query, and how much longer the whole takes than the session's run."""
    with ExitStack() as stack:
        cases: dict[tuple[int, str], Case] = {}
        for threads in plan.threads:
            encoder = stack.enter_context(Encoder.open(system.model, threads=threads))
            opened = stack.enter_context(Gallery.open(gallery, encoder, create=False))
            calls = _stage_calls(system, encoder, opened, photo)
            for stage, call in calls.items():
                cases[threads, stage] = Case(call=call, prepare=partial(set_threads, threads))
        timings = dict(
            zip(cases, _time(plan, list(cases.values()), report, "queries"), strict=True)
        )
    rows = [
        {"threads": threads, "stage": stage, **timing.summary()}
        for (threads, stage), timing in timings.items()
    ]
    shares: list[dict[str, Any]] = []
    for threads in plan.threads:
        ratio = compare_blocks(timings[threads, "query"], timings[threads, "session"])
        share = {name: value - 1 for name, value in asdict(ratio).items()}
        shares.append({"threads": threads, **share})
    return rows, shares


def _stage_calls(
    system: System, encoder: Encoder, gallery: Gallery, photo: Path
) -> Mapping[str, Callable[[], object]]:
    """Return what to call for each of the stages."""
    spec, source = system.manifest.image, os.fspath(photo)
    pixels = decode_image(read_bytes(photo), source=source, spec=spec)
    batch = encoder.load(photo)[None]
    session = open_model(system.model, threads=encoder.threads).session
    names = [EMBEDDING, ATTRIBUTES] if system.manifest.attributes else [EMBEDDING]
    vector = encoder.encode([photo])[0]
    return {
        "query": lambda: gallery.query(photo),
        "session": lambda: session.run(names, {IMAGE: batch}),
        "decode": lambda: decode_image(read_bytes(photo), source=source, spec=spec),
        "decode-whole": lambda: decode_image(read_bytes(photo), source=source),
        "resize": lambda: resize_image(pixels, spec),
        "encode": lambda: encoder.run(batch),
        "search": lambda: gallery.search(vector),
    }


def _time_indexing(
    plan: OverheadPlan, system: System, photos: Sequence[Path], folder: Path, report: Progress
) -> dict[str, Any]:
    """Return how fast photos are indexed, and how fast it were if only two costs were added.

    They are those of decoding and of the network: on one thread while the others rest, spread over
    all threads; and on all threads at once, where they share caches and memory.
    """
    threads, spec = max(plan.threads), system.manifest.image

    def fit_all(data: Sequence[bytes]) -> list[NDArray[np.uint8]]:
        return [fit_image(each, spec, source="<drawn>")[0] for each in data]

    def index(encoder: Encoder) -> None:
        made = folder / "indexed"
        with Gallery.open(made, encoder) as gallery:
            gallery.index([photos[0].parent])
        shutil.rmtree(made)

    with (
        Encoder.open(system.model, threads=1) as single,
        Encoder.open(system.model, threads=threads) as all_of_them,
        ThreadPoolExecutor(threads) as pool,
    ):
        paths = itertools.islice(itertools.cycle(photos), images_at_once(spec.size, threads))
        data = [path.read_bytes() for path in paths]
        batch = np.stack(fit_all(data))

        def on_all(work: Callable[[], object]) -> object:
            done = [pool.submit(work) for _ in range(threads)]
            return [each.result() for each in done]

        alone, together = partial(set_threads, 1), partial(set_threads, threads)
        cases = [
            Case(call=lambda: fit_all(data), prepare=alone, images=len(batch)),
            Case(call=lambda: single.run(batch), prepare=alone, images=len(batch)),
            Case(call=lambda: np.stack(list(batch)), prepare=alone, images=len(batch)),
            Case(
                call=lambda: on_all(lambda: fit_all(data)),
                prepare=alone,
                images=threads * len(batch),
            ),
            Case(
                call=lambda: on_all(lambda: single.run(batch)),
                prepare=alone,
                images=threads * len(batch),
            ),
            Case(call=lambda: index(all_of_them), prepare=together, images=len(photos)),
        ]
        timings = _time(plan, cases, report, "indexing")
    decode, infer, assemble, decode_busy, infer_busy, indexing = (
        float(np.median(each.milliseconds())) / each.images for each in timings
    )
    added = 1e3 * threads / (decode + infer)
    busy = 1e3 / (decode_busy + infer_busy)
    return {
        "threads": threads,
        "batch": len(batch),
        "decode_ms": decode,
        "infer_ms": infer,
        "assemble_ms": assemble,
        "images_per_second": 1e3 / indexing,
        "added_images_per_second": added,
        "efficiency": 1e3 / indexing / added,
        "busy_decode_ms": threads * decode_busy,
        "busy_infer_ms": threads * infer_busy,
        "busy_images_per_second": busy,
        "busy_efficiency": 1e3 / indexing / busy,
    }


def _time_starts(
    plan: OverheadPlan,
    system: System,
    gallery: Path,
    photo: Path,
    folder: Path,
    report: Progress,
) -> dict[str, Any]:
    """Return what a query costs as a process of its own, beside a bare script that does as much."""
    commands = {"query": query_command(gallery, photo)}
    # A small gallery has no graph, and so nothing to compare with.
    if (gallery / GRAPH_NAME).exists():
        commands["bare"] = bare_command(system.model, gallery / GRAPH_NAME, photo)
    report("cold starts", 0, 1)
    found = cold_starts(commands, runs=plan.starts, folder=folder / "bytecode", seed=plan.seed)
    report("cold starts", 1, 1)
    bare = found.get("bare")
    return {
        "query": found["query"],
        "bare": bare,
        "ratio": None if bare is None else found["query"]["p50_ms"] / bare["p50_ms"],
        "peak_memory_bytes": query_peak(gallery, photo, folder / "bytecode"),
    }


def _time(plan: OverheadPlan, cases: Sequence[Case], report: Progress, what: str) -> list[Timing]:
    return time_cases(
        cases,
        blocks=plan.blocks,
        seconds=plan.seconds,
        most=plan.most,
        seed=plan.seed,
        progress=report,
        stage=f"timing {what}",
    )
