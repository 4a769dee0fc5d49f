"""``bench compare``: two results of the same kind, row by row, with limits for a gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    ``by_seed`` is the path of its values by seed, where it is a mean over seeds that are the same
    in both results.
    """

    key: str
    limit: Literal[
        "slowdown", "growth", "instructions", "map_loss", "agreement_loss", "recall_loss"
    ]
    scale: float = 1.0
    by_seed: str | None = None


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
                    (Measure(key="map10", limit="map_loss", by_seed="map10_by_seed"),),
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
                        Measure(key="map10.mean", limit="map_loss", by_seed="map10.by_seed"),
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
    and bytes, ``new - old`` in points for quality), ``limit`` and ``crossed``; ``change_by_seed``
    where it is a mean over seeds. What was measured in ``old`` and is not in ``new`` has crossed;
    what is only in ``new`` has not.

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
        _judge(key, before.get(key), after.get(key), limits)
        for key in dict.fromkeys((*before, *after))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A figure of a row, and its values by seed."""

    measure: Measure
    value: float
    by_seed: Sequence[float | None]


_Figures = dict[_Key, _Figure]


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
    # Machines of other speed go by one name where a cloud rents them.
    instructions = " ".join(machine.get("instructions") or ["instructions not told"])
    return f"{machine.get('processor')}, {machine.get('cores')} cores, {instructions}"


def _figures(result: Mapping[str, Any], spec: Kind) -> Iterator[tuple[_Key, _Figure]]:
    """Yield the figures of a result by row and measure, in its order; rows without are left out."""
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
                value = _at(row, measure.key)
                if isinstance(value, int | float):
                    by_seed = _at(row, measure.by_seed) if measure.by_seed else None
                    yield (
                        (name, measure.key),
                        _Figure(measure=measure, value=float(value), by_seed=by_seed or ()),
                    )


def _at(row: Mapping[str, Any], path: str) -> Any:
    """Return what is at a path of keys, None where there is nothing."""
    value: Any = row
    for part in path.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return value


def _judge(
    key: _Key, before: _Figure | None, after: _Figure | None, limits: Limits
) -> dict[str, Any]:
    """Judge a figure that at least one of the results has."""
    measure = cast("_Figure", before or after).measure
    limit: float = getattr(limits, measure.limit)
    factor = measure.limit in _FACTORS
    row: dict[str, Any] = {
        "name": key[0],
        "measure": measure.key,
        "old": before and before.value,
        "new": after and after.value,
        "change": None,
        "limit": limit if factor else -limit,
        "crossed": after is None,
    }
    if before is None or after is None:
        return row
    old, new = before.value, after.value
    if factor:
        row["change"] = new / old if old else None
        noise = measure.key.endswith("_ms") and new - old < limits.floor_ms
        row["crossed"] = new > limit * old and not noise
    else:
        row["change"] = measure.scale * (new - old)
        row["crossed"] = -row["change"] > limit
    if measure.by_seed and len(before.by_seed) == len(after.by_seed) > 1:
        row["change_by_seed"] = [
            None if was is None or now is None else measure.scale * (now - was)
            for was, now in zip(before.by_seed, after.by_seed, strict=True)
        ]
    return row
