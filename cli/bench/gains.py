"""How a table of ``boost-edge bench`` shows how far the seeds of a gain are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["between", "with_seeds"]


def between(low: float, high: float, form: str = "+.2f") -> str:
    """Return an interval in words."""
    return f"{low:{form}} to {high:{form}}"


def with_seeds(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    gains: Sequence[Mapping[str, Any] | None],
    form: str = "+.2f",
) -> tuple[list[str], list[list[str]]]:
    """Return a table with one more column, where its gains are of more than one seed.

    It has the 95% interval over three seeds or more, and of two the gains themselves. ``gains``
    has that of each row, or None.
    """
    from boost_edge.bench.between_seeds import gain_by_seed, seed_interval

    by_seed = [gain_by_seed(gain) if gain else [] for gain in gains]
    most = max((len(each) for each in by_seed), default=0)
    if most < 2:
        return list(header), [list(row) for row in rows]
    name = "95% over seeds" if any(map(seed_interval, by_seed)) else "by seed"
    return [*header, name], [
        [*row, _cell(each, seed_interval(each), form)]
        for row, each in zip(rows, by_seed, strict=True)
    ]


def _cell(by_seed: Sequence[float], across: tuple[float, float] | None, form: str) -> str:
    if across is not None:
        return between(*across, form)
    return ", ".join(f"{each:{form}}" for each in by_seed)
