"""MLPerf-style scenarios through MLCommons' own load generator; none is an MLPerf result.

What is sent are pictures that are decoded and resized already, as in MLPerf's image tasks; what
answers is the network in the runtime that ``boost-edge query`` uses. The shortest durations and
counts are far below MLPerf's rules, so the load generator calls every run invalid: what it says
is kept in the result.
"""

from __future__ import annotations

import importlib
import json
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.bisection import highest_passing
from boost_edge.bench.latency_runtimes import Infer
from boost_edge.runtime.errors import BoostEdgeError, MissingExtraError, UsageError

__all__ = ["SCENARIOS", "Load", "read_log", "run_scenarios"]

SCENARIOS = ("single-stream", "offline", "server")
_LOG_PREFIX = ":::MLLOG "
_DETAIL_LOG = "mlperf_log_detail.txt"
_SHARE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How long and how hard the scenarios load a system.

    ``seconds`` and ``queries`` are the least of each trial, ``batch`` the images that offline
    gives the network at once, ``bound_ms`` what the server's 99th percentile may not exceed, and
    ``trials`` the steps of the search for its highest rate. ``seed`` decides which picture is sent
    and when.
    """

    seconds: float = 5.0
    queries: int = 16
    batch: int = 8
    bound_ms: float = 1000.0
    trials: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.queries, self.batch, self.trials) < 1 or min(self.seconds, self.bound_ms) <= 0:
            raise UsageError(
                "the load's seconds, queries, batch, bound and trials must be positive"
            )


def run_scenarios(
    infer: Infer,
    pictures: NDArray[np.uint8],
    *,
    scenarios: Sequence[str],
    load: Load,
    folder: Path,
    step: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run scenarios of ``SCENARIOS`` and return a row for each.

    ``single-stream``: one query after the other; ``p50_ms``, ``p90_ms`` (MLPerf's figure),
    ``p99_ms``. ``offline``: all samples at once; ``images_per_second``. ``server``: queries at
    random times; ``queries_per_second`` is the highest rate tried at which ``p99_ms`` stays
    within ``bound_ms``, 0 where none did. Each has ``queries`` and ``loadgen_says``.

    Parameters
    ----------
    infer
        The network, of any batch size.
    pictures
        ``(n, S, S, 3) uint8``.
    folder
        An empty place for the load generator's logs.

    Raises
    ------
    MissingExtraError
        When the load generator is not installed.
    """
    driver = _Driver(infer, pictures, load, folder)
    rows: list[dict[str, Any]] = []
    for name in scenarios:
        if step is not None:
            step(name)
        row = {"single-stream": driver.single_stream, "offline": driver.offline}.get(
            name, driver.server
        )()
        rows.append({"scenario": name, **row})
    return rows


def read_log(path: Path) -> dict[str, Any]:
    """Return key -> value of the load generator's detailed log; the last of equal keys counts."""
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_LOG_PREFIX):
            entry = json.loads(line.removeprefix(_LOG_PREFIX))
            found[entry["key"]] = entry["value"]
    return found


class _Driver:
    """Puts one system under load."""

    def __init__(self, infer: Infer, pictures: NDArray[np.uint8], load: Load, folder: Path) -> None:
        try:
            self._loadgen: Any = importlib.import_module("mlperf_loadgen")
        except ImportError as error:
            raise MissingExtraError("MLPerf-style load", "bench", "mlcommons-loadgen") from error
        self._infer = infer
        self._pictures = pictures
        self._load = load
        self._folder = folder
        self._errors: list[Exception] = []
        infer(pictures[:1])

    def single_stream(self) -> dict[str, Any]:
        settings = self._settings("SingleStream")
        log = self._run(settings, lambda samples: self._answer(samples, 1))
        return _latencies(log) | _verdict(log)

    def offline(self) -> dict[str, Any]:
        settings = self._settings("Offline")
        batch = self._load.batch
        self._infer(np.resize(self._pictures, (batch, *self._pictures.shape[1:])))
        # One query of as many samples as the duration takes at this rate.
        settings.offline_expected_qps = self._rate()
        log = self._run(settings, lambda samples: self._answer(samples, batch))
        figure = {"images_per_second": log["result_samples_per_second"], "batch": batch}
        return figure | _verdict(log)

    def server(self) -> dict[str, Any]:
        passed: list[dict[str, Any]] = []
        trials = 0

        def passes(rate: float) -> bool:
            nonlocal trials
            trials += 1
            log = self._serve(rate)
            row = _latencies(log) | _verdict(log)
            if row["p99_ms"] > self._load.bound_ms:
                return False
            passed.append({"queries_per_second": rate, **row})
            return True

        # Nothing keeps up with more than it answers one after the other.
        rate = highest_passing(passes, high=self._rate(), trials=self._load.trials)
        best = passed[-1] if passed else {"queries_per_second": rate}
        return {**best, "bound_ms": self._load.bound_ms, "share": _SHARE, "trials": trials}

    def _serve(self, rate: float) -> dict[str, Any]:
        settings = self._settings("Server")
        settings.server_target_qps = rate
        settings.server_target_latency_ns = int(1e6 * self._load.bound_ms)
        settings.server_target_latency_percentile = _SHARE
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def work() -> None:
            while (samples := waiting.get()) is not None:
                self._answer(samples, 1)

        worker = threading.Thread(target=work, name="boost-edge-server", daemon=True)
        worker.start()
        try:
            return self._run(settings, waiting.put)
        finally:
            waiting.put(None)
            worker.join()

    def _rate(self) -> float:
        """Return how many images a second the network takes one after the other."""
        log = self._run(self._settings("SingleStream"), lambda samples: self._answer(samples, 1))
        return 1e9 / float(log["result_50.00_percentile_latency_ns"])

    def _settings(self, scenario: str) -> Any:
        settings = self._loadgen.TestSettings()
        settings.scenario = getattr(self._loadgen.TestScenario, scenario)
        settings.mode = self._loadgen.TestMode.PerformanceOnly
        settings.min_duration_ms = max(1, int(1e3 * self._load.seconds))
        settings.min_query_count = self._load.queries
        for each in ("qsl", "sample_index", "schedule"):
            setattr(settings, f"{each}_rng_seed", self._load.seed)
        return settings

    def _answer(self, samples: Sequence[Any], batch: int) -> None:
        """Run the network on samples and tell the load generator that they are done."""
        for start in range(0, len(samples), batch):
            some = samples[start : start + batch]
            try:
                self._infer(self._pictures[[sample.index for sample in some]])
            except Exception as error:  # an exception in its thread would end the process
                self._errors.append(error)
            self._loadgen.QuerySamplesComplete(
                [self._loadgen.QuerySampleResponse(sample.id, 0, 0) for sample in some]
            )

    def _run(self, settings: Any, issue: Callable[[list[Any]], None]) -> dict[str, Any]:
        loadgen = self._loadgen
        output = loadgen.LogOutputSettings()
        output.outdir = str(self._folder)
        output.copy_summary_to_stdout = False
        logs = loadgen.LogSettings()
        logs.log_output = output
        logs.enable_trace = False
        held = len(self._pictures)
        system = loadgen.ConstructSUT(issue, _nothing)
        library = loadgen.ConstructQSL(held, held, _no_samples, _no_samples)
        try:
            loadgen.StartTestWithLogSettings(system, library, settings, logs)
        finally:
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(system)
        if self._errors:
            raise BoostEdgeError(f"the network failed under load: {self._errors[0]}")
        return read_log(self._folder / _DETAIL_LOG)


def _latencies(log: dict[str, Any]) -> dict[str, Any]:
    return {
        f"p{share}_ms": log[f"result_{share}.00_percentile_latency_ns"] / 1e6
        for share in (50, 90, 99)
    }


def _verdict(log: dict[str, Any]) -> dict[str, Any]:
    return {"queries": log.get("result_query_count"), "loadgen_says": log["result_validity"]}


def _nothing() -> None:
    """Flush nothing: every query is answered at once."""


def _no_samples(indices: list[int]) -> None:
    """Load nothing: all pictures are in memory."""
