"""The gallery that rows are brought into, made where there is none, and where they go in it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from boost_edge.runtime.crawl import absolute
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ModelFileError, UsageError
from boost_edge.runtime.gallery_folder import bind
from boost_edge.runtime.store import STORE_NAME

__all__ = ["check_prefixes", "is_gallery", "make_gallery", "model_name", "open_among", "put_under"]

# As many characters of a sha256 as tell two models apart by eye.
_PREFIX = 12


def is_gallery(folder: Path) -> bool:
    """Return whether there is a gallery; what else is there is found when one is made."""
    return (folder / STORE_NAME).exists()


def make_gallery(folder: Path, encoder: Encoder) -> None:
    """Make an empty gallery of a model.

    Raises
    ------
    UsageError
        When the folder holds something else.
    GalleryError
        When it cannot be made.
    """
    bind(folder, encoder, Encoder.open, create=True)[0].close()


def open_among(stack: ExitStack, files: Iterable[Path], sha256: str) -> Encoder | None:
    """Return the model of this sha256 among some files, open as long as ``stack`` is, if any is."""
    for path in dict.fromkeys(files):
        with suppress(ModelFileError):
            found = stack.enter_context(Encoder.open(path, threads=1, images=0))
            if found.sha256 == sha256:
                return found
    return None


def model_name(sha256: str, dimensions: int) -> str:
    """Return what tells a model from others, for an error."""
    return f"the model {sha256[:_PREFIX]} (width {dimensions})"


def check_prefixes(prefixes: Iterable[str | None]) -> None:
    """Raise UsageError for an empty prefix, which would be the working directory."""
    if "" in prefixes:
        raise UsageError("the folder to put paths under is empty: give its name")


def put_under(path: str, prefix: str | None) -> str:
    """Return a path below a prefix: ``/photos/1.jpg`` under ``/cam`` is ``/cam/photos/1.jpg``."""
    return path if prefix is None else absolute(prefix).rstrip("/") + path
