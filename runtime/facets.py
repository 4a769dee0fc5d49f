"""How often each value of an attribute occurs: in a gallery, or among hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boost_edge.runtime.store import Store
from boost_edge.runtime.where import Where
from boost_edge.runtime.where_sql import EITHER, Value, json_path

__all__ = ["MOST_VALUES", "Facet", "Facets", "count_in_store", "count_values"]

# So many values of an attribute are listed: one that differs in every image is of no use as a list.
MOST_VALUES = 1000

# So many attributes are counted in one statement, which keeps their values in a temporary table.
_AT_ONCE = 16


# For each attribute its values, the most frequent first, with the number of values and of images
# that have one. SQLite makes the table ``seen`` once, so that it reads each image's JSON once.
_COUNTED = """
SELECT * FROM (
    SELECT {0}, v{0}, count(*) AS images, count(*) OVER (), sum(count(*)) OVER ()
    FROM seen WHERE v{0} IS NOT NULL GROUP BY v{0} ORDER BY images DESC, v{0} LIMIT {1:d}
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One attribute: ``values`` maps a value to the number of images, the most frequent first.

    Ties are in the order of code points. ``more`` is the number of values that are not listed,
    ``unknown`` that of the images that have none. The value of an image is the user's label where
    there is one, else the predicted value.
    """

    values: dict[str, int]
    more: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The number of images that were counted, and their values by attribute."""

    images: int
    facets: dict[str, Facet]


def count_values(
    images: Iterable[tuple[Mapping[str, str], Mapping[str, str]]], names: Iterable[str] = ()
) -> dict[str, Facet]:
    """Count labels and predicted values of some images.

    Parameters
    ----------
    images
        For each image its labels and its predicted values, by attribute.
    names
        Attributes to name first, whether or not an image has them; then come all others.
    """
    known = [{**predicted, **labels} for labels, predicted in images]
    every = dict.fromkeys([*names, *sorted({name for each in known for name in each})])
    facets: dict[str, Facet] = {}
    for name in every:
        counts = Counter(each[name] for each in known if name in each)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        facets[name] = Facet(values=dict(ordered), more=0, unknown=len(known) - counts.total())
    return facets


def count_in_store(
    store: Store, names: Sequence[str], *, where: Where | None, limit: int
) -> Facets:
    """Count the values of some attributes over the live images, or over those that pass a filter.

    SQLite counts: memory is needed for what is returned, and its temporary table may go to disk.
    """
    condition, values = ("1", ()) if where is None else (f"({where.sql})", where.values)
    # The plus keeps SQLite from an index on ``state``; see ``filtering``.
    passing = f"FROM images WHERE +state = 'live' AND {condition}"
    with store.snapshot():
        [[images]] = store.select(f"SELECT count(*) {passing}", values)
        facets: dict[str, Facet] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            sql, paths = _counting(some, passing, limit)
            rows = store.select(sql, (*paths, *values))
            for place, name in enumerate(some):
                facets[name] = _facet([row[1:] for row in rows if row[0] == place], images)
    return Facets(images=images, facets=facets)


def _counting(names: Sequence[str], passing: str, limit: int) -> tuple[str, list[Value]]:
    columns = ", ".join(f"{EITHER} AS v{place}" for place in range(len(names)))
    counted = "UNION ALL".join(_COUNTED.format(place, limit) for place in range(len(names)))
    paths: list[Value] = []
    for name in names:
        paths += [json_path(name), json_path(name) + ".value"]
    return f"WITH seen AS MATERIALIZED (SELECT {columns} {passing}) {counted}", paths


def _facet(rows: Sequence[Sequence[Any]], images: int) -> Facet:
    distinct, known = rows[0][2:] if rows else (0, 0)
    return Facet(
        values={value: count for value, count, *_ in rows},
        more=distinct - len(rows),
        unknown=images - known,
    )
