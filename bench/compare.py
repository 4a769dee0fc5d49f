"""``bench compare``: two results of the same kind, row by row, with limits for a gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from boost_edge.bench.results import make_result
from boost_edge.runtime.errors import UsageError

__all__ = ["KINDS", "Kind", "Limits", "Measure", "compare_results"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse a row may be.

    ``slowdown``, ``growth`` and ``instructions`` are factors of times and costs, of bytes, and of
    instructions, at least 1;
    ``map_loss``, ``agreement_loss`` and ``recall_loss`` are points out of 100. Times that differ by
    less than ``floor_ms`` milliseconds are never worse: they are noise.
    """

    slowdown: float = 1.1
    growth: float = 1.1
    instructions: float = 1.05
    map_loss: float = 0.5
    agreement_loss: float = 1.0
    recall_loss: float = 0.5
    floor_ms: float = 0.1

    def __post_init__(self) -> None:
        if not min(self.slowdown, self.growth, self.instructions) >= 1:
            raise UsageError("a largest slowdown or growth is a factor of at least 1")
        losses = (self.map_loss, self.agreement_loss, self.recall_loss, self.floor_ms)
        if not all(each >= 0 for each in losses):
            raise UsageError("a largest loss and a smallest difference cannot be below 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of a row: where it stands, and which limit it is held to.

    ``key`` is its path in the row, joined by dots; ``scale`` turns it into the limit's unit.
    """

    key: str
    limit: Literal[
        "slowdown", "growth", "instructions", "map_loss", "agreement_loss", "recall_loss"
    ]
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How results of one kind are compared.

    ``protocol`` are the keys that must be equal; ``tables`` maps each list of rows to the keys
    that name a row and its measures; ``same_machine`` says that the machine must be the same.
    """

    protocol: tuple[str, ...]
    tables: Mapping[str, tuple[tuple[str, ...], tuple[Measure, ...]]]
    same_machine: bool


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "latency": Kind(
            protocol=("protocol",),
            tables={
                "rows": (
                    ("system", "runtime", "threads", "stage", "batch"),
                    (Measure(key="p50_ms", limit="slowdown"),),
                ),
                "systems": (
                    ("system",),
                    (
                        Measure(key="model_bytes", limit="growth"),
                        Measure(key="peak_memory_bytes.query", limit="growth"),
                    ),
                ),
            },
            same_machine=True,
        ),
        "cost": Kind(
            protocol=("threads", "price", "label_usd", "labelled_images", "against"),
            tables={
                "rows": (
                    ("system",),
                    (
                        Measure(key="usd_per_million_queries", limit="slowdown"),
                        Measure(key="usd_per_million_images", limit="slowdown"),
                    ),
                )
            },
            same_machine=True,
        ),
        "quality": Kind(
            protocol=("labels_sha256", "attributes", "protocol", "seeds"),
            tables={
                "rows": (
                    ("resize", "recipe", "readout"),
                    (Measure(key="map10", limit="map_loss"),),
                )
            },
            same_machine=False,
        ),
        "models": Kind(
            protocol=("labels_sha256", "attributes", "protocol", "samples"),
            tables={
                "rows": (
                    ("model",),
                    (
                        Measure(key="map10.mean", limit="map_loss"),
                        Measure(key="bytes", limit="growth"),
                    ),
                )
            },
            same_machine=False,
        ),
        "agreement": Kind(
            protocol=("labels_sha256", "attribute", "queries", "hits", "seed"),
            tables={
                "rows": (
                    ("readout",),
                    (Measure(key="agreement", limit="agreement_loss", scale=100.0),),
                )
            },
            same_machine=False,
        ),
        "search": Kind(
            protocol=("data", "queries", "k", "target_recall", "links", "view_while_building"),
            tables={
                "engines": (
                    ("engine",),
                    (
                        Measure(key="search.p50_ms", limit="slowdown"),
                        Measure(key="search.recall", limit="recall_loss", scale=100.0),
                        Measure(key="build.bytes", limit="growth"),
                        Measure(key="open.peak_bytes", limit="growth"),
                    ),
                ),
                "filters": (
                    ("label",),
                    (
                        Measure(key="p50_ms", limit="slowdown"),
                        Measure(key="recall", limit="recall_loss", scale=100.0),
                    ),
                ),
            },
            same_machine=True,
        ),
        "regression": Kind(
            protocol=("protocol",),
            tables={
                "rows": (
                    ("workload",),
                    (Measure(key="instructions", limit="instructions"),),
                )
            },
            # Valgrind shows every processor with AVX2 as the same one, nearly.
            same_machine=False,
        ),
    }
)
"""Kinds of results that can be compared, by name."""


def compare_results(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    limits: Limits,
    any_machine: bool = False,
) -> dict[str, Any]:
    """Return a result of kind ``comparison`` with a row for each figure of each row.

    A row has ``name``, ``measure``, ``old``, ``new``, ``change`` (``new / old`` for times, costs
    and bytes, ``new - old`` in points for quality), ``limit`` and ``crossed``. What was measured
    in ``old`` and is not in ``new`` has crossed; what is only in ``new`` has not.

    Raises
    ------
    UsageError
        When the two are not of one kind that can be compared, one protocol and, for times, one
        machine, or have no row in common.
    """
    kind = _check_kinds(old, new)
    spec = KINDS[kind]
    for key in spec.protocol:
        if key not in old or old.get(key) != new.get(key):
            raise UsageError(
                f"the two results differ in {key}, so their figures do not compare: measure both "
                "in the same way"
            )
    if spec.same_machine and not any_machine and _machine(old) != _machine(new):
        raise UsageError(
            f"the two results are of different machines ({_machine(old)}; {_machine(new)}): times "
            "compare on one machine only; --any-machine compares them all the same"
        )
    before, after = dict(_figures(old, spec)), dict(_figures(new, spec))
    rows = [
        _judge(key, before.get(key, (None, measure))[0], value, measure, limits)
        for key, measure, value in _joined(before, after)
    ]
    if not any(row["old"] is not None and row["new"] is not None for row in rows):
        raise UsageError("the two results have no row in common")
    return make_result(
        "comparison",
        {
            "of": kind,
            "old_date": old.get("date"),
            "new_date": new.get("date"),
            "crossed": sum(bool(row["crossed"]) for row in rows),
            "rows": rows,
        },
    )


_FACTORS = ("slowdown", "growth", "instructions")
_Key = tuple[str, str]
_Figures = dict[_Key, tuple[float | None, Measure]]


def _check_kinds(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if old["kind"] != new["kind"]:
        raise UsageError(
            f"a result of bench {old['kind']} and one of bench {new['kind']} do not compare"
        )
    kind = str(new["kind"])
    if kind not in KINDS:
        raise UsageError(f"results of kind {kind} cannot be compared: only {', '.join(KINDS)}")
    return kind


def _machine(result: Mapping[str, Any]) -> str:
    # A result of bench cost may be computed anywhere.
    machine: dict[str, Any] = result.get("measured_on") or result.get("machine") or {}
    return f"{machine.get('processor')}, {machine.get('cores')} cores"


def _figures(
    result: Mapping[str, Any], spec: Kind
) -> Iterator[tuple[_Key, tuple[float | None, Measure]]]:
    """Yield the figures of a result by row and measure, in its order."""
    for table, (names, measures) in spec.tables.items():
        seen: dict[str, int] = {}
        # Without our own engine a search has no filters.
        rows: list[dict[str, Any]] = result.get(table, [])
        for row in rows:
            name = " ".join(str(row.get(key)) for key in names)
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name = f"{name} #{seen[name]}"
            for measure in measures:
                yield (name, measure.key), (_value(row, measure.key), measure)


def _value(row: Mapping[str, Any], path: str) -> float | None:
    value: Any = row
    for part in path.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _joined(before: _Figures, after: _Figures) -> Iterator[tuple[_Key, Measure, float | None]]:
    """Yield every figure that either has, in the order of the old result, then of the new."""
    for key, (value, measure) in before.items():
        now = after.get(key, (None, measure))[0]
        if value is not None or now is not None:
            yield key, measure, now
    for key, (value, measure) in after.items():
        if key not in before and value is not None:
            yield key, measure, value


def _judge(
    key: _Key, old: float | None, new: float | None, measure: Measure, limits: Limits
) -> dict[str, Any]:
    limit: float = getattr(limits, measure.limit)
    change: float | None = None
    crossed = new is None
    if old is not None and new is not None:
        if measure.limit in _FACTORS:
            change = new / old if old else None
            noise = measure.key.endswith("_ms") and new - old < limits.floor_ms
            crossed = new > limit * old and not noise
        else:
            change = measure.scale * (new - old)
            crossed = -change > limit
    return {
        "name": key[0],
        "measure": measure.key,
        "old": old,
        "new": new,
        "change": change,
        "limit": limit if measure.limit in _FACTORS else -limit,
        "crossed": crossed,
    }
