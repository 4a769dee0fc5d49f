"""``tune``: labels and a budget in, the model that keeps to it out.

::

    candidates --count--> cost --probes--> predicted ms --+-- too slow: dropped
                                                          `-- train --> mAP@10 on validation
                                                                          |-- beaten: dropped
    chosen <--budget-- front <--measure ms in turns-- export, int8 <------'
       `-- test part: measured once, after the choice
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from boost_edge.export.artefacts import make_folder, writing
from boost_edge.export.budget import Budget, choose, nearest
from boost_edge.export.candidates import list_candidates, list_networks
from boost_edge.export.labels import read_labels
from boost_edge.export.splits import split_rows
from boost_edge.export.tune_costs import count_candidates, fit_cost_models, predict_rows
from boost_edge.export.tune_export import write_chosen
from boost_edge.export.tune_pruning import DOUBT, drop_dominated, drop_too_slow, mark_front
from boost_edge.export.tune_report import Row, TuneReport, write_report
from boost_edge.export.tune_search import (
    Search,
    check_predictions,
    compare_with_best,
    export_rows,
    in_8_bits,
    measure_rows,
    ordered,
    try_networks,
)
from boost_edge.export.tune_settings import TuneSettings
from boost_edge.export.tune_trial import check_validation
from boost_edge.export.tune_work import Work
from boost_edge.export.whole import without_known
from boost_edge.runtime.cpu_features import read_processor
from boost_edge.runtime.errors import GateError
from boost_edge.runtime.progress import Progress, silent

__all__ = ["tune"]


def tune(
    labels: Path,
    *,
    images: Path,
    out: Path,
    report: Path,
    work: Path,
    settings: TuneSettings,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TuneReport:
    """Search for the model that suits a budget on this machine, and write it and the report.

    Called again with the same arguments it goes on where it stopped: what is in ``work`` and in the
    feature cache is not done again, but for the timing, which is always of one occasion.

    Parameters
    ----------
    labels, images
        As of `boost_edge.export.train.train`.
    out, report
        The ONNX file and the JSON file to write.
    work
        Folder for the runs and models that are tried.
    cache
        Folder of the feature cache; ``None`` for the user's.
    progress
        Called with (stage, done, total).

    Raises
    ------
    GateError
        When no candidate keeps to the budget; then neither file is written.
    UsageError
        When there are too few validation images to compare candidates on.
    BoostEdgeError
        As ``train`` and ``export``.
    """
    start = time.monotonic()
    base = settings.base
    table = read_labels(
        labels, images=images, attributes=base.attributes, image_column=base.image_column
    )
    split, _ = without_known(table, split_rows(table, seed=base.seed, limit=base.limit), base)
    check_validation(table, len(split.val))
    make_folder(work)
    search = Search(
        table=table,
        split=replace(split, test=split.test[:0]),
        settings=settings,
        work=Work(work, table, split, settings),
        cache=cache,
        progress=progress or silent,
        deadline=None if settings.seconds is None else start + settings.seconds,
    )
    networks = list_networks(settings.image_sizes, settings.taps, settings.widths)
    candidates = list_candidates(networks, settings.readouts)
    rows = count_candidates(candidates, table, search.split, settings, search.begin)
    models, probed = fit_cost_models(rows, table, search.split, settings, search.work, search.begin)
    rows = predict_rows(rows, models)
    rows = drop_too_slow(rows, settings.budget, int8="int8" in settings.precisions)
    _need_one_left(rows, settings.budget, out)
    rows, precisions, skipped = try_networks(search, rows)
    rows = measure_rows(search, export_rows(search, drop_dominated(rows)))
    in_8, more = in_8_bits(search, mark_front(rows))
    # Beside one another, or not again.
    rows = measure_rows(search, (*rows, *in_8)) if more else (*rows, *in_8)
    rows = compare_with_best(mark_front(rows), {**precisions, **more})
    chosen = _choose(rows, settings, out, work)
    search.begin("measuring the chosen model on the test part")
    test, unread = write_chosen(chosen, out, search.work, table, split, cache)
    found = TuneReport(
        model=out,
        report=report,
        work=work,
        budget=settings.budget,
        images={"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        processor=read_processor().name,
        rows=ordered(replace(row, chosen=row is chosen) for row in rows),
        threads=_fewest_threads(chosen, settings.budget),
        probes=len(probed),
        doubt=DOUBT,
        costs={
            count: check_predictions(rows, model, count, probed) for count, model in models.items()
        },
        test=test,
        seconds=time.monotonic() - start,
        missing=table.missing,
        duplicates=table.duplicates,
        # The test part is read with the others.
        skipped=tuple({error.path: error for error in (*skipped, *unread)}.values()),
    )
    with writing(report) as temporary:
        write_report(found, temporary)
    return found


def _need_one_left(rows: tuple[Row, ...], budget: Budget, out: Path) -> None:
    """Give up at once where everything is far too slow."""
    if any(row.status == "planned" for row in rows):
        return
    predicted = {row.candidate: min(row.predicted_ms.values()) for row in rows if row.predicted_ms}
    fast = Budget(max_ms=budget.max_ms)
    fastest = min(predicted, key=lambda candidate: predicted[candidate])
    raise GateError(
        f"{out}: not written: no candidate comes near {_limits(fast, 0.0)}: the nearest is "
        f"{fastest.name}, predicted to take {predicted[fastest]:.2f} ms: allow more with --max-ms, "
        "or give smaller --image-sizes or earlier --taps"
    )


def _choose(rows: tuple[Row, ...], settings: TuneSettings, out: Path, work: Path) -> Row:
    """Return the row to write.

    Raises
    ------
    GateError
        When none keeps to the budget: names the nearest.
    """
    best = max(row.map10 for row in rows if row.map10 is not None)
    measured = [row for row in rows if row.status == "measured"]
    allowed = [row for row in measured if row.candidate.precision in settings.precisions]
    if not allowed:
        reason = next((row.reason for row in rows if row.status == "refused"), "none was made")
        raise GateError(f"{out}: not written: no model could be exported: {reason}")
    chosen = choose(allowed, lambda row: row.figures, settings.budget, best)
    if chosen is not None:
        return chosen
    near = nearest(allowed, lambda row: row.figures, settings.budget, best)
    raise GateError(
        f"{out}: not written: none of {len(allowed)} models keeps to "
        f"{_limits(settings.budget, best)}: the nearest is {near.candidate.name}, "
        f"{near.figures.ms:.2f} ms and mAP@10 {near.figures.map10:.1f}: allow more with "
        f"--max-ms or --min-map, or search more; what was tried is kept in {work}"
    )


def _limits(budget: Budget, best: float) -> str:
    said: list[str] = []
    if budget.max_ms is not None:
        said.append(f"at most {budget.max_ms:g} ms")
    if budget.min_map_share is not None:
        said.append(f"at least {100 * budget.min_map_share:g}% of the best mAP@10")
    if (least := budget.min_map) is not None:
        said.append(f"at least {least:g} mAP@10 (the best is {best:.1f})")
    return " and ".join(said)


def _fewest_threads(row: Row, budget: Budget) -> int:
    """Return the fewest threads that keep to the limit; without one, those it is fastest with."""
    times = row.ms or {}
    if budget.max_ms is None:
        return min(times, key=lambda count: times[count])
    return min(count for count, each in times.items() if each <= budget.max_ms)
