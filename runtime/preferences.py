"""Soft preferences: values of attributes that lift an image among the hits, or lower it.

``colour=Red:0.3`` adds 0.3 to the cosine of an image that the user labelled red, nothing to one
that is labelled otherwise, and 0.3 times its probability to one that is only predicted red. No
image that the search has not looked at could have come higher.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.search import Scored
from boost_edge.runtime.store import Store
from boost_edge.runtime.where_sql import LABEL, PREDICTED, Value, as_number, compare, json_path
from boost_edge.runtime.where_tokens import Token, filter_error, tokenise

__all__ = [
    "DEFAULT_WEIGHT",
    "Bonuses",
    "Preference",
    "best_preferred",
    "bonuses_of",
    "greatest_bonus",
    "parse_preference",
]

# About what lies between the first and the tenth hit of the demo's catalogue.
DEFAULT_WEIGHT = 0.1

_WHAT = "preference"
# So many candidates for each hit are asked for at first, and twice as many each time after.
_FIRST = 4
_CHUNK_IDS = 10_000

# 1 or 0 where there is a label; else the probability of the predicted value where that matches.
_MATCH = "CASE WHEN {label} IS NOT NULL THEN {labelled} ELSE {predicted} * {probability} END"
_OF_IDS = "FROM images WHERE id IN (SELECT value FROM json_each(?)) AND state = 'live'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A value that is wanted, or not: ``weight`` in [-1, 1] is what it adds to a cosine at most.

    ``text`` is it as written, where the name stands at ``column``, which counts from 0.
    """

    text: str
    name: str
    value: Value
    weight: float
    column: int


# Gives the bonus ``(n,) float64`` of each of ``n`` ids.
Bonuses = Callable[[NDArray[np.int64]], NDArray[np.float64]]
# Gives so many candidates at most, by falling cosine.
Find = Callable[[int], Scored]
# Gives all candidates, piece by piece in any order.
Scores = Callable[[], Iterable[Scored]]


def parse_preference(text: str) -> Preference:
    """Read a preference: ``name=value``, then ``:weight`` where it is not `DEFAULT_WEIGHT`.

    Raises
    ------
    UsageError
        When it is none; the message shows where, and what was expected there.
    """
    tokens = tokenise(text, what=_WHAT)
    name = tokens[0]
    if name.kind not in ("word", "text") or not name.text:
        raise _expected(text, name, "the name of an attribute")
    if name.kind == "word" and name.text.startswith(("label.", "predicted.")):
        problem = "a preference looks at the label, then at the prediction: leave out the prefix"
        raise filter_error(text, name.column, problem, what=_WHAT)
    if '"' in name.text:
        problem = "an attribute with a quotation mark in its name"
        raise filter_error(text, name.column, problem, what=_WHAT)
    if not tokens[1].is_sign("="):
        raise _expected(text, tokens[1], "=")
    value, weight = tokens[2], tokens[3:-1]
    if value.kind == "word" and ":" in value.text:
        # A bare word takes the weight along.
        bare, _, _ = value.text.rpartition(":")
        at = value.column + len(bare)
        tail = Token(kind="word", text=value.text[len(bare) :], column=at)
        value, weight = Token(kind="word", text=bare, column=value.column), [tail, *weight]
    if value.kind not in ("word", "text") or (value.kind == "word" and not value.text):
        raise _expected(text, value, "a value")
    wanted = as_number(value.text) if value.kind == "word" else None
    if wanted is not None and not math.isfinite(wanted):
        problem = "expected a number that is not so large"
        raise filter_error(text, value.column, problem, what=_WHAT)
    return Preference(
        text=text,
        name=name.text,
        value=value.text if wanted is None else wanted,
        weight=_weight(text, weight, tokens[-1]),
        column=name.column,
    )


def bonuses_of(store: Store, preferences: Sequence[Preference]) -> Bonuses:
    """Return the function that gives images their bonus, within one `Store.snapshot`."""
    columns: list[str] = []
    values: list[Value] = []
    for each in preferences:
        label, predicted = json_path(each.name), json_path(each.name) + ".value"
        probability = json_path(each.name) + ".p"
        labelled = compare((LABEL, (label,)), "=", each.value)
        foretold = compare((PREDICTED, (predicted,)), "=", each.value)
        columns.append(
            _MATCH.format(
                label=LABEL, labelled=labelled[0], predicted=foretold[0], probability=PREDICTED
            )
        )
        values += [label, *labelled[1], *foretold[1], probability]
    sql = f"SELECT id, {', '.join(columns)} {_OF_IDS}"

    def bonuses(ids: NDArray[np.int64]) -> NDArray[np.float64]:
        found: dict[int, float] = {}
        for start in range(0, len(ids), _CHUNK_IDS):
            some = json.dumps(ids[start : start + _CHUNK_IDS].tolist())
            for identity, *matches in store.select(sql, (*values, some)):
                found[identity] = _bonus(preferences, matches)
        return np.array([found[identity] for identity in ids.tolist()], np.float64)

    return bonuses


def best_preferred(
    find: Find,
    bonuses: Bonuses,
    k: int,
    *,
    most: float,
    least: float | None = None,
    scores: Scores | None = None,
    reach: int = 0,
) -> tuple[Scored, NDArray[np.float64]]:
    """Return the ``k`` images with the greatest sum of cosine and bonus, ties broken by id.

    Parameters
    ----------
    find
        The nearest images by cosine.
    bonuses
        The bonus of some images.
    k
        At least 1.
    most
        What no bonus exceeds.
    least
        Images with a lower cosine are left out.
    scores, reach
        Once more than ``reach`` nearest images are needed, all are scored and gone through once,
        which is then cheaper. Without ``scores`` only ``find`` is asked.

    Returns
    -------
    tuple
        Ids and cosines, and the bonuses ``(n,) float64``.
    """
    known_ids, known = np.empty(0, np.int64), np.empty(0, np.float64)
    count = _FIRST * k
    while scores is None or count <= reach:
        ids, cosines = find(count)
        exhausted = len(ids) < count
        lowest = float(cosines[-1]) if len(cosines) else -math.inf
        if least is not None:
            near = cosines.astype(np.float64) >= least
            exhausted = exhausted or not near.all()
            ids, cosines = ids[near], cosines[near]
        fresh = ids[np.isin(ids, known_ids, invert=True)]
        known_ids = np.concatenate([known_ids, fresh])
        known = np.concatenate([known, bonuses(fresh)])
        order = np.argsort(known_ids)
        bonus = known[order[np.searchsorted(known_ids, ids, sorter=order)]]
        sums = cosines.astype(np.float64) + bonus
        best = np.lexsort((ids, -sums))[:k]
        # An image with as great a sum may have a smaller id, so the bar must be passed.
        if exhausted or (len(best) == k and sums[best[-1]] > lowest + most):
            return (ids[best], cosines[best]), bonus[best]
        count *= 2
    return _best_of_all(scores(), bonuses, k, most=most, least=least)


def _best_of_all(
    pieces: Iterable[Scored], bonuses: Bonuses, k: int, *, most: float, least: float | None
) -> tuple[Scored, NDArray[np.float64]]:
    """Return the best of all images, of which no more are held than a piece and ``k``."""
    ids, cosines, bonus = np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float64)
    bar = -math.inf
    for some, scored in pieces:
        wide = scored.astype(np.float64)
        # The others cannot come among the best, whatever their bonus.
        worth = wide + most >= bar
        if least is not None:
            worth &= wide >= least
        ids = np.concatenate([ids, some[worth]])
        cosines = np.concatenate([cosines, scored[worth]])
        bonus = np.concatenate([bonus, bonuses(some[worth])])
        sums = cosines.astype(np.float64) + bonus
        best = np.lexsort((ids, -sums))[:k]
        ids, cosines, bonus = ids[best], cosines[best], bonus[best]
        if len(best) == k:
            bar = float(sums[best[-1]])
    return (ids, cosines), bonus


def greatest_bonus(preferences: Sequence[Preference]) -> float:
    """Return what no image's bonus exceeds."""
    return _bonus(preferences, [float(each.weight > 0) for each in preferences])


def _bonus(preferences: Sequence[Preference], matches: Sequence[float | None]) -> float:
    """Add up the weights of what matches, in the order given; None: not known."""
    total = 0.0
    for each, match in zip(preferences, matches, strict=True):
        # Rounding can carry a probability past 1.
        total += each.weight * min(1.0, match or 0.0)
    return total


def _weight(text: str, tokens: Sequence[Token], end: Token) -> float:
    if not tokens:
        return DEFAULT_WEIGHT
    first = tokens[0]
    if first.kind != "word" or not first.text.startswith(":"):
        raise _expected(text, first, "a colon and a weight, or the end")
    weight = as_number(first.text[1:])
    if weight is None or not -1 <= weight <= 1:
        place = Token(kind="word", text=first.text[1:], column=first.column + 1)
        if not place.text:
            place = tokens[1] if len(tokens) > 1 else end
        raise _expected(text, place, "a weight in [-1, 1] (a value with a colon needs quotes)")
    if len(tokens) > 1:
        raise _expected(text, tokens[1], "the end")
    return float(weight)


def _expected(text: str, token: Token, what: str) -> UsageError:
    found = "the end" if token.kind == "end" else repr(token.text[:40])
    return filter_error(text, token.column, f"expected {what}, found {found}", what=_WHAT)
