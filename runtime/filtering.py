"""Which images of a gallery pass a filter."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.store import Store
from boost_edge.runtime.where import Where, parse_where, unknown_name

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


class Filters:
    """Answers filters for one open store, and remembers the last answer until a commit.

    Parameters
    ----------
    predicted
        The names of the attributes that the gallery's model predicts.
    """

    def __init__(self, predicted: Collection[str]) -> None:
        self._predicted = frozenset(predicted)
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
            if name.source != "label" and name.name in self._predicted:
                continue
            if name.source != "predicted" and store.select(_HAS_LABEL, (name.name,)):
                continue
            known: set[str] = set()
            if name.source != "label":
                known |= self._predicted
            if name.source != "predicted":
                known.update(key for (key,) in store.select(_LABEL_NAMES))
            raise unknown_name(where, name, known)
        return where

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
