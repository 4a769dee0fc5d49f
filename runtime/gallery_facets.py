"""The facets of a gallery, as they are asked for: from an open one, or from its folder alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from boost_edge.runtime.argument_types import optional_text, texts, whole_number
from boost_edge.runtime.facets import MOST_VALUES, Facets, count_in_store
from boost_edge.runtime.filtering import Filters
from boost_edge.runtime.gallery_folder import open_store, require_gallery
from boost_edge.runtime.store import Store

__all__ = ["count_asked", "gallery_facets"]

# All images of a gallery are predicted by one model, which names every attribute in its order.
_PREDICTED = """
SELECT key FROM json_each((SELECT predicted FROM images WHERE predicted <> '{}' LIMIT 1))
"""


def gallery_facets(
    path: str | os.PathLike[str],
    *,
    where: str | None = None,
    attributes: Sequence[str] | None = None,
    limit: int = MOST_VALUES,
) -> Facets:
    """Count the values of attributes of a gallery's images, without its model.

    As ``Gallery.facets`` does, except that a gallery without images knows no attribute.

    Raises
    ------
    UsageError
        When there is no gallery or no such attribute, or an argument makes no sense.
    GalleryCorruptError
        When it is damaged.
    """
    folder = Path(path)
    require_gallery(folder)
    with closing(open_store(folder)) as store, store.snapshot():
        filters = Filters(name for (name,) in store.select(_PREDICTED))
        return count_asked(store, filters, where=where, attributes=attributes, limit=limit)


def count_asked(
    store: Store,
    filters: Filters,
    *,
    where: str | None,
    attributes: Sequence[str] | None,
    limit: int,
) -> Facets:
    """Check what is asked of an open store, and count it; see ``Gallery.facets``."""
    most = whole_number("limit", limit, least=1)
    text = optional_text("where", where)
    names = None if attributes is None else texts("attributes", attributes, one="attribute")
    with store.snapshot():
        passing = None if text is None else filters.read(store, text)
        return count_in_store(store, filters.attributes(store, names), where=passing, limit=most)
