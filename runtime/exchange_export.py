"""``gallery export``: write a gallery to one file that other galleries and programs can read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import boost_edge
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.exchange import Batch, ExchangeFormat, Header, format_of
from boost_edge.runtime.exchange_jsonl import write_jsonl
from boost_edge.runtime.gallery_folder import open_store, require_gallery
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.replace import replacing
from boost_edge.runtime.row_stream import batches_of, check_pages, count_rows

__all__ = ["ExportReport", "export_gallery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What exporting wrote: ``images`` rows, ``deleted`` of them deleted, to ``out``.

    ``out`` is None where it was an open file; ``seconds`` is the time it took.
    """

    path: Path
    out: Path | None
    format: ExchangeFormat
    images: int
    deleted: int
    seconds: float


def export_gallery(
    gallery: str | os.PathLike[str],
    out: str | os.PathLike[str] | IO[bytes],
    *,
    format: ExchangeFormat | None = None,  # noqa: A002 - as the option is called
    deleted: bool = False,
    progress: Progress = silent,
) -> ExportReport:
    """Write a gallery as an exchange file (docs/exchange-format.md), in bounded memory.

    Indexing may go on meanwhile: what is written is one state of the gallery. A gallery of an older
    format is brought up to date first.

    Parameters
    ----------
    gallery
        The gallery's folder; its model is not needed.
    out
        The file, which appears whole or not at all; or a file open for writing bytes.
    format
        ``jsonl`` or ``parquet`` (which needs the extra ``parquet``); by default as the file's
        suffix says, and ``jsonl`` for an open file.
    deleted
        Whether to write deleted images too.
    progress
        Called with ``export`` and the number of images written and of all.

    Raises
    ------
    UsageError
        When there is no gallery, or the suffix says no format.
    MissingExtraError
        When pyarrow is not installed, for Parquet.
    GalleryCorruptError
        When the gallery is damaged; then ``out`` is as it was.
    GalleryError
        When ``out`` cannot be written; then a file is as it was.
    """
    started = time.perf_counter()
    folder = Path(gallery)
    target = Path(out) if isinstance(out, str | os.PathLike) else None
    chosen = format_of("-" if target is None else str(target), format)
    require_gallery(folder)
    if chosen == "parquet":
        from boost_edge.runtime.exchange_parquet import require_pyarrow, write_parquet

        require_pyarrow("writing Parquet")
        write = write_parquet
    else:
        write = write_jsonl
    with closing(open_store(folder)) as store, store.snapshot():
        check_pages(store)
        count = count_rows(store, deleted=deleted)
        gone = count - count_rows(store, deleted=False)
        header = Header(
            created_with=f"boost-edge {boost_edge.__version__}",
            model_sha256=store.binding.model_sha256,
            dimensions=store.binding.dimensions,
            count=count,
        )
        batches = _shown(batches_of(store, by="id", deleted=deleted), count, progress)
        if isinstance(out, str | os.PathLike):
            _write_whole(Path(out), lambda file: write(file, header, batches))
        else:
            _write_open(out, lambda file: write(file, header, batches))
    return ExportReport(
        path=folder.absolute(),
        out=None if target is None else target.absolute(),
        format=chosen,
        images=count,
        deleted=gone,
        seconds=time.perf_counter() - started,
    )


def _write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    there = os.path.lexists(path)
    try:
        if path.is_dir():
            raise GalleryError(f"{path}: is a folder: give the name of a file")
        if not path.parent.is_dir():
            where = path.parent
            raise GalleryError(f"{path}: cannot be written: there is no folder {where}: make it")
        with replacing(path) as temporary, temporary.open("xb") as file:
            write(file)
    except OSError as error:
        left = "it is as it was" if there else "nothing was written: choose another folder"
        raise GalleryError(
            f"{path}: cannot be written: {error.strerror or error}: {left}"
        ) from error


def _write_open(out: IO[bytes], write: Callable[[IO[bytes]], None]) -> None:
    try:
        write(out)
        out.flush()
    except BrokenPipeError:
        # Its reader has gone, as it may.
        raise
    except OSError as error:
        name = getattr(out, "name", "-")
        raise GalleryError(f"{name}: cannot be written: {error.strerror or error}") from error


def _shown(batches: Iterator[Batch], total: int, progress: Progress) -> Iterator[Batch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress("export", done, total)
