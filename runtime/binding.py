"""Which model a gallery belongs to, and how that is written into its database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boost_edge.runtime.database import damaged
from boost_edge.runtime.errors import GalleryCorruptError
from boost_edge.runtime.schema import FORMAT_VERSION

__all__ = ["Binding", "new_meta", "read_binding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The model that a gallery belongs to: its identity, where it was last, and its width D.

    ``gallery`` is a random name given at creation, which the HNSW file carries too.
    """

    gallery: str
    model_sha256: str
    model_path: str
    dimensions: int


def new_meta(*, model_sha256: str, model_path: str, dimensions: int) -> dict[str, object]:
    """Return the table ``meta`` of a new gallery."""
    return {
        "format_version": FORMAT_VERSION,
        "gallery": uuid.uuid4().hex,
        "model_sha256": model_sha256,
        "model_path": os.fsencode(model_path),
        "dimensions": dimensions,
        "generation": 0,
    }


def read_binding(path: Path, meta: Mapping[str, object]) -> Binding:
    """Return what the table ``meta`` of the database ``path`` says.

    Raises
    ------
    GalleryCorruptError
        When something is missing, or the format is not known to this version.
    """
    match meta:
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
            "generation": int(),
        }:
            return Binding(
                gallery=gallery,
                model_sha256=model_sha256,
                model_path=os.fsdecode(model_path),
                dimensions=dimensions,
            )
        case _:
            raise damaged(path, f"its table meta holds {', '.join(sorted(meta)) or 'nothing'}")
