"""What is true of a path when several galleries know it. Pure functions; docs/moving.md says it.

Two rows of a path *agree* when their bytes are the same and no attribute has two labels. Where they
do not, a policy decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.image_rows import ImageRow

__all__ = ["POLICIES", "Policy", "check_policy", "disagreement", "join", "unite"]

Policy: TypeAlias = Literal["fail", "keep", "replace", "newest"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""``fail``: nothing is written; ``keep``: what is in the gallery stays; ``replace``: what comes
replaces it; ``newest``: the file that changed last wins."""

Arrival: TypeAlias = tuple[ImageRow, NDArray[np.float32]]


def check_policy(policy: Policy) -> None:
    """Raise UsageError for a policy that is not known."""
    if policy not in POLICIES:
        raise UsageError(f"{policy!r} is not one of {', '.join(POLICIES)}")


def disagreement(rows: Sequence[ImageRow]) -> str:
    """Return what the live ones among some rows of a path disagree about, in a word; ``""``: none.

    A deleted row is what is left of an image: it contradicts nothing.
    """
    live = [row for row in rows if row.state == "live"]
    if len({row.digest for row in live}) > 1:
        return "content"
    said: dict[str, set[str]] = {}
    for row in live:
        for name, value in row.labels.items():
            said.setdefault(name, set()).add(value)
    return ", ".join(f"label {name}" for name in sorted(said) if len(said[name]) > 1)


def join(known: ImageRow, new: ImageRow, policy: Policy) -> ImageRow:
    """Return what is true of a path after ``new`` came to ``known``.

    A live row wins over a deleted one. Of equal bytes, ``known`` stays with all labels of both;
    where an attribute has two, and for the time of change, the policy decides. ``fail`` is only
    asked for the time of change, and answers as ``newest`` does: the later one.
    """
    if known.state != new.state:
        policy = "keep" if known.state == "live" else "replace"
    elif known.state == "deleted":
        policy = "newest"
    if known.digest != new.digest:
        new_wins = policy == "replace" or (policy != "keep" and _age(new) > _age(known))
        return new if new_wins else known
    if policy == "keep":
        labels, stamp = new.labels | known.labels, known
    elif policy == "replace":
        labels, stamp = known.labels | new.labels, new
    else:
        both = known.labels.keys() & new.labels.keys()
        # A label has no time of its own; any rule will do that is the same in any order.
        greatest = {name: max(known.labels[name], new.labels[name]) for name in both}
        labels, stamp = known.labels | new.labels | greatest, max(known, new, key=_age)
    return replace(
        known,
        labels=labels,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        state="live" if "live" in (known.state, new.state) else "deleted",
    )


def unite(versions: Sequence[Arrival]) -> Arrival:
    """Return what is true of a path by several galleries' word, whatever their order.

    Equal bytes are joined first, then the content that changed last wins.
    """
    by_digest: dict[str, Arrival] = {}
    for row, vector in sorted(versions, key=_canonical):
        if row.digest in by_digest:
            first, first_vector = by_digest[row.digest]
            by_digest[row.digest] = join(first, row, "newest"), first_vector
        else:
            by_digest[row.digest] = row, vector
    return max(by_digest.values(), key=lambda arrival: _age(arrival[0]))


def _age(row: ImageRow) -> tuple[int, str, int]:
    return row.mtime_ns, row.digest, row.size


def _canonical(arrival: Arrival) -> tuple[bytes, str, int, int]:
    """Order versions of the same bytes that machines with other arithmetic described."""
    row, vector = arrival
    predicted = json.dumps({name: asdict(each) for name, each in row.predicted.items()})
    return vector.tobytes(), predicted, row.width, row.height
