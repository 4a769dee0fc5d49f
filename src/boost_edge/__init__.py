"""Image similarity search on a CPU: train a shallow head on few labels, export one file, search.

The names below are the whole public interface of the runtime; each is imported on first use, so
``import boost_edge`` costs nothing. Training and export are reached through
``boost_edge.export`` and need the extra ``train``.
"""

from __future__ import annotations

from importlib import import_module

# As ``typing`` has it, which takes its time to import: until then Ctrl-C would show a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from boost_edge.runtime.encoder import Encoder, Encoding
    from boost_edge.runtime.errors import BoostEdgeError
    from boost_edge.runtime.gallery import Gallery
    from boost_edge.runtime.hits import Hit, QueryResult
    from boost_edge.runtime.index_report import IndexReport
    from boost_edge.runtime.manifest import Manifest

__all__ = [
    "BoostEdgeError",
    "Encoder",
    "Encoding",
    "Gallery",
    "Hit",
    "IndexReport",
    "Manifest",
    "QueryResult",
    "__version__",
]

__version__ = "0.1.0"

_HOME_OF = {
    "BoostEdgeError": "boost_edge.runtime.errors",
    "Encoder": "boost_edge.runtime.encoder",
    "Encoding": "boost_edge.runtime.encoder",
    "Gallery": "boost_edge.runtime.gallery",
    "Hit": "boost_edge.runtime.hits",
    "IndexReport": "boost_edge.runtime.index_report",
    "Manifest": "boost_edge.runtime.manifest",
    "QueryResult": "boost_edge.runtime.hits",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
