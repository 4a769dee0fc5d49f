"""``bench alternatives``: ours beside what a user would write by hand, from folder to hits.

Every figure is of a new process (`boost_edge.bench.contender`), and the contenders take turns in a
seeded order, round by round.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.bench.alternatives_process import (
    Contender,
    ContenderAbsentError,
    describe_environment,
    run_contender,
    usable,
)
from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.bench.latency_systems import export_design, parse_design
from boost_edge.bench.results import make_result
from boost_edge.bench.timing import (
    RATIO_INTERVAL,
    Timing,
    block_orders,
    compare_blocks,
    percentile,
)
from boost_edge.runtime.encoder import read_manifest
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Manifest
from boost_edge.runtime.progress import Progress, silent

__all__ = ["CONTENDERS", "AlternativesPlan", "measure_alternatives"]

CONTENDERS: Mapping[str, str] = {
    "boost-edge": "Gallery with a model file: a database, predicted attributes, exact search",
    "torch-numpy": "torchvision's ResNet-18 and transforms, Pillow, a matrix in numpy",
    "torch-faiss": "the same, searched with faiss.IndexFlatIP",
    "fastembed": "fastembed.ImageEmbedding with the model file of boost-edge (one node before it "
    "turns its layout), a matrix in numpy",
}
"""By name, what each contender is; ours comes first and is what ratios refer to."""

_OURS = "boost-edge"
_PHOTO = (640, 480)
_QUERIES = 20
_MEASURES = ("index", "warm", "cold")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativesPlan:
    """What to compare.

    Parameters
    ----------
    model
        The file that ours and fastembed use; ``None``: ResNet-18 with a boost head and random
        weights, as the time does not depend on them.
    images
        How many photos are drawn and indexed.
    threads
        Numbers of processors, each of which is all that a contender may use.
    rounds
        Turns of each contender.
    environments
        Contender -> Python interpreter of the environment that it runs in; default: this one.
    seed
        Of weights, photos and orders.
    """

    model: Path | None = None
    images: int = 200
    threads: tuple[int, ...] = (1,)
    rounds: int = 5
    environments: Mapping[str, Path] | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise `UsageError` when the plan makes no sense."""
        given = self.environments or {}
        if unknown := [name for name in given if name not in CONTENDERS]:
            raise UsageError(f"contender {unknown[0]!r} is not one of {', '.join(CONTENDERS)}")
        if min(self.images, self.rounds, *(self.threads or (0,))) < 1:
            raise UsageError("images, rounds and threads must be at least 1")
        there = len(os.sched_getaffinity(0))
        if max(self.threads) > there:
            raise UsageError(f"{max(self.threads)} threads, but this process may use {there} cores")


_Key = tuple[str, int, str]


def measure_alternatives(
    plan: AlternativesPlan, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Run every contender as planned, and return the result.

    A contender that is not installed, or cannot do it, has a row that says why.

    Raises
    ------
    UsageError
        When the plan makes no sense.
    """
    plan.check()
    report = progress or silent
    with tempfile.TemporaryDirectory(prefix="boost-edge-alternatives-") as temporary:
        folder = Path(temporary)
        model, manifest = _model(plan, folder)
        contenders = [
            Contender(name=name, python=(plan.environments or {}).get(name)) for name in CONTENDERS
        ]
        task = _task(plan, folder, model, manifest)
        absent: dict[str, str] = {}
        for contender in contenders:
            try:
                usable(contender, {**task, "threads": plan.threads[0]}, folder)
            except ContenderAbsentError as error:
                absent[contender.name] = str(error)
        there = [each for each in contenders if each.name not in absent]
        times, peaks = _measure(plan, there, task, folder, report)
        environments = {each.name: describe_environment(each) for each in there}
    return make_result(
        "alternatives",
        {
            "protocol": {
                "images": plan.images,
                "photo": list(_PHOTO),
                "queries": _QUERIES,
                "threads": list(plan.threads),
                "rounds": plan.rounds,
                "seed": plan.seed,
            },
            "ratio_interval": RATIO_INTERVAL,
            "model": {
                "backbone": manifest.backbone,
                "taps": list(manifest.taps),
                "precision": manifest.precision,
                "readout": manifest.readout,
                "image_size": manifest.image.size,
                "random_weights": plan.model is None,
            },
            "contenders": dict(CONTENDERS),
            "environments": environments,
            "rows": [
                row
                for threads in plan.threads
                for contender in contenders
                for row in [_row(plan, contender.name, threads, absent, times, peaks)]
            ],
        },
    )


def _model(plan: AlternativesPlan, folder: Path) -> tuple[Path, Manifest]:
    if plan.model is not None:
        return plan.model.absolute(), read_manifest(plan.model)
    place = folder / "system"
    place.mkdir()
    system = export_design(parse_design("resnet18+boost"), place, image_size=None, seed=plan.seed)
    return system.model, system.manifest


def _task(plan: AlternativesPlan, folder: Path, model: Path, manifest: Manifest) -> dict[str, Any]:
    from boost_edge.bench.fastembed_model import write_for_fastembed

    images, queries = folder / "images", folder / "queries"
    for place, count in ((images, plan.images), (queries, _QUERIES)):
        place.mkdir()
        for number in range(count):
            seed = plan.seed + number + (plan.images if place == queries else 0)
            path = place / f"{number:05d}.jpg"
            path.write_bytes(encode_jpeg(draw_photo(*_PHOTO, seed=seed)))
    write_for_fastembed(model, folder / "fastembed", size=manifest.image.size)
    return {
        "model": os.fspath(model),
        "image_size": manifest.image.size,
        "images": os.fspath(images),
        "queries": [os.fspath(path) for path in sorted(queries.iterdir())],
        "fastembed": os.fspath(folder / "fastembed"),
    }


def _measure(
    plan: AlternativesPlan,
    contenders: list[Contender],
    task: Mapping[str, Any],
    folder: Path,
    report: Progress,
) -> tuple[dict[_Key, list[tuple[float, ...]]], dict[_Key, int]]:
    """Return the milliseconds of each round, and peak memory, by contender, threads, measure."""
    times: dict[_Key, list[tuple[float, ...]]] = {}
    peaks: dict[_Key, int] = {}
    turns = [(each, threads) for each in contenders for threads in plan.threads]
    done = 0
    for order in block_orders(len(turns), plan.rounds, plan.seed):
        for place in order:
            contender, threads = turns[place]
            # Vectors are found by the next two; the store of the round before is gone.
            with tempfile.TemporaryDirectory(dir=folder) as store:
                for measure in _MEASURES:
                    given = {**task, "threads": threads, "store": store, "do": measure}
                    said = run_contender(contender, given, folder)
                    key = (contender.name, threads, measure)
                    times.setdefault(key, []).append(_READ[measure](said))
                    peak: int = said["peak_bytes"] or 0
                    peaks[key] = max(peaks.get(key, 0), peak)
            done += 1
            report("contenders", done, len(turns) * plan.rounds)
    return times, peaks


_READ: Mapping[str, Callable[[dict[str, Any]], tuple[float, ...]]] = {
    "index": lambda said: (1e3 * said["seconds"],),
    "warm": lambda said: tuple(said["ms"]),
    "cold": lambda said: (said["wall_ms"],),
}


def _row(
    plan: AlternativesPlan,
    name: str,
    threads: int,
    absent: Mapping[str, str],
    times: Mapping[_Key, list[tuple[float, ...]]],
    peaks: Mapping[_Key, int],
) -> dict[str, Any]:
    head = {"contender": name, "threads": threads}
    if name in absent:
        return {**head, "unavailable": absent[name]}
    found = {
        measure: Timing(blocks=tuple(times[name, threads, measure]), images=1, joules=None)
        for measure in _MEASURES
    }
    indexed, warm, cold = (found[measure].milliseconds() for measure in _MEASURES)
    ratios: dict[str, Any] = {}
    for measure in _MEASURES:
        ours = times.get((_OURS, threads, measure))
        if ours is not None:
            reference = Timing(blocks=tuple(ours), images=1, joules=None)
            ratios[measure] = asdict(compare_blocks(found[measure], reference))
    return {
        **head,
        "images_per_second": plan.images / (float(np.median(indexed)) / 1e3),
        "query_p50_ms": percentile(warm, 0.5),
        "query_p90_ms": percentile(warm, 0.9),
        "cold_p50_ms": percentile(cold, 0.5),
        "index_peak_bytes": peaks[name, threads, "index"] or None,
        "query_peak_bytes": peaks[name, threads, "cold"] or None,
        "times_ours": ratios or None,
    }
