"""``gallery import``: bring the rows of an exchange file into a gallery."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

from boost_edge.runtime.arrivals import ArrivalReport, Arrivals, Conflicts
from boost_edge.runtime.database import translating
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ExchangeFileError, GalleryError, UsageError
from boost_edge.runtime.exchange import Batch, ExchangeFormat, Header, format_of, not_readable
from boost_edge.runtime.exchange_jsonl import read_jsonl, read_jsonl_header
from boost_edge.runtime.gallery_folder import writing
from boost_edge.runtime.gallery_model import keep_one_of
from boost_edge.runtime.joining import Policy, check_policy, disagreement
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.store import Store
from boost_edge.runtime.target import (
    check_prefixes,
    is_gallery,
    make_gallery,
    model_name,
    open_among,
    put_under,
)

__all__ = ["import_gallery"]


def import_gallery(
    source: str | os.PathLike[str] | IO[bytes],
    gallery: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    known: Sequence[Path] = (),
    format: ExchangeFormat | None = None,  # noqa: A002 - as the option is called
    on_conflict: Policy = "fail",
    under: str | None = None,
    progress: Progress = silent,
) -> ArrivalReport:
    """Bring the rows of an exchange file into a gallery of the same model, or into a new one.

    The whole file is checked before anything is written: one that is damaged anywhere is refused
    as a whole. Then rows are committed in batches. Interrupted, the gallery is sound and holds some
    of them; importing again adds the rest, and importing twice is the same as once.

    Parameters
    ----------
    source
        The file, or one open for reading bytes, which is copied to the disk where it cannot be
        read twice.
    gallery
        The gallery's folder.
    encoder
        The model, which only a new gallery needs. An existing one takes note of where it is.
    known
        Model files to look for the rows' model among where a new gallery is made without
        ``encoder``. A gallery whose model is one of them keeps a copy of it.
    format
        ``jsonl`` or ``parquet``; by default as the file's suffix says, ``jsonl`` for an open file.
    on_conflict
        What to do where the gallery has another image, or another label, at the same path: see
        ``joining.POLICIES`` and docs/moving.md.
    under
        A folder that the paths in the file are put under.
    progress
        Called with ``check`` or ``import`` and the number of rows done and of all.

    Raises
    ------
    UsageError
        When there is no such file, a new gallery is to be made without a model and none of those
        known is the rows' own, or ``under`` is empty.
    MissingExtraError
        When pyarrow is not installed, for Parquet.
    ExchangeFileError
        When the file is damaged, of an unknown format, or of another model; nothing was written.
    ConflictError
        When paths do not stand for the same images and ``on_conflict`` is ``fail``; nothing was
        written.
    GalleryLockedError
        When another process is writing to the gallery.
    GalleryCorruptError
        When the gallery is damaged, or ``encoder`` is another model than its own.
    GalleryError
        When the disk is full or fails.
    """
    started = time.perf_counter()
    check_policy(on_conflict)
    check_prefixes([under])
    folder = Path(gallery)
    with ExitStack() as stack:
        name, file = stack.enter_context(_opened(source))
        header, rows = _reader(file, name, format_of(name, format))
        if encoder is not None:
            _check_model(name, header, encoder.sha256, encoder.dimensions, str(encoder.path))
        store: Store | None = None
        if is_gallery(folder):
            store = stack.enter_context(writing(folder))
            binding = store.binding
            _check_model(name, header, binding.model_sha256, binding.dimensions, str(folder))
        elif encoder is None:
            encoder = open_among(stack, known, header.model_sha256)
            if encoder is None:
                raise UsageError(
                    f"{folder}: there is no gallery here: to make one, say where "
                    f"{model_name(header.model_sha256, header.dimensions)} is (--model FILE)"
                )
            _check_model(name, header, encoder.sha256, encoder.dimensions, str(encoder.path))
        moved = partial(_moved, name, rows, under, header.count, progress)
        _check(name, moved("check"), store if on_conflict == "fail" else None, str(folder))
        if store is None and encoder is not None:
            make_gallery(folder, encoder)
            store = stack.enter_context(writing(folder))
        assert store is not None  # noqa: S101 - one of the two above
        if encoder is not None:
            store.remember_model(os.fspath(encoder.path))
        keep_one_of(folder, Path(store.binding.model_path), header.model_sha256, known)
        arrivals = Arrivals(store, on_conflict)
        for batch in moved("import"):
            for row, vector in batch:
                arrivals.take(row, vector)
            arrivals.commit_when_due()
        return arrivals.finish(folder, (name,), started=started)


@contextmanager
def _opened(source: str | os.PathLike[str] | IO[bytes]) -> Generator[tuple[str, IO[bytes]]]:
    """Give a file that can be read twice, and its name."""
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            name = os.fspath(source)
            try:
                file: IO[bytes] = stack.enter_context(Path(name).open("rb"))
            except IsADirectoryError as error:
                what = "is a folder: give the file that gallery export wrote"
                raise UsageError(f"{name}: {what}") from error
            except (FileNotFoundError, NotADirectoryError, ValueError) as error:
                raise UsageError(f"{name}: there is no such file") from error
            except OSError as error:
                raise GalleryError(f"{name}: cannot be read: {error.strerror or error}") from error
        else:
            name, file = "-", source
        if not file.seekable():
            with _reading(name, f"copied to {tempfile.gettempdir()}"):
                copy = stack.enter_context(tempfile.TemporaryFile(prefix="boost-edge-"))
                shutil.copyfileobj(file, copy)
            file = copy
        yield name, file


@contextmanager
def _reading(name: str, what: str = "read") -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise GalleryError(f"{name}: cannot be {what}: {error.strerror or error}") from error


def _reader(
    file: IO[bytes], name: str, form: ExchangeFormat
) -> tuple[Header, Callable[[], Iterator[Batch]]]:
    """Return a file's header, and what reads its rows from the beginning, each time anew."""
    if form == "parquet":
        from boost_edge.runtime.exchange_parquet import read_parquet, read_parquet_header

        return read_parquet_header(file, name), partial(read_parquet, file, name)
    return read_jsonl_header(file, name), partial(read_jsonl, file, name)


def _check_model(name: str, header: Header, sha256: str, dimensions: int, whose: str) -> None:
    if (header.model_sha256, header.dimensions) != (sha256, dimensions):
        raise ExchangeFileError(
            f"{name}: is of {model_name(header.model_sha256, header.dimensions)}, but {whose} is "
            f"of {model_name(sha256, dimensions)}: embeddings of two models cannot be compared; "
            "import into another gallery"
        )


def _moved(
    name: str,
    rows: Callable[[], Iterator[Batch]],
    under: str | None,
    total: int,
    progress: Progress,
    stage: str,
) -> Iterator[Batch]:
    done = 0
    batches = rows()
    while True:
        with _reading(name):
            batch = next(batches, None)
        if batch is None:
            break
        yield [(replace(row, path=put_under(row.path, under)), vector) for row, vector in batch]
        done += len(batch)
        progress(stage, done, total)


def _check(name: str, batches: Iterator[Batch], store: Store | None, target: str) -> None:
    """Read everything: raise for damage, a path that comes twice, and conflicts with a store."""
    found = Conflicts()
    # SQLite's own temporary database, which goes to the disk when it is large.
    with (
        translating(Path(tempfile.gettempdir())),
        closing(sqlite3.connect("", isolation_level=None)) as seen,
    ):
        seen.execute("CREATE TABLE paths (path BLOB PRIMARY KEY) WITHOUT ROWID")
        seen.execute("BEGIN")
        for batch in batches:
            for row, _ in batch:
                try:
                    seen.execute("INSERT INTO paths VALUES (?)", (os.fsencode(row.path),))
                except sqlite3.IntegrityError as error:
                    raise not_readable(name, f"the path {row.path} comes twice") from error
                known = None if store is None else store.find(row.path)
                if known and (what := disagreement([known, row])):
                    found.add(row.path, what, "in the gallery and in the file")
    found.raise_if_any(target, f", or put the paths in {name} under a folder with --under FOLDER")
