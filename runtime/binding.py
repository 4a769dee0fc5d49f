"""Which model a gallery belongs to, and how that is written into its database."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from boost_edge.runtime.database import damaged
from boost_edge.runtime.errors import GalleryCorruptError, GalleryFormatError, UsageError
from boost_edge.runtime.schema import FORMAT_VERSION

__all__ = [
    "DEFAULT_GRAPH_DTYPE",
    "GRAPH_DTYPES",
    "Binding",
    "GraphDtype",
    "check_graph_dtype",
    "new_meta",
    "read_binding",
]

# How the search graph holds its vectors; those in the database are always float32.
GraphDtype: TypeAlias = Literal["f32", "f16", "i8"]
GRAPH_DTYPES: tuple[GraphDtype, ...] = ("f32", "f16", "i8")
# Measured (docs/decisions/0007): a third of the time of f32 and a quarter of its memory, and after
# the candidates are scored again the same recall.
DEFAULT_GRAPH_DTYPE: GraphDtype = "i8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The model that a gallery belongs to: its identity, where it was last, and its width D.

    ``gallery`` is a random name given at creation, which the HNSW file carries too;
    ``graph_dtype`` is how that file is to hold its vectors when it is built next.
    """

    gallery: str
    model_sha256: str
    model_path: str
    dimensions: int
    graph_dtype: GraphDtype


def check_graph_dtype(dtype: str) -> None:
    """Raise UsageError unless a graph can hold its vectors so."""
    if dtype not in GRAPH_DTYPES:
        raise UsageError(f"{dtype!r} is not one of {', '.join(GRAPH_DTYPES)}")


def new_meta(
    *, model_sha256: str, model_path: str, dimensions: int, graph_dtype: GraphDtype
) -> dict[str, object]:
    """Return the table ``meta`` of a new gallery."""
    return {
        "format_version": FORMAT_VERSION,
        "gallery": os.urandom(16).hex(),
        "model_sha256": model_sha256,
        "model_path": os.fsencode(model_path),
        "dimensions": dimensions,
        "graph_dtype": graph_dtype,
        "generation": 0,
    }


def read_binding(path: Path, meta: Mapping[str, object]) -> Binding:
    """Return what the table ``meta`` of the database ``path`` says.

    Raises
    ------
    GalleryFormatError
        When it is of an older format, which ``migrations`` can bring up to date.
    GalleryCorruptError
        When something is missing, or the format is not known to this version.
    """
    match meta:
        case {"format_version": int(version)} if version in range(1, FORMAT_VERSION):
            raise GalleryFormatError(
                f"{path}: is of gallery format {version}, and this version reads format "
                f"{FORMAT_VERSION}: bring it up to date where it can be written: "
                f"boost-edge compact {shlex.quote(str(path.parent))}"
            )
        case {"format_version": int(version)} if version != FORMAT_VERSION:
            raise GalleryCorruptError(
                f"{path}: gallery format {version} is not known to this version, which reads "
                f"format {FORMAT_VERSION}: update boost-edge, or index again into a new folder"
            )
        case {
            "format_version": int(),
            "gallery": str(gallery),
            "model_sha256": str(model_sha256),
            "model_path": bytes(model_path),
            "dimensions": int(dimensions),
            "graph_dtype": str(graph_dtype),
            "generation": int(),
        } if graph_dtype in GRAPH_DTYPES and dimensions >= 1:
            return Binding(
                gallery=gallery,
                model_sha256=model_sha256,
                model_path=os.fsdecode(model_path),
                dimensions=dimensions,
                graph_dtype=graph_dtype,
            )
        case _:
            raise damaged(path, f"its table meta holds {', '.join(sorted(meta)) or 'nothing'}")
