"""The folder of a gallery: make it, open it, and see that it and the model belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

from boost_edge.runtime.database import is_writable
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryFormatError,
    UsageError,
)
from boost_edge.runtime.gallery_model import model_path
from boost_edge.runtime.migrations import migrate
from boost_edge.runtime.recovery import recover
from boost_edge.runtime.replace import TEMPORARY_SUFFIX
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME, Store
from boost_edge.runtime.writer_lock import LOCK_NAME, read_only_error, writer_lock

__all__ = [
    "bind",
    "has_store",
    "open_store",
    "require_gallery",
    "writing",
]

# Where these are, there was a database.
_BESIDE_STORE = {GRAPH_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm"}
# As many characters of a sha256 as tell two models apart by eye.
_PREFIX = 12


def require_gallery(folder: Path) -> None:
    """Raise unless there is a gallery.

    Raises
    ------
    UsageError
        When there is none.
    GalleryCorruptError
        When its database is gone.
    """
    if not has_store(folder):
        raise _no_gallery(folder)


def open_store(folder: Path, *, read_only: bool = False) -> Store:
    """Open the store in a folder, and bring it up to date if it is of an older format.

    Raises
    ------
    GalleryFormatError
        When it is of an older format and cannot be written.
    GalleryLockedError
        When it is of an older format and another process is writing to it.
    GalleryCorruptError
        When it is damaged, or of a format that this version cannot read.
    """
    try:
        return Store.open(folder, read_only=read_only)
    except GalleryFormatError:
        if read_only or not is_writable(folder / STORE_NAME):
            raise
    with writing(folder):
        pass
    return Store.open(folder)


@contextmanager
def writing(folder: Path) -> Generator[Store]:
    """Give the store of a gallery to write to it: locked, brought up to date and cleaned up.

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


def bind(
    folder: Path,
    encoder: Encoder | None,
    open_encoder: Callable[[str], Encoder],
    *,
    create: bool,
    read_only: bool = False,
) -> tuple[Store, Encoder]:
    """Open or make the store in a folder, with the one model that it belongs to.

    See ``Gallery.open``. Without ``encoder``, the one returned was made by ``open_encoder`` and is
    the caller's to close.
    """
    if not has_store(folder):
        if encoder is None or read_only or not create:
            raise _no_gallery(folder)
        _create(folder, encoder)
    if encoder is None and (folder / GRAPH_NAME).exists():
        # What a search in a large gallery needs is imported while the model opens, outside Python.
        Thread(target=_import_search, name="boost-edge-import").start()
    store = open_store(folder, read_only=read_only)
    try:
        return store, _check_model(folder, store, encoder, open_encoder)
    except BaseException:
        store.close()
        raise


def _import_search() -> None:
    # The search imports it again, and says what is wrong.
    with suppress(Exception):
        import_module("boost_edge.runtime.hnsw")


def has_store(folder: Path) -> bool:
    """Return whether there is a store; raise where the path is something else than a gallery.

    Raises
    ------
    UsageError
        When it is a file, or a folder of something else.
    GalleryCorruptError
        When its database is gone.
    GalleryError
        When it cannot be read.
    """
    try:
        names = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: is a file, but a gallery is a folder") from error
    except (OSError, ValueError) as error:
        raise GalleryError(f"{folder}: cannot be read: {error}") from error
    if STORE_NAME in names:
        return True
    if names & _BESIDE_STORE:
        raise GalleryCorruptError(
            f"{folder}: its {STORE_NAME} is gone: restore it from a backup, "
            "or index the images again into a new folder"
        )
    # A process that was killed before it made a gallery leaves these.
    if any(name != LOCK_NAME and TEMPORARY_SUFFIX not in name for name in names):
        raise UsageError(
            f"{folder}: is not a gallery (it has no {STORE_NAME}) and not empty: "
            "give a gallery, or a new folder"
        )
    return False


def _no_gallery(folder: Path) -> UsageError:
    return UsageError(f"{folder}: there is no gallery here: make one by indexing images")


def _create(folder: Path, encoder: Encoder) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{folder}: cannot be made: {error.strerror}") from error
    with writer_lock(folder):
        # Another process may have been quicker.
        if not has_store(folder):
            Store.create(
                folder,
                model_sha256=encoder.sha256,
                model_path=os.fspath(encoder.path),
                dimensions=encoder.dimensions,
            )


def _check_model(
    folder: Path,
    store: Store,
    encoder: Encoder | None,
    open_encoder: Callable[[str], Encoder],
) -> Encoder:
    """Return the encoder, or the gallery's own, if it is the gallery's model."""
    binding = store.binding
    opened = encoder
    if opened is None:
        path = model_path(folder, binding)
        if not path.exists():
            raise GalleryError(
                f"{folder}: its model {binding.model_sha256[:_PREFIX]} is no longer at "
                f"{path}: say where the model file is (--model FILE)"
            )
        opened = open_encoder(os.fspath(path))
    if (opened.sha256, opened.dimensions) != (binding.model_sha256, binding.dimensions):
        if encoder is None:
            opened.close()
        raise GalleryCorruptError(
            f"{folder}: was made with the model {binding.model_sha256[:_PREFIX]}, but "
            f"{opened.path} is the model {opened.sha256[:_PREFIX]}: use the first one, "
            "or index the images again into a new folder"
        )
    return opened
