"""How ``boost-edge tune`` shows what it found."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from boost_edge.cli.render import counts, megabytes, printable, table, warn

if TYPE_CHECKING:
    from boost_edge.export.tune_report import CostCheck, Row, TuneReport

__all__ = ["tuned_lines", "warn_of_doubts"]

_STATUS = {
    "dominated": "beaten by another that is no slower",
    "over_budget": "predicted to be too slow",
    "impossible": "impossible",
    "not_tried": "not tried, as the time was up",
}


def tuned_lines(report: TuneReport) -> list[str]:
    """Return the table of candidates, how the predictions came out, and what was written."""
    chosen = report.chosen
    shown = [row for row in report.rows if row.status in ("measured", "refused")]
    threads = sorted(chosen.ms or {})
    figures = chosen.figures
    lines = [
        f"images: {counts(report.images)}; {report.processor}",
        "",
        *_pareto_table(shown, threads),
        "",
        *[
            f"{row.candidate.name}: {printable(row.reason or '')}"
            for row in shown
            if row.status == "refused"
        ],
    ]
    others = Counter(row.status for row in report.rows if row.status in _STATUS)
    if others:
        said = ", ".join(f"{number} {_STATUS[status]}" for status, number in others.items())
        lines.append(f"not measured: {said}")
    lines += [
        _predictions(count, report.costs[count]) for count in threads if count in report.costs
    ]
    with_threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    lines.append(
        f"{printable(str(report.model))}: {megabytes(chosen.model_bytes or 0)}, "
        f"{chosen.candidate.name}: mAP@10 {figures.map10:.1f}, "
        f"{(chosen.ms or {})[report.threads]:.2f} ms with {with_threads}"
    )
    if report.test is not None:
        mean = report.test.map10
        lines.append(
            f"on {report.test.images} test images, first read after the choice: mAP@10 "
            f"{mean.mean:.1f} (95%: {mean.low:.1f} to {mean.high:.1f})"
        )
    model = printable(shlex.quote(str(report.model)))
    lines.append(f"next: boost-edge index PHOTOS --model {model} --threads {report.threads}")
    return lines


def warn_of_doubts(report: TuneReport) -> None:
    """Say what the choice does not tell, and where the predictions were worse than trusted."""
    if report.chosen.candidate.readout == "attributes":
        warn(
            "the readout attributes knows what the labels say and nothing else: where images are "
            "to be found that they do not tell apart, search with --readouts match,raw"
        )
    for count, check in report.costs.items():
        off = max(check.all_models.highest, 1 / check.all_models.lowest)
        if off > report.doubt:
            warn(
                f"the cost model was off by up to {off:.2f} times with {count} thread(s), more "
                f"than the {report.doubt:g} it was trusted by: a good candidate may have been left "
                "out; run it again on a quieter machine"
            )


def _pareto_table(rows: list[Row], threads: list[int]) -> list[str]:
    widths = len({row.candidate.network.width for row in rows}) > 1
    head = ["", "image", "tap", "readout", "precision", "dims", "bytes"]
    if widths:
        head.insert(3, "width")
    milliseconds = [f"ms, {count} thread{'s' if count > 1 else ''}" for count in threads]
    header = [*head, *milliseconds, "mAP@10", "against the best (95%)"]
    return table(
        header,
        [_cells(row, threads, widths=widths) for row in rows],
        right=tuple(range(len(head) - 2, len(header) - 1)),
    )


def _cells(row: Row, threads: list[int], *, widths: bool) -> list[str]:
    candidate = row.candidate
    mark = "chosen" if row.chosen else "front" if row.front else row.status.replace("measured", "")
    cells = [
        mark,
        f"{candidate.network.image_size} px",
        candidate.network.tap,
        candidate.readout,
        candidate.precision,
        str(row.dimensions),
        f"{row.bytes_per_image:,}",
    ]
    if widths:
        cells.insert(3, str(candidate.network.width))
    cells += ["" if row.ms is None else f"{row.ms[count]:.2f}" for count in threads]
    gain = row.against_best
    cells.append("" if row.map10 is None else f"{row.map10:.1f}")
    cells.append("" if gain is None else f"{gain.mean:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})")
    return cells


def _predictions(threads: int, check: CostCheck) -> str:
    """Say in one line how the cost model did, on models that it was not fitted to if there are."""
    found = check.others or check.all_models
    ranks = found.rank_correlation
    said = "" if ranks is None else f", rank correlation {ranks:.2f}"
    which = "" if check.others is not None else ", to which it was fitted"
    return (
        f"cost model, {threads} thread{'s' if threads > 1 else ''}: predicted / measured "
        f"{found.ratio:.2f} ({found.lowest:.2f} to {found.highest:.2f}){said}, of {found.models} "
        f"models{which}"
    )
