"""Build the search graph of a gallery, and tell how far that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.store import Store

if TYPE_CHECKING:
    from boost_edge.runtime.hnsw import Hnsw

__all__ = ["build_graph"]

_STAGE = "building the search cache"


def build_graph(
    store: Store, *, dtype: GraphDtype | None = None, progress: Progress = silent
) -> Hnsw:
    """Build the graph of all live images, within one `Store.snapshot`.

    Parameters
    ----------
    store
        The gallery's.
    dtype
        How it is to hold its vectors; by default as the gallery says.
    progress
        Called with the number of embeddings done and of all; equal images share one.
    """
    # Only large galleries pay for loading USearch.
    from boost_edge.runtime.hnsw import Hnsw

    # Those of deleted images too: counting the others takes as long as reading them.
    [[total]] = store.select("SELECT count(*) FROM embeddings")
    progress(_STAGE, 0, total)
    graph = Hnsw.build(
        store.keyed_chunks,
        dimensions=store.binding.dimensions,
        gallery=store.binding.gallery,
        generation=store.generation(),
        dtype=dtype or store.binding.graph_dtype,
        added=lambda done: progress(_STAGE, done, total),
    )
    progress(_STAGE, total, total)
    return graph
