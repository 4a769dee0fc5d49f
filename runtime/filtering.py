"""Which images of a gallery pass a filter, and which attributes there are to ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.preferences import Preference, parse_preference
from boost_edge.runtime.records import is_text
from boost_edge.runtime.store import Store
from boost_edge.runtime.where import Where, parse_where, unknown_name
from boost_edge.runtime.where_tokens import filter_error, nearest_name

__all__ = ["Filters"]

# The plus keeps SQLite from an index on ``state``: most rows are live, and reading them one after
# the other is faster than looking each one up. They are short, for they hold no vectors.
_MATCHING = "SELECT id FROM images WHERE +state = 'live' AND "
_HAS_LABEL = (
    "SELECT 1 FROM images WHERE +state = 'live' AND labels <> '{}' "
    "AND EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?) LIMIT 1"
)
_LABEL_NAMES = (
    "SELECT DISTINCT key FROM images, json_each(labels) WHERE +state = 'live' AND labels <> '{}'"
)

# SQLite takes no more than 2,000 columns and 1,000 terms of an expression.
_MAX_PREFERENCES = 100


class Filters:
    """Answers filters for one open store, and remembers the last answer until a commit.

    It knows the attributes of the gallery, so it reads preferences and lists of them too.

    Parameters
    ----------
    predicted
        The names of the attributes that the gallery's model predicts.
    """

    def __init__(self, predicted: Iterable[str]) -> None:
        self._predicted = tuple(predicted)
        self._last: tuple[str, int, NDArray[np.int64]] | None = None

    def read(self, store: Store, text: str) -> Where:
        """Read a filter, and see to it that the gallery knows the attributes that it names.

        Raises
        ------
        UsageError
            Where it is not a filter, or names an attribute that no image of the gallery has; the
            message shows where.
        """
        where = parse_where(text)
        for name in where.names:
            labels, predicted = name.source != "predicted", name.source != "label"
            if not self._knows(store, name.name, labels=labels, predicted=predicted):
                known = self._names(store, labels=labels, predicted=predicted)
                raise unknown_name(where, name, known)
        return where

    def preferences(self, store: Store, texts: Iterable[str]) -> tuple[Preference, ...]:
        """Read preferences, and see to it that the gallery knows the attributes that they name.

        Raises
        ------
        UsageError
            As `read` does, or where there are more than 100.
        """
        preferences = tuple(parse_preference(text) for text in texts)
        if len(preferences) > _MAX_PREFERENCES:
            raise UsageError(
                f"{len(preferences)} preferences are too many: give at most {_MAX_PREFERENCES}"
            )
        for each in preferences:
            if not self._knows(store, each.name):
                nearest = nearest_name(each.name, self._names(store))
                problem = f"no attribute is called {each.name!r}, {nearest}"
                raise filter_error(each.text, each.column, problem, what="preference")
        return preferences

    def attributes(self, store: Store, names: Sequence[str] | None) -> list[str]:
        """Return the attributes to count: those named, or all that can be asked for.

        Raises
        ------
        UsageError
            When the gallery has no attribute of a name.
        """
        if names is None:
            return [name for name in self._names(store) if '"' not in name]
        for name in names:
            if '"' in name:
                raise UsageError(f"attribute {name!r}: a name with a quotation mark in it")
            if not is_text(name):
                raise UsageError(f"attribute {name!r}: expected text in UTF-8")
            if not self._knows(store, name):
                raise UsageError(
                    f"no attribute is called {name!r}, {nearest_name(name, self._names(store))}"
                )
        return list(dict.fromkeys(names))

    def ids(self, store: Store, where: Where) -> NDArray[np.int64]:
        """Return the ids ``(n,) int64`` of the live images that pass, in ascending order.

        To be called within the `Store.snapshot` that the ids are used in.
        """
        [[version]] = store.select("PRAGMA data_version")
        if self._last is not None and self._last[:2] == (where.text, version):
            return self._last[2]
        rows = store.select(_MATCHING + where.sql, where.values)
        ids = np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))
        self._last = (where.text, version, ids)
        return ids

    def _knows(
        self, store: Store, name: str, *, labels: bool = True, predicted: bool = True
    ) -> bool:
        if predicted and name in self._predicted:
            return True
        return labels and bool(store.select(_HAS_LABEL, (name,)))

    def _names(self, store: Store, *, labels: bool = True, predicted: bool = True) -> list[str]:
        """Return the names of attributes: the model's in its order, then the user's."""
        names = list(self._predicted) if predicted else []
        if labels:
            names += sorted(key for (key,) in store.select(_LABEL_NAMES))
        return list(dict.fromkeys(names))
