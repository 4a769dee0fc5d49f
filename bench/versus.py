"""``bench versus``: one measurement against another, paired query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boost_edge.bench.between_seeds import Verdict, gain_by_seed, verdict
from boost_edge.bench.comparing import gain_between, spread
from boost_edge.bench.results import make_result
from boost_edge.bench.trials import Trials, read_trials, scores_path
from boost_edge.runtime.errors import UsageError

__all__ = ["Side", "compare", "load_side", "parse_side"]

_BEATS: Mapping[Verdict, str] = {"gains": "second", "hurts": "first", "open": "neither"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A row of a result file; ``row`` may be the end of its name, such as ``raw``."""

    path: Path
    row: str


def parse_side(text: str) -> Side:
    """Read ``FILE.json:ROW``, such as ``vit.json:raw`` or ``resnet18.json:boost/attributes``.

    Raises
    ------
    UsageError
        When one of the two is missing.
    """
    path, _, row = text.rpartition(":")
    if not path or not row:
        raise UsageError(f"{text}: write FILE.json:ROW, such as vit.json:raw")
    return Side(path=Path(path), row=row)


def load_side(side: Side) -> tuple[Trials, str]:
    """Return the trials of a side and the whole name of its row.

    Raises
    ------
    UsageError
        When no row, or more than one, is called so.
    IntegrityError
        When the scores beside the file are absent or damaged.
    """
    trials = read_trials(scores_path(side.path))
    found = [row for row in trials.rows if f"/{row}".endswith(f"/{side.row}")]
    if len(found) != 1:
        raise UsageError(
            f"{side.path}: {len(found) or 'no'} rows are called {side.row}: the rows are "
            f"{', '.join(trials.rows)}"
        )
    return trials, found[0]


def compare(first: Side, second: Side, *, metric: str = "map10") -> dict[str, Any]:
    """Return both sides' means and the gain of the second over the first, as a result.

    Both must have been measured on the same queries: the same label table, attributes and
    protocol. ``beats`` is ``second``, ``first``, or ``neither`` where that cannot be told
    (`boost_edge.bench.between_seeds.verdict`).

    Raises
    ------
    UsageError
        When a row or metric is not there, or the queries differ.
    IntegrityError
        When the scores beside a file are absent or damaged.
    """
    (ours, base), (theirs, row) = load_side(first), load_side(second)
    gain = gain_between(ours, base, theirs, row, metric)
    sides: list[dict[str, Any]] = [
        {"file": side.path.name, "row": name, metric: spread(trials, name, metric)}
        for side, trials, name in ((first, ours, base), (second, theirs, row))
    ]
    baseline = sides[0][metric]["mean"]
    return make_result(
        "versus",
        {
            "metric": metric,
            "seeds": min(len(ours.seeds), len(theirs.seeds)),
            "first": sides[0],
            "second": sides[1],
            "gain": gain,
            "relative_gain": gain["mean"] / baseline if baseline else None,
            "beats": _BEATS[verdict(gain, gain_by_seed(gain))],
        },
    )
