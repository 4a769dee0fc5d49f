"""What ``bench search`` is to measure, and the engines by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from boost_edge.bench.search_data import DataPlan
from boost_edge.bench.search_engines import Engine, Faiss, Hnswlib, Usearch
from boost_edge.bench.search_ours import Ours
from boost_edge.runtime.errors import MissingExtraError, UsageError
from boost_edge.runtime.records import record_from_json
from boost_edge.runtime.replace import replacing

__all__ = ["ENGINES", "SearchPlan", "engine_of", "keep_plan", "read_plan"]

ENGINES = ("ours", "usearch-f32", "usearch-f16", "hnswlib", "faiss")

_PLAN = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """The vectors, the model that the gallery is bound to, and how others build.

    ``threads`` are those that the other engines build with; ours always takes one.
    """

    data: DataPlan
    model: str
    threads: int


def engine_of(name: str, plan: SearchPlan) -> Engine:
    """Return an engine.

    Raises
    ------
    MissingExtraError
        When its package is not installed.
    """
    engines: dict[str, Engine] = {
        "ours": Ours(plan.data, Path(plan.model)),
        "usearch-f32": Usearch("f32"),
        "usearch-f16": Usearch("f16"),
        "hnswlib": Hnswlib(plan.data.dimensions),
        "faiss": Faiss(),
    }
    engine = engines[name]
    for package in engine.packages:
        if find_spec(package) is None:
            raise MissingExtraError(f"measuring {name}", "bench", package)
    return engine


def keep_plan(plan: SearchPlan, work: Path) -> None:
    """Write the plan into the work folder, or see that it is the one there.

    Raises
    ------
    UsageError
        When the folder holds what another plan built.
    """
    work.mkdir(parents=True, exist_ok=True)
    if (work / _PLAN).exists():
        # Where the model lies makes no difference: it is never run.
        before = replace(read_plan(work), model=plan.model)
        if before != plan:
            was: dict[str, Any] = asdict(before)
            now: dict[str, Any] = asdict(plan)
            what = ", ".join(name for name in now if now[name] != was[name])
            raise UsageError(
                f"{work}: was built for another plan (another {what}): give another --work, or "
                "remove this one"
            )
    with replacing(work / _PLAN) as temporary:
        temporary.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")


def read_plan(work: Path) -> SearchPlan:
    """Return the plan of a work folder.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    try:
        raw = json.loads((work / _PLAN).read_text(encoding="utf-8"))
        return record_from_json(SearchPlan, raw, _PLAN)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{work / _PLAN}: cannot be read ({error}): give another --work"
        ) from error
