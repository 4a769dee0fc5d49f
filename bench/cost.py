"""``bench cost``: what a measured speed costs in money, and when labelling has paid for itself.

The price is an input, so only ratios are facts. Labelling is paid once, queries every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.results import make_result
from boost_edge.runtime.errors import UsageError

__all__ = [
    "DEFAULT_LABEL_USD",
    "LABELLED_IMAGES",
    "break_even",
    "measure_cost",
    "usd_per_million",
]

LABELLED_IMAGES = 3_000
DEFAULT_LABEL_USD = 0.25
"""An assumption, not a measurement: one image with seven attributes, at three to four US cents
each. Give your own with ``--label-cost``."""

_USUAL_BASELINE = "vit_b_16"
_KWH_PER_JOULE = 1 / 3.6e6


def usd_per_million(per_second: float, usd_per_hour: float) -> float:
    """Return the dollars for a million things on a machine that does so many a second."""
    return usd_per_hour / 3600 / per_second * 1e6


def break_even(once_usd: float, ours_usd: float, theirs_usd: float) -> float | None:
    """Return after how many uses a price paid once is made up for by a lower price of each use.

    ``None`` when each use costs no less, so that it never is.
    """
    saved = theirs_usd - ours_usd
    return once_usd / saved if saved > 0 else None


def measure_cost(
    latency: Mapping[str, Any],
    *,
    price: Mapping[str, Any],
    label_usd: float = DEFAULT_LABEL_USD,
    labelled_images: int = LABELLED_IMAGES,
    against: str | None = None,
) -> dict[str, Any]:
    """Turn a result of ``bench latency`` into costs.

    A query is the stage ``query`` (one after the other, on all threads measured), an image
    indexed the stage ``encode-files``; both include reading and decoding a photo of one megapixel.

    Parameters
    ----------
    price
        With ``name`` and ``usd_per_hour``, of the whole machine that was measured.
    label_usd
        Dollars for all labels of one image.
    against
        The system that is compared with; default: ViT-B/16, else the first without a head.

    Raises
    ------
    UsageError
        When the result lacks what is needed, or an input makes no sense.
    """
    if not 0 <= label_usd < float("inf") or labelled_images < 0:
        raise UsageError("what labels cost, and how many images have them, cannot be below 0")
    hourly = float(price["usd_per_hour"])
    systems: list[dict[str, Any]] = latency["systems"]
    baseline = _baseline(systems, against)
    threads = max(int(each) for each in latency["protocol"]["threads"])
    rows = [_costs(latency, each, threads, hourly) for each in systems]
    reference = next(row for row in rows if row["system"] == baseline)
    once = label_usd * labelled_images
    for row in rows:
        row["labelling_usd"] = once if row["boosted"] else 0.0
        for what in ("queries", "images"):
            ours: float | None = row[f"usd_per_million_{what}"]
            theirs: float | None = reference[f"usd_per_million_{what}"]
            row[f"times_cheaper_{what}"] = row[f"break_even_{what}"] = None
            if ours is not None and theirs is not None:
                row[f"times_cheaper_{what}"] = theirs / ours
                if row["boosted"]:
                    row[f"break_even_{what}"] = break_even(once, ours / 1e6, theirs / 1e6)
    return make_result(
        "cost",
        {
            "measured_on": latency["machine"],
            "measured_at": latency["date"],
            "threads": threads,
            "price": dict(price),
            "label_usd": label_usd,
            "labelled_images": labelled_images,
            "against": baseline,
            "energy": latency["energy"],
            "rows": rows,
        },
    )


def _baseline(systems: list[dict[str, Any]], against: str | None) -> str:
    names = [str(each["system"]) for each in systems]
    if against is not None:
        if against not in names:
            raise UsageError(f"system {against!r} was not measured: there are {', '.join(names)}")
        return against
    if _USUAL_BASELINE in names:
        return _USUAL_BASELINE
    raw = [str(each["system"]) for each in systems if each["readout"] == "raw"]
    if not raw:
        raise UsageError("every system has a boost head: say which to compare with (--against)")
    return raw[0]


def _costs(
    latency: Mapping[str, Any], system: Mapping[str, Any], threads: int, hourly: float
) -> dict[str, Any]:
    query = _find(latency, system["system"], "query", threads)
    if query is None:
        raise UsageError(
            f"{system['system']}: the result has no stage query with {threads} threads: "
            "measure again with bench latency"
        )
    files = _find(latency, system["system"], "encode-files", threads)
    per_second = 1e3 / float(query["mean_ms"])
    indexed = None if files is None else float(files["images_per_second"])
    return {
        "system": system["system"],
        "boosted": system["readout"] != "raw",
        "queries_per_second": per_second,
        "usd_per_million_queries": usd_per_million(per_second, hourly),
        "kwh_per_million_queries": _kwh(query),
        "images_per_second": indexed,
        "usd_per_million_images": None if indexed is None else usd_per_million(indexed, hourly),
        "kwh_per_million_images": None if files is None else _kwh(files),
    }


def _kwh(row: Mapping[str, Any]) -> float | None:
    joules: float | None = row["joules_per_image"]
    return None if joules is None else 1e6 * joules * _KWH_PER_JOULE


def _find(
    latency: Mapping[str, Any], system: str, stage: str, threads: int
) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = latency["rows"]
    for row in rows:
        if (row["system"], row["stage"], row["threads"]) == (system, stage, threads):
            return row
    return None
