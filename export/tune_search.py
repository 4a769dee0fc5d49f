"""The steps of a search, each from rows to rows that know more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from boost_edge.export.candidates import Candidate, Network
from boost_edge.export.cost_model import CostModel, check_costs
from boost_edge.export.labels import LabelTable
from boost_edge.export.model_latency import measure_latency
from boost_edge.export.splits import Split
from boost_edge.export.tune_export import export_row, try_int8
from boost_edge.export.tune_pruning import INT8_GAIN
from boost_edge.export.tune_report import CostCheck, Row
from boost_edge.export.tune_settings import TuneSettings
from boost_edge.export.tune_trial import is_tried, try_network
from boost_edge.export.tune_work import SkippedImage, Work, as_array
from boost_edge.runtime.bootstrap import Interval, paired_bootstrap
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.progress import Progress

__all__ = [
    "Precisions",
    "Search",
    "add_quality",
    "check_predictions",
    "compare_with_best",
    "export_rows",
    "in_8_bits",
    "measure_rows",
    "ordered",
    "try_networks",
]

Precisions = Mapping[Candidate, tuple[float | None, ...]]
"""Average precisions in [0, 1] of each validation image, by candidate; None for no answer."""

_OUT_OF_TIME = "the time was up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What all steps know. ``split`` has no test part; ``deadline`` is monotonic, in seconds."""

    table: LabelTable
    split: Split
    settings: TuneSettings
    work: Work
    cache: Path | None
    progress: Progress
    deadline: float | None

    def begin(self, step: str) -> None:
        """Name a step that cannot be counted."""
        self.progress(step, 0, 1)

    def is_over(self) -> bool:
        """Tell whether no further candidate should be begun."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def try_networks(
    search: Search, rows: Sequence[Row]
) -> tuple[tuple[Row, ...], Precisions, tuple[ImageError, ...]]:
    """Train every network that a planned row needs; one is tried however short the time is.

    Returns
    -------
    The rows with their mAP@10, average precisions by candidate, and images that cannot be read.
    """
    needed = _in_order(rows, search.settings.budget.max_ms)
    precisions: dict[Candidate, tuple[float | None, ...]] = {}
    skipped: dict[SkippedImage, None] = {}
    left: set[Network] = set(needed)
    for number, network in enumerate(needed, 1):
        run, kept = search.work.run(network), search.work.scores(network)
        readouts = search.settings.readouts
        if number > 1 and search.is_over() and not is_tried(run, kept, readouts):
            continue
        left.discard(network)
        scores = try_network(
            run,
            kept,
            search.table,
            search.settings.of(network),
            readouts,
            cache=search.cache,
            progress=partial(_of_network, search.progress, f"{number}/{len(needed)}"),
        )
        skipped |= dict.fromkeys(scores.skipped)
        precisions |= {
            row.candidate: scores.precisions[row.candidate.readout]
            for row in rows
            if row.candidate.network == network and row.status == "planned"
        }
    tried = [
        replace(row, status="not_tried", reason=_OUT_OF_TIME)
        if row.status == "planned" and row.candidate.network in left
        else row
        for row in rows
    ]
    unread = tuple(ImageError(each.path, each.reason, each.detail) for each in skipped)
    return add_quality(tried, precisions), precisions, unread


def add_quality(rows: Iterable[Row], precisions: Precisions) -> tuple[Row, ...]:
    """Return the rows with mAP@10 in points, where it is known."""
    return tuple(
        replace(row, map10=float(100 * np.nanmean(as_array(precisions[row.candidate]))))
        if row.candidate in precisions
        else row
        for row in rows
    )


def export_rows(search: Search, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Export what is still planned, in float32."""
    return tuple(
        export_row(row, search.work, search.begin) if row.status == "planned" else row
        for row in rows
    )


def in_8_bits(search: Search, rows: Sequence[Row]) -> tuple[tuple[Row, ...], Precisions]:
    """Try 8 bits on what is on the front and within reach of the budget.

    Returns
    -------
    New rows, those of refused models among them, and the average precisions of the others.
    """
    settings = search.settings
    made: list[Row] = []
    precisions: dict[Candidate, tuple[float | None, ...]] = {}
    for row in rows if "int8" in settings.precisions else ():
        slow = (
            settings.budget.max_ms is not None
            and row.front
            and (row.figures.ms > INT8_GAIN * settings.budget.max_ms)
        )
        if not row.front or slow:
            continue
        candidate = replace(row.candidate, precision="int8")
        if search.is_over() and not search.work.trial(candidate).is_file():
            made.append(Row(candidate=candidate, status="not_tried", reason=_OUT_OF_TIME))
            continue
        new, found = try_int8(
            row, search.work, search.table, max_loss=settings.max_loss, begin=search.begin
        )
        made.append(new)
        if found:
            precisions[new.candidate] = found
    return add_quality(made, precisions), precisions


def measure_rows(search: Search, rows: Sequence[Row]) -> tuple[Row, ...]:
    """Time all exported models side by side, again where they were timed before."""
    models = {
        row.candidate: row.model
        for row in rows
        if row.model is not None and row.status in ("planned", "measured")
    }
    search.begin(f"timing {len(models)} models")
    times = measure_latency(list(models.values()), search.settings.all_threads)
    by_candidate = dict(zip(models, times, strict=True))
    return tuple(
        replace(row, status="measured", ms=by_candidate[row.candidate])
        if row.candidate in by_candidate
        else row
        for row in rows
    )


def compare_with_best(rows: Sequence[Row], precisions: Precisions) -> tuple[Row, ...]:
    """Add what each row gains on the one that finds most, in points, with its 95% interval."""
    best = max((row for row in rows if row.map10 is not None), key=lambda row: row.map10 or 0.0)
    against = 100 * as_array(precisions[best.candidate])

    def gain(row: Row) -> Interval:
        own = 100 * as_array(precisions[row.candidate])
        # What has anything to find depends on the labels alone, not on the model.
        asked = ~np.isnan(against)
        return paired_bootstrap(against[asked], own[asked])

    return tuple(row if row.map10 is None else replace(row, against_best=gain(row)) for row in rows)


def check_predictions(
    rows: Sequence[Row], model: CostModel, threads: int, probed: frozenset[Network]
) -> CostCheck:
    """Compare the predictions at a number of threads with what was measured, in float32."""
    pairs = [
        (row.predicted_ms[threads], row.ms[threads], row.candidate.network in probed)
        for row in rows
        if row.ms is not None and row.predicted_ms is not None
    ]
    others = [pair for pair in pairs if not pair[2]]
    return CostCheck(
        rates=model,
        all_models=check_costs([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
        others=check_costs([pair[0] for pair in others], [pair[1] for pair in others])
        if others
        else None,
    )


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return what was measured by its time, then all others as they were."""
    given = list(rows)
    measured = [row for row in given if row.ms is not None]
    others = [row for row in given if row.ms is None]
    return (*sorted(measured, key=lambda row: row.figures.ms), *others)


def _in_order(rows: Sequence[Row], max_ms: float | None) -> list[Network]:
    """Return the networks of planned rows, so that a short time is spent on the likeliest ones.

    Without a limit of time the cheap ones come first; with one those just below it, as the largest
    network that is fast enough finds most.
    """
    cost: dict[Network, float] = {}
    for row in rows:
        if row.status == "planned" and row.predicted_ms is not None:
            cost.setdefault(row.candidate.network, min(row.predicted_ms.values()))
    rising = sorted(cost, key=lambda network: cost[network])
    if max_ms is None:
        return rising
    within = [network for network in rising if cost[network] <= max_ms]
    return [*reversed(within), *rising[len(within) :]]


def _of_network(progress: Progress, place: str, stage: str, done: int, total: int) -> None:
    progress(f"{place} {stage}", done, total)
