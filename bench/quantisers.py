"""``bench quantisers``: a run's network in 8 bits by onnxruntime's tools, as ours is, and by NNCF.

Both are calibrated with the run's training images, keep to 7 bits for weights where the processor
has no instruction for 8, and leave the head in float32. What they find is judged on the run's
held-out images, which neither has seen; onnxruntime and OpenVINO run both, in turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.latency_runtimes import RuntimeAbsentError, open_runtime, set_threads
from boost_edge.bench.latency_systems import System, given_system
from boost_edge.bench.results import make_result
from boost_edge.bench.timing import RATIO_INTERVAL, Case, compare_blocks, time_cases
from boost_edge.runtime.cpu_features import read_processor
from boost_edge.runtime.encoder import read_manifest
from boost_edge.runtime.errors import GateError
from boost_edge.runtime.manifest import DEFAULT_MAX_LOSS, Readout
from boost_edge.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from boost_edge.export.samples import Samples

__all__ = ["QUANTISERS", "QuantisersPlan", "measure_quantisers", "quantise_with_nncf"]

QUANTISERS: Mapping[str, str] = {
    "fp32": "export --precision fp32",
    "boost-edge": "export --precision int8: onnxruntime's static quantisation, behind the gate",
    "nncf": "nncf.quantize of the same graph, all backbone layers, without a gate",
}
"""By name, what each model is; the first is what ratios and losses refer to."""

_RUNTIMES = ("onnxruntime", "openvino")
_FIRST = "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisersPlan:
    """What to quantise, and how long to time it.

    Parameters
    ----------
    run
        A training run that keeps images (``train`` does).
    readout
        What the embedding is; None: what the run was trained for.
    max_loss
        The gate's limit for ours, in points of mAP@10.
    threads
        Threads of the network, at least 1.
    blocks, seconds, most
        Turns of each case, and its seconds and calls over all turns.
    seed
        Of the order of turns.
    """

    run: Path
    readout: Readout | None = None
    max_loss: float = DEFAULT_MAX_LOSS
    threads: int = 1
    blocks: int = 10
    seconds: float = 10.0
    most: int = 200
    seed: int = 0


def measure_quantisers(plan: QuantisersPlan, *, progress: Progress | None = None) -> dict[str, Any]:
    """Quantise a run both ways, measure both, and return the result.

    A model that cannot be had has a row that says why.

    Raises
    ------
    UsageError
        When the run keeps too few images, or nothing can be measured on them.
    RunError
        When the run is damaged.
    """
    from boost_edge.export.gate import precisions_of

    report = progress or silent
    with tempfile.TemporaryDirectory(prefix="boost-edge-quantisers-") as temporary:
        systems, samples, absent = _make(plan, Path(temporary), report)
        precisions = {
            name: precisions_of(system.model, samples) for name, system in systems.items()
        }
        times = _time(plan, systems, samples.held_out[:1], report)
        manifest = systems[_FIRST].manifest
        rows = [
            _row(name, systems[name], precisions, times)
            if name in systems
            else {"quantiser": name, "unavailable": absent[name]}
            for name in QUANTISERS
        ]
    return make_result(
        "quantisers",
        {
            "protocol": {
                "threads": plan.threads,
                "blocks": plan.blocks,
                "seconds": plan.seconds,
                "most_calls": plan.most,
                "max_loss": plan.max_loss,
                "seed": plan.seed,
            },
            "ratio_interval": RATIO_INTERVAL,
            "model": {
                "backbone": manifest.backbone,
                "taps": list(manifest.taps),
                "readout": manifest.readout,
                "image_size": manifest.image.size,
                "weights": manifest.weights.name,
            },
            "calibration_images": len(samples.calibration),
            "held_out_images": len(samples.held_out),
            "quantisers": dict(QUANTISERS),
            "rows": rows,
        },
    )


def quantise_with_nncf(
    fp32: Path, calibration: NDArray[np.uint8], out: Path, *, reduce_range: bool
) -> None:
    """Write a model file in 8 bits that NNCF made of one in float32.

    Parameters
    ----------
    fp32, out
        Model files.
    calibration
        ``(n, S, S, 3)`` RGB, as the network takes them.
    reduce_range
        Whether weights keep to 7 bits.

    Raises
    ------
    RuntimeAbsentError
        When NNCF is not installed.
    """
    import onnx

    from boost_edge.export.float16 import store_float16
    from boost_edge.export.onnx_file import save_model
    from boost_edge.export.quantise import backbone_layers

    # It would report its use over the network.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        nncf: Any = importlib.import_module("nncf")
    except ImportError as error:
        raise RuntimeAbsentError(
            "nncf is not installed: pip install 'boost-edge[bench]'"
        ) from error
    model = onnx.load(os.fspath(fp32))
    layers = frozenset(backbone_layers(model.graph))
    head = [
        node.name
        for node in model.graph.node
        if node.op_type in {"Gemm", "MatMul"} and node.name not in layers
    ]
    kind = nncf.OverflowFix.ENABLE if reduce_range else nncf.OverflowFix.DISABLE
    nncf.set_log_level(logging.ERROR)
    # It draws its progress on stdout, which is for results.
    with contextlib.redirect_stdout(io.StringIO()):
        quantised = nncf.quantize(
            model,
            nncf.Dataset([{"image": image[None]} for image in calibration]),
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=head),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=kind),
        )
    manifest = dataclasses.replace(read_manifest(fp32), precision="int8")
    save_model(store_float16(quantised), manifest, out)


def _make(
    plan: QuantisersPlan, folder: Path, report: Progress
) -> tuple[dict[str, System], Samples, dict[str, str]]:
    """Export and quantise; return the systems, the images, and why others are not there."""
    from boost_edge.export.convert import export_model
    from boost_edge.export.quantise import keeps_to_7_bits
    from boost_edge.export.run import read_run
    from boost_edge.export.samples import read_samples

    files = {name: folder / f"{name}.onnx" for name in QUANTISERS}
    absent: dict[str, str] = {}
    manifest = export_model(plan.run, files[_FIRST], readout=plan.readout)
    samples = read_samples(plan.run, read_run(plan.run), manifest.image)
    report("quantising", 1, len(QUANTISERS))
    try:
        export_model(
            plan.run,
            files["boost-edge"],
            readout=plan.readout,
            precision="int8",
            max_loss=plan.max_loss,
        )
    except GateError as error:
        absent["boost-edge"] = str(error)
    report("quantising", 2, len(QUANTISERS))
    try:
        quantise_with_nncf(
            files[_FIRST],
            samples.calibration,
            files["nncf"],
            reduce_range=keeps_to_7_bits(read_processor()),
        )
    except RuntimeAbsentError as error:
        absent["nncf"] = str(error)
    report("quantising", 3, len(QUANTISERS))
    systems = {name: given_system(file, name) for name, file in files.items() if name not in absent}
    return systems, samples, absent


_Times = Mapping[tuple[str, str], dict[str, Any]]


def _time(
    plan: QuantisersPlan, systems: Mapping[str, System], image: NDArray[np.uint8], report: Progress
) -> _Times:
    """Return summaries and ratios by model and runtime, all timed in one run."""
    cases: dict[tuple[str, str], Case] = {}
    times: dict[tuple[str, str], dict[str, Any]] = {}
    for name, system in systems.items():
        for runtime in _RUNTIMES:
            try:
                infer = open_runtime(runtime, system, threads=plan.threads, batch=1)
            except RuntimeAbsentError as error:
                times[name, runtime] = {"unavailable": str(error)}
                continue
            cases[name, runtime] = Case(
                call=partial(infer, image), prepare=partial(set_threads, plan.threads)
            )
    timings = time_cases(
        list(cases.values()),
        blocks=plan.blocks,
        seconds=plan.seconds,
        most=plan.most,
        seed=plan.seed,
        progress=report,
    )
    found = dict(zip(cases, timings, strict=True))
    for key, timing in found.items():
        ratio = compare_blocks(timing, found[_FIRST, _RUNTIMES[0]])
        times[key] = {**timing.summary(), "times_faster": asdict(ratio.inverse())}
    return times


def _row(
    name: str,
    system: System,
    precisions: Mapping[str, NDArray[np.float64]],
    times: _Times,
) -> dict[str, Any]:
    from boost_edge.export.gate import loss_of

    loss = None if name == _FIRST else asdict(loss_of(precisions[_FIRST], precisions[name]))
    quantisation = system.manifest.quantisation
    return {
        "quantiser": name,
        "bytes": system.model.stat().st_size,
        "fp32_layers": None if quantisation is None else quantisation.fp32_layers,
        "map10": float(100 * np.nanmean(precisions[name])),
        "loss": loss,
        "runtimes": {runtime: times[name, runtime] for runtime in _RUNTIMES},
    }
