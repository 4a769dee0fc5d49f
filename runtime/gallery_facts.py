"""What there is to know about a gallery at a glance, without its model."""

from __future__ import annotations

import json
import os
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.gallery_folder import open_store, require_gallery
from boost_edge.runtime.gallery_model import model_path
from boost_edge.runtime.schema import FORMAT_VERSION
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import Store

__all__ = ["GalleryStats", "bytes_on_disk", "gallery_stats"]

# ``behind``: images came since that are searched beside it. ``unusable``: it is damaged, of another
# gallery, or newer than the database, as far as the file itself says.
CacheState: TypeAlias = Literal["not needed", "missing", "unusable", "behind", "up to date"]

# One model predicts the same attributes of every image.
_PREDICTED = "SELECT predicted FROM images WHERE +state = 'live' LIMIT 1"
_LABELS = (
    "SELECT DISTINCT key FROM images, json_each(labels) "
    "WHERE +state = 'live' AND labels <> '{}' ORDER BY key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryStats:
    """A gallery at a glance.

    ``deleted`` counts images that are searched no more, ``attributes`` are those that the model
    predicts, then those of labels. ``dimensions`` is the width D of embeddings, ``model_path``
    where the model is or was last, ``generation`` the number of commits that changed an embedding.
    ``vectors`` is how the search cache holds its vectors, or would, ``cache`` its state, and
    ``cache_newer`` the number of images that came after it was built. ``bytes_on_disk`` is the
    size of all files.
    """

    path: Path
    format_version: int
    images: int
    deleted: int
    attributes: tuple[str, ...]
    dimensions: int
    model_sha256: str
    model_path: str
    generation: int
    vectors: str
    cache: CacheState
    cache_newer: int
    bytes_on_disk: int

    @classmethod
    def of(cls, folder: Path, store: Store, *, exact_limit: int | None = None) -> GalleryStats:
        """Return the figures of an open store."""
        binding = store.binding
        with store.snapshot():
            [[deleted]] = store.select("SELECT count(*) FROM images WHERE state = 'deleted'")
            vectors, cache, newer = _cache(folder / GRAPH_NAME, store, exact_limit)
            return cls(
                path=folder.absolute(),
                format_version=FORMAT_VERSION,
                images=store.count(),
                deleted=deleted,
                attributes=_attributes(store),
                dimensions=binding.dimensions,
                model_sha256=binding.model_sha256,
                model_path=os.fspath(model_path(folder, binding)),
                generation=store.generation(),
                vectors=vectors,
                cache=cache,
                cache_newer=newer,
                bytes_on_disk=bytes_on_disk(folder),
            )


def gallery_stats(path: str | os.PathLike[str], *, exact_limit: int | None = None) -> GalleryStats:
    """Return what there is to know about a gallery at a glance, without its model.

    Raises
    ------
    UsageError
        When there is no gallery.
    GalleryCorruptError
        When it is damaged, or of a format that this version cannot read.
    """
    folder = Path(path)
    require_gallery(folder)
    with closing(open_store(folder)) as store:
        stats = GalleryStats.of(folder, store, exact_limit=exact_limit)
    # Not what SQLite keeps beside the database for as long as it is open.
    return replace(stats, bytes_on_disk=bytes_on_disk(folder))


def bytes_on_disk(folder: Path) -> int:
    """Return the size of all files of a gallery."""
    total = 0
    for file in folder.iterdir():
        # Temporary files come and go.
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _attributes(store: Store) -> tuple[str, ...]:
    predicted = [name for (text,) in store.select(_PREDICTED) for name in json.loads(text)]
    labels = [name for (name,) in store.select(_LABELS)]
    return tuple(dict.fromkeys([*predicted, *labels]))


def _cache(path: Path, store: Store, exact_limit: int | None) -> tuple[str, CacheState, int]:
    """Return how the cache holds its vectors, its state, and how many images are newer."""
    vectors = store.binding.graph_dtype
    if store.count() <= exact_limit_for(store.binding.dimensions, exact_limit):
        return vectors, "not needed", 0
    if not path.exists():
        return vectors, "missing", 0
    from boost_edge.runtime.hnsw import Hnsw

    label = Hnsw.label_of(path)
    if (
        label is None
        or label.gallery != store.binding.gallery
        or label.generation > store.generation()
    ):
        return vectors, "unusable", 0
    newer = store.count(after=label.generation)
    return label.dtype, "behind" if newer else "up to date", newer
