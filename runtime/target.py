"""The gallery that rows are brought into: make it where there is none, lock it, open it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from boost_edge.runtime.crawl import absolute
from boost_edge.runtime.database import is_writable
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.gallery_folder import bind, require_gallery
from boost_edge.runtime.migrations import migrate
from boost_edge.runtime.recovery import recover
from boost_edge.runtime.store import STORE_NAME, Store
from boost_edge.runtime.writer_lock import read_only_error, writer_lock

__all__ = ["is_gallery", "make_gallery", "model_name", "put_under", "writing"]

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
    bind(folder, encoder, create=True, threads=None)[0].close()


@contextmanager
def writing(folder: Path) -> Generator[Store]:
    """Give the store of a gallery, with the writer lock held and what was left over removed.

    Raises
    ------
    UsageError
        When there is no gallery.
    GalleryLockedError
        When another process is writing to it.
    GalleryCorruptError
        When it is damaged.
    GalleryError
        When it cannot be written.
    """
    require_gallery(folder)
    if not is_writable(folder / STORE_NAME):
        raise read_only_error(folder)
    with writer_lock(folder):
        migrate(folder / STORE_NAME)
        with closing(Store.open(folder)) as store:
            recover(folder, store)
            yield store


def model_name(sha256: str, dimensions: int) -> str:
    """Return what tells a model from others, for an error."""
    return f"the model {sha256[:_PREFIX]} (width {dimensions})"


def put_under(path: str, prefix: str | None) -> str:
    """Return a path below a prefix: ``/photos/1.jpg`` under ``/cam`` is ``/cam/photos/1.jpg``."""
    return path if prefix is None else absolute(prefix).rstrip("/") + path
