"""What ``tune`` found: one row for each candidate, and what is said of all of them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from boost_edge.export.budget import Budget, Figures
from boost_edge.export.candidates import Candidate
from boost_edge.export.cost_model import Accuracy, Cost, CostModel
from boost_edge.runtime.bootstrap import Interval
from boost_edge.runtime.errors import ImageError

__all__ = ["CostCheck", "Row", "Status", "TestPart", "TuneReport", "as_json", "write_report"]

Status = Literal[
    "measured", "dominated", "over_budget", "refused", "impossible", "not_tried", "planned"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate, and as much of it as was found out.

    Parameters
    ----------
    status
        ``measured``; ``dominated`` by one that finds as much for less; ``over_budget`` as
        predicted; ``refused`` by the gate for int8; ``impossible``; ``not_tried`` for want of
        time. ``planned`` is what none is at the end.
    reason
        Why it is not measured, in words.
    dimensions
        Width D of the embedding.
    cost, predicted_ms
        What is to be computed, and how long that should take, by number of threads.
    map10, against_best
        mAP@10 in points on the validation part, and what it gains on the best found, with the
        95% paired bootstrap interval.
    ms
        Measured milliseconds by number of threads.
    model, model_bytes
        The exported file and its size.
    front, chosen
        Whether no other candidate dominates it, and whether it is the one that was written.
    """

    candidate: Candidate
    status: Status
    reason: str | None = None
    dimensions: int | None = None
    cost: Cost | None = None
    predicted_ms: dict[int, float] | None = None
    map10: float | None = None
    against_best: Interval | None = None
    ms: dict[int, float] | None = None
    model: Path | None = None
    model_bytes: int | None = None
    front: bool = False
    chosen: bool = False

    @property
    def bytes_per_image(self) -> int:
        """Return the bytes of one embedding in float32."""
        return 4 * (self.dimensions or 0)

    @property
    def figures(self) -> Figures:
        """Return what counts of a measured candidate: with the threads it is fastest with."""
        if self.ms is None or self.map10 is None:
            raise ValueError(f"{self.candidate.name} is not measured")
        return Figures(ms=min(self.ms.values()), map10=self.map10, bytes=self.bytes_per_image)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCheck:
    """The cost model at one number of threads, and how its predictions came out.

    ``all_models`` are all measured ones in float32, ``others`` those of networks that it was not
    fitted to; ``None`` where there is none.
    """

    rates: CostModel
    all_models: Accuracy
    others: Accuracy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPart:
    """mAP@10 in points of the chosen file on images that took no part in the search."""

    images: int
    map10: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport:
    """What a search came to.

    ``threads`` is the fewest with which the chosen model keeps to the budget. ``probes`` is how
    many networks the cost model was fitted to, ``doubt`` the factor by which it was trusted.
    ``test`` is ``None`` where the table leaves no such part.
    """

    model: Path
    report: Path
    work: Path
    budget: Budget
    images: dict[str, int]
    processor: str
    rows: tuple[Row, ...]
    threads: int
    probes: int
    doubt: float
    costs: dict[int, CostCheck]
    test: TestPart | None
    seconds: float
    missing: tuple[str, ...]
    duplicates: int
    skipped: tuple[ImageError, ...]

    @property
    def chosen(self) -> Row:
        """Return the candidate that was written."""
        return next(row for row in self.rows if row.chosen)


def as_json(report: TuneReport) -> dict[str, Any]:
    """Return what is printed and written: docs/json.md."""
    return {
        "model": str(report.model),
        "report": str(report.report),
        "work": str(report.work),
        "budget": dataclasses.asdict(report.budget),
        "images": report.images,
        "processor": report.processor,
        "chosen": _row(report.chosen),
        "threads": report.threads,
        "test": report.test and dataclasses.asdict(report.test),
        "candidates": [_row(row) for row in report.rows],
        "cost_model": {
            "probes": report.probes,
            "doubt": report.doubt,
            "threads": {
                str(count): dataclasses.asdict(check) for count, check in report.costs.items()
            },
        },
        "seconds": report.seconds,
        "missing": list(report.missing),
        "duplicates": report.duplicates,
        "skipped": [
            {"path": error.path, "reason": error.reason, "detail": error.detail}
            for error in report.skipped
        ],
    }


def write_report(report: TuneReport, path: Path) -> None:
    """Write the same to a file that has a temporary name for now."""
    path.write_text(json.dumps(as_json(report), indent=2) + "\n", encoding="utf-8")


def _row(row: Row) -> dict[str, Any]:
    candidate = row.candidate
    known = row.dimensions is not None
    return {
        "image_size": candidate.network.image_size,
        "tap": candidate.network.tap,
        "width": candidate.network.width,
        "readout": candidate.readout,
        "precision": candidate.precision,
        "status": row.status,
        "reason": row.reason,
        "front": row.front,
        "chosen": row.chosen,
        "dimensions": row.dimensions,
        "bytes_per_image": row.bytes_per_image if known else None,
        "model_bytes": row.model_bytes,
        "map10": row.map10,
        "against_best": row.against_best and dataclasses.asdict(row.against_best),
        "ms": _by_threads(row.ms),
        "predicted_ms": _by_threads(row.predicted_ms),
        "macs": row.cost and row.cost.macs,
        "bytes_moved": row.cost and row.cost.bytes,
    }


def _by_threads(milliseconds: dict[int, float] | None) -> dict[str, float] | None:
    if milliseconds is None:
        return None
    return {str(count): each for count, each in milliseconds.items()}
