"""``gallery merge``: bring the galleries of several devices together in one.

All sources are read side by side in the order of their paths, so that each path is settled once,
whatever the order in which the sources are given, and however often merging was interrupted.
"""

from __future__ import annotations

import heapq
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.arrivals import ArrivalReport, Arrivals, Conflicts
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import GalleryCorruptError, UsageError
from boost_edge.runtime.gallery_folder import open_store, require_gallery, writing
from boost_edge.runtime.gallery_model import MODEL_NAME, has_model, keep_one_of, model_path
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.joining import Policy, check_policy, disagreement, unite
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.row_stream import batches_of, check_pages
from boost_edge.runtime.store import Store
from boost_edge.runtime.target import (
    check_prefixes,
    is_gallery,
    make_gallery,
    model_name,
    open_among,
    put_under,
)

__all__ = ["merge_galleries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A path as one source knows it."""

    key: bytes
    source: str
    row: ImageRow
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    name: str
    folder: Path
    store: Store
    under: str | None

    def versions(self) -> Iterator[_Version]:
        """Yield the live rows, in the order of their paths' bytes; each is sound."""
        for batch in batches_of(self.store, by="path"):
            for row, vector in batch:
                path = put_under(row.path, self.under)
                yield _Version(
                    key=os.fsencode(path),
                    source=self.name,
                    row=replace(row, path=path),
                    vector=vector,
                )


def merge_galleries(
    sources: Sequence[str | os.PathLike[str]],
    into: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    known: Sequence[Path] = (),
    on_conflict: Policy = "fail",
    under: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> ArrivalReport:
    """Bring the live images of some galleries of one model into another, or into a new one.

    The sources are read as they were at one moment and are not changed. Whatever their order, the
    result is the same. Rows are committed in batches: interrupted, the gallery is sound and holds
    some of them; merging again adds the rest, and merging twice is the same as once.

    Parameters
    ----------
    sources
        Folders of galleries.
    into
        The folder of the gallery that they go into; it is none of them.
    encoder
        The model, for a new gallery; by default a copy that one of the sources keeps, or the file
        that one was made with, if it is still there.
    known
        Model files to look for it among otherwise. A gallery keeps a copy of its model where that
        is one of them or a source's own copy.
    on_conflict
        What to do where galleries have other images, or other labels, at the same path: see
        ``joining.POLICIES`` and docs/moving.md.
    under
        Source, as in ``sources`` -> a folder that its paths are put under.
    progress
        Called with ``check`` or ``merge`` and the number of rows done and of all.

    Raises
    ------
    UsageError
        When there is no such gallery, a new one is to be made and no model is found, or a folder
        of ``under`` is empty.
    ConflictError
        When paths do not stand for the same images and ``on_conflict`` is ``fail``; nothing was
        written.
    GalleryLockedError
        When another process is writing to the target.
    GalleryCorruptError
        When a gallery is damaged, or of another model; nothing was written.
    GalleryError
        When the disk is full or fails, or a source is of an older format.
    """
    started = time.perf_counter()
    check_policy(on_conflict)
    check_prefixes((under or {}).values())
    folder = Path(into)
    with ExitStack() as stack:
        opened = _open_sources(stack, sources, folder, under or {})
        store: Store | None = None
        if is_gallery(folder):
            store = stack.enter_context(writing(folder))
            _check_models(folder, store, opened)
        else:
            _check_models(opened[0].folder, opened[0].store, opened)
        _check(opened, store, folder, progress, conflicts=on_conflict == "fail")
        if store is None:
            _make(stack, folder, encoder, opened, known)
            store = stack.enter_context(writing(folder))
            _check_models(folder, store, opened)
        if encoder is not None:
            _check_encoder(encoder, store)
            store.remember_model(os.fspath(encoder.path))
        # The sources may go once they are merged.
        keep_one_of(
            folder,
            Path(store.binding.model_path),
            store.binding.model_sha256,
            [*known, *(each.folder / MODEL_NAME for each in opened)],
        )
        arrivals = Arrivals(store, on_conflict)
        for group in _groups(opened, progress, "merge"):
            row, vector = unite([(each.row, each.vector) for each in group])
            differ = bool(disagreement([each.row for each in group]))
            arrivals.take(row, vector, conflict=differ)
            arrivals.commit_when_due()
        return arrivals.finish(folder, tuple(each.name for each in opened), started=started)


def _open_sources(
    stack: ExitStack,
    sources: Sequence[str | os.PathLike[str]],
    target: Path,
    under: Mapping[str, str],
) -> list[_Source]:
    """Open each source for reading, in one state that lasts until the end."""
    if isinstance(sources, str | bytes | os.PathLike):
        raise UsageError("sources must be a list: to merge one gallery, give [gallery]")
    names = [os.fspath(each) for each in sources]
    if not names:
        raise UsageError("give at least one gallery to merge")
    if unknown := sorted(set(under) - set(names)):
        raise UsageError(f"{unknown[0]}: is to be put under a folder, but is not merged")
    opened: list[_Source] = []
    for name in dict.fromkeys(names):
        folder = Path(name)
        require_gallery(folder)
        if target.exists() and folder.samefile(target):
            raise UsageError(f"{name}: cannot be merged into itself")
        store = stack.enter_context(closing(open_store(folder, read_only=True)))
        stack.enter_context(store.snapshot())
        opened.append(_Source(name=name, folder=folder, store=store, under=under.get(name)))
    return opened


def _check_models(folder: Path, store: Store, sources: Sequence[_Source]) -> None:
    """Raise unless all sources are of the model of one gallery."""
    here = (store.binding.model_sha256, store.binding.dimensions)
    for source in sources:
        binding = source.store.binding
        if (there := (binding.model_sha256, binding.dimensions)) != here:
            raise GalleryCorruptError(
                f"{source.name}: is of {model_name(*there)}, but {folder} is of "
                f"{model_name(*here)}: embeddings of two models cannot be compared; index the "
                "images again with one model"
            )


def _check_encoder(encoder: Encoder, store: Store) -> None:
    here = (store.binding.model_sha256, store.binding.dimensions)
    if (given := (encoder.sha256, encoder.dimensions)) != here:
        raise GalleryCorruptError(
            f"{encoder.path}: is {model_name(*given)}, but the galleries are of "
            f"{model_name(*here)}: give that one"
        )


def _make(
    stack: ExitStack,
    folder: Path,
    encoder: Encoder | None,
    sources: Sequence[_Source],
    known: Sequence[Path],
) -> None:
    """Make the target with the model given, or with that of a source, found there or known."""
    if encoder is not None:
        _check_encoder(encoder, sources[0].store)
        make_gallery(folder, encoder)
        return
    binding = sources[0].store.binding
    # Whatever the order of the sources, a copy that one of them keeps comes first.
    found = [model_path(each.folder, each.store.binding) for each in sources]
    own = [path for each, path in zip(sources, found, strict=True) if has_model(each.folder)]
    model = open_among(stack, [*own, *found, *known], binding.model_sha256)
    if model is not None and model.dimensions == binding.dimensions:
        make_gallery(folder, model)
        return
    wanted = model_name(binding.model_sha256, binding.dimensions)
    raise UsageError(
        f"{folder}: there is no gallery here, and none of the sources' model is where it was and "
        f"can be read: to make one, say where {wanted} is (--model FILE)"
    )


def _check(
    sources: Sequence[_Source],
    store: Store | None,
    target: Path,
    progress: Progress,
    *,
    conflicts: bool,
) -> None:
    """Raise if a source is damaged anywhere, or a path is not the same image everywhere."""
    for source in sources:
        check_pages(source.store)
    if not conflicts:
        _check_rows(sources, progress)
        return
    found = Conflicts()
    for group in _groups(sources, progress, "check"):
        rows, names = [each.row for each in group], [each.source for each in group]
        known = None if store is None else store.find(group[0].row.path)
        if known is not None:
            rows.append(known)
            names.append(f"{target}, the target")
        if what := disagreement(rows):
            found.add(rows[0].path, what, " and ".join(names))
    last = sources[-1].name
    found.raise_if_any(
        str(target), f", or put a gallery's paths under a folder, such as --under {last}=/FOLDER"
    )


def _check_rows(sources: Sequence[_Source], progress: Progress) -> None:
    """Raise if an image of a source is damaged: before anything is written, or never."""
    total = _count(sources)
    done = 0
    for source in sources:
        for batch in batches_of(source.store, by="id"):
            done += len(batch)
            progress("check", done, total)


def _count(sources: Sequence[_Source]) -> int:
    return sum(source.store.count() for source in sources)


def _groups(sources: Sequence[_Source], progress: Progress, stage: str) -> Iterator[list[_Version]]:
    """Yield what the sources know about each path, path by path."""
    total = _count(sources)
    streams = [source.versions() for source in sources]
    done = 0
    merged = heapq.merge(*streams, key=lambda version: version.key)
    for _, group in itertools.groupby(merged, key=lambda version: version.key):
        versions = list(group)
        yield versions
        done += len(versions)
        progress(stage, done, total)
