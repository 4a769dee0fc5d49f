"""A few seconds of what a query does, stage by stage, on this machine.

The stages take turns, so that whatever else the machine does meanwhile hits all of them alike:
ratios mean more than milliseconds. It is a look, not a measurement; ``bench latency`` measures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import BoostEdgeError
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import fit_image
from boost_edge.runtime.synthetic_gallery import fill_gallery

__all__ = ["IMAGES", "PICTURE", "Plan", "run_self_benchmark"]

PICTURE = (640, 480)
"""Width and height of the pictures that are decoded."""
IMAGES = 2000
"""The size of the gallery that is searched, where none is given."""

# What is timed, on so many threads; None where they are not ours to choose.
_Stage: TypeAlias = tuple[str, int | None]

_PICTURES = 8
_WARM_UP = 2
_LEAST_ROUNDS = 3
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure: a model, a gallery (or a made one), how long, and how many threads.

    With 0 seconds model and gallery are opened, and nothing is measured.
    """

    model: str | None
    gallery: str | None
    seconds: float
    threads: int


def run_self_benchmark(plan: Plan) -> dict[str, Any]:
    """Return what was measured.

    ``model``, ``backbone``, ``precision``, ``image_size``; ``full_range``, whether its weights have
    8 bits and use them all; ``images``, the size of the gallery;
    ``rows``, each with ``stage``, ``threads`` (null where they are not ours to choose), ``calls``,
    ``p50_ms`` and ``p90_ms``; ``speedup``, how many times as fast the network is on all threads as
    on one, null where there is but one or nothing was measured.

    Raises
    ------
    BoostEdgeError
        When the model or the gallery cannot be used; its message says why.
    """
    with ExitStack() as stack:
        gallery = _open_gallery(plan, stack)
        encoder = gallery.encoder
        calls: dict[_Stage, Callable[[], object]] = {}
        if plan.seconds > 0:
            calls = _calls(plan, encoder, gallery, stack)
        times = _take_turns(calls, plan.seconds)
        images = len(gallery)
    rows = [_row(stage, threads, times[stage, threads]) for stage, threads in calls]
    manifest = encoder.manifest
    one, most = (
        next((row["p50_ms"] for row in rows if (row["stage"], row["threads"]) == key), None)
        for key in (("encode", 1), ("encode", plan.threads))
    )
    return {
        "model": str(encoder.path),
        "backbone": manifest.backbone,
        "precision": manifest.precision,
        "image_size": manifest.image.size,
        "full_range": (
            manifest.quantisation is not None and not manifest.quantisation.reduce_range
        ),
        "images": images,
        "rows": rows,
        "speedup": one / most if one and most and plan.threads > 1 else None,
    }


def _open_gallery(plan: Plan, stack: ExitStack) -> Gallery:
    """Open the given gallery, in which nothing is written, or make one."""
    encoder = None
    if plan.model is not None:
        encoder = stack.enter_context(Encoder.open(plan.model, threads=plan.threads))
    if plan.gallery is not None:
        opened = Gallery.open(plan.gallery, encoder, threads=plan.threads, read_only=True)
        return stack.enter_context(opened)
    if encoder is None:
        raise BoostEdgeError("there is neither a model nor a gallery to measure: give one of them")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="boost-edge-"))
    fill_gallery(Path(folder) / "gallery", encoder, images=IMAGES, seed=_SEED, size=PICTURE)
    return stack.enter_context(Gallery.open(Path(folder) / "gallery", encoder))


def _calls(
    plan: Plan, encoder: Encoder, gallery: Gallery, stack: ExitStack
) -> dict[_Stage, Callable[[], object]]:
    """Return what to call for each stage and number of threads."""
    pictures = [_draw_picture(number) for number in range(_PICTURES)]
    spec = encoder.manifest.image
    inputs = [fit_image(each, spec, source="<drawn>")[0][None] for each in pictures]
    vectors = [encoder.run(each).embeddings[0] for each in inputs]
    files, batches, queries = cycle(pictures), cycle(inputs), cycle(vectors)
    calls: dict[_Stage, Callable[[], object]] = {
        ("decode", None): lambda: fit_image(next(files), spec, source="<drawn>")
    }
    for threads in sorted({1, plan.threads}):
        same = encoder
        if threads != encoder.threads:
            same = stack.enter_context(Encoder.open(encoder.path, threads=threads))
        calls["encode", threads] = partial(_encode, same, batches)
    return calls | {("search", None): lambda: gallery.search(next(queries))}


def _encode(encoder: Encoder, batches: Iterator[NDArray[np.uint8]]) -> object:
    return encoder.run(next(batches))


def _take_turns(
    calls: Mapping[_Stage, Callable[[], object]], seconds: float
) -> dict[_Stage, list[float]]:
    """Return the milliseconds of each call, made in turns until the time is up."""
    for call in calls.values():
        for _ in range(_WARM_UP):
            call()
    times: dict[_Stage, list[float]] = {key: [] for key in calls}
    rounds, ends = 0, time.perf_counter() + seconds
    while calls and (rounds < _LEAST_ROUNDS or time.perf_counter() < ends):
        rounds += 1
        for key, call in calls.items():
            started = time.perf_counter()
            call()
            times[key].append((time.perf_counter() - started) * 1e3)
    return times


def _row(stage: str, threads: int | None, times: list[float]) -> dict[str, Any]:
    # Times that calls really took (nearest rank).
    p50, p90 = np.quantile(times, [0.5, 0.9], method="inverted_cdf")
    return {
        "stage": stage,
        "threads": threads,
        "calls": len(times),
        "p50_ms": float(p50),
        "p90_ms": float(p90),
    }


def _draw_picture(number: int) -> bytes:
    """Return a JPEG file with edges and grain, which takes its time to decode as photos do."""
    rng = np.random.default_rng(_SEED + number)
    coarse: NDArray[np.uint8] = rng.integers(40, 216, (12, 16, 3), np.uint8)
    smooth = np.asarray(cv2.resize(coarse, PICTURE, interpolation=cv2.INTER_CUBIC), np.float64)
    smooth += rng.normal(scale=6.0, size=smooth.shape)
    picture: NDArray[np.uint8] = np.clip(smooth, 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", picture)
    if not done:
        raise BoostEdgeError("OpenCV could not write a JPEG: install it again")
    return data.tobytes()
