"""``index``: find images, see what is new, encode that, and commit it piece by piece."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.crawl import absolute, find_images
from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.images import content_digest, decode_image, read_bytes, resize_image
from boost_edge.runtime.index_report import IndexReport, Skipped
from boost_edge.runtime.manifest import ImageSpec
from boost_edge.runtime.prefetch import batched, decoders, prefetch
from boost_edge.runtime.prune import find_gone, is_gone
from boost_edge.runtime.store import Store

__all__ = ["index_images"]

Labels = Mapping[str, Mapping[str, str]]
Progress = Callable[[int, int], None]
# What the model says about some bytes: predicted attributes and embedding.
_Described = tuple[dict[str, Prediction], NDArray[np.float32]]

# More at once is no faster on a CPU: 32 take 250 MB more with ResNet-18.
_BATCH = 8
# What is lost at most when the process is killed.
_COMMIT_IMAGES = 256
_COMMIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A file to read: its absolute path, its row if there is one, and its stamp before reading."""

    path: str
    known: ImageRow | None
    size: int
    mtime_ns: int

    @property
    def is_live(self) -> bool:
        return self.known is not None and self.known.state == "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file that was read; ``pixels`` is ``(S, S, 3) uint8``, or None where nothing changed."""

    job: _Job
    digest: str
    width: int
    height: int
    pixels: NDArray[np.uint8] | None


def index_images(
    store: Store,
    encoder: Encoder,
    paths: Iterable[str | os.PathLike[str]],
    *,
    labels: Labels | None = None,
    progress: Progress | None = None,
    prune: bool = False,
    dry_run: bool = False,
) -> IndexReport:
    """Bring a store up to date with the images under some paths; see ``Gallery.index``.

    The caller holds the writer lock, except for a dry run. Whatever interrupts it, what was encoded
    by then is kept.
    """
    started = time.perf_counter()
    given = list(paths)
    files = list(dict.fromkeys(absolute(path) for path in find_images(given)))
    run = _Run(store, encoder, files=files, labels=labels, progress=progress, dry_run=dry_run)
    try:
        read = prefetch(run.jobs(), run.read, workers=decoders(), ahead=_BATCH)
        # Closing waits for the threads, so that none outlives an interruption.
        with closing(cast("Any", read)):
            for batch in batched(read, _BATCH):
                run.take(batch)
                run.commit_when_due()
    finally:
        run.commit()
    pruned = run.prune(given) if prune else ()
    return IndexReport(
        added=run.counts["added"],
        changed=run.counts["changed"],
        renamed=run.counts["renamed"],
        restored=run.counts["restored"],
        unchanged=run.counts["unchanged"],
        duplicates=run.counts["duplicates"],
        labelled=run.counts["labelled"],
        pruned=pruned,
        skipped=tuple(run.skipped),
        seconds=time.perf_counter() - started,
        dry_run=dry_run,
    )


class _Run:
    """The state of one run. Only `read` is called from other threads."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        files: list[str],
        labels: Labels | None,
        progress: Progress | None,
        dry_run: bool,
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._spec: ImageSpec = encoder.manifest.image
        self._files = files
        self._dry_run = dry_run
        self._labels = {absolute(path): dict(given) for path, given in (labels or {}).items()}
        self._progress = progress
        self._done = 0
        self._changes = Changes()
        # What is known about the bytes in those changes, by digest.
        self._described: dict[str, _Described] = {}
        self._committed_at = time.monotonic()
        # Rows of known bytes whose files are gone, by digest: each can be renamed once.
        self._gone: dict[str, list[ImageRow]] = {}
        self._renamed: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.skipped: list[Skipped] = []

    def jobs(self) -> Iterator[_Job]:
        """Yield the files that must be read; settle those whose size and time are as known."""
        for path in self._files:
            known = self._store.find(path)
            try:
                status = Path(path).stat()
                size, mtime_ns = status.st_size, status.st_mtime_ns
            except (OSError, ValueError):
                # Reading it says what is wrong.
                size, mtime_ns = -1, -1
            if known and (known.size, known.mtime_ns) == (size, mtime_ns):
                self._keep(known, known, "unchanged")
            else:
                yield _Job(path=path, known=known, size=size, mtime_ns=mtime_ns)

    def read(self, job: _Job) -> _Read | ImageError:
        """Read and decode one file."""
        try:
            data = read_bytes(job.path)
            digest = content_digest(data)
            if job.known and job.known.digest == digest:
                known = job.known
                return _Read(
                    job=job, digest=digest, width=known.width, height=known.height, pixels=None
                )
            image = decode_image(data, source=job.path)
        except ImageError as error:
            return error
        height, width = image.shape[:2]
        pixels = resize_image(image, self._spec)
        return _Read(job=job, digest=digest, width=width, height=height, pixels=pixels)

    def take(self, batch: list[_Read | ImageError]) -> None:
        """Settle one batch of files: keep, rename, copy or encode."""
        fresh: dict[str, list[_Read]] = {}
        for item in batch:
            if isinstance(item, ImageError):
                skipped = Skipped(path=item.path, reason=item.reason, detail=item.detail)
                self.skipped.append(skipped)
                self._step()
            elif item.job.known and item.pixels is None:
                self._keep(item.job.known, _stamped(item, item.job.known), "unchanged")
            elif item.job.known is None and (gone := self._pop_gone(item.digest)):
                self._renamed.add(cast("int", gone.id))
                self._keep(gone, _stamped(item, gone), "renamed")
            else:
                fresh.setdefault(item.digest, []).append(item)
        self._encode(fresh)

    def commit_when_due(self) -> None:
        """Commit when there is enough to lose."""
        late = time.monotonic() - self._committed_at >= _COMMIT_SECONDS
        if late or len(self._changes) >= _COMMIT_IMAGES:
            self.commit()

    def commit(self) -> None:
        """Commit what is settled."""
        if len(self._changes):
            self._store.commit(self._changes)
            self._changes = Changes()
            self._described.clear()
        self._committed_at = time.monotonic()

    def prune(self, given: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
        """Delete the images under the given paths whose files are gone; return their paths."""
        gone = find_gone(self._store, given)
        for identity in self._renamed & gone.keys():
            # In a dry run a renamed image is still where it was.
            del gone[identity]
        if gone and not self._dry_run:
            self._store.commit(Changes(restated=dict.fromkeys(gone, "deleted")))
        return tuple(gone.values())

    def _encode(self, fresh: Mapping[str, list[_Read]]) -> None:
        """Add rows for files with new bytes, encoding each distinct content once."""
        known = {digest: self._twin(digest) for digest in fresh}
        missing = [digest for digest, twin in known.items() if twin is None]
        pixels = [cast("NDArray[np.uint8]", fresh[digest][0].pixels) for digest in missing]
        for digest, twin in zip(missing, self._describe(pixels), strict=True):
            known[digest] = twin
            # The first one was encoded; its equals are copies.
            self.counts["duplicates"] -= 1
        for digest, reads in fresh.items():
            predicted, vector = cast("_Described", known[digest])
            self._described[digest] = (predicted, vector)
            for item in reads:
                if not self._dry_run:
                    self._changes.encoded.append((self._new_row(item, predicted), vector))
                self.counts["duplicates"] += 1
                self.counts["changed" if item.job.is_live else "added"] += 1
                self._step()

    def _describe(self, pixels: list[NDArray[np.uint8]]) -> list[_Described]:
        if self._dry_run:
            return [({}, np.empty(0, np.float32)) for _ in pixels]
        if not pixels:
            return []
        encoding = self._encoder.run(np.stack(pixels))
        if encoding.attributes is None:
            return [({}, vector) for vector in encoding.embeddings]
        return [
            (self._encoder.describe(row), vector)
            for row, vector in zip(encoding.attributes, encoding.embeddings, strict=True)
        ]

    def _twin(self, digest: str) -> _Described | None:
        """Return what is known about the same bytes elsewhere, committed or not."""
        if digest in self._described:
            return self._described[digest]
        for row in self._store.with_digest(digest, limit=1):
            return row.predicted, self._store.vectors_of([cast("int", row.id)])[0]
        return None

    def _new_row(self, item: _Read, predicted: dict[str, Prediction]) -> ImageRow:
        # Other bytes at the path of a deleted image are another image.
        labels = cast("ImageRow", item.job.known).labels if item.job.is_live else {}
        return ImageRow(
            id=None,
            path=item.job.path,
            digest=item.digest,
            size=item.job.size,
            mtime_ns=item.job.mtime_ns,
            width=item.width,
            height=item.height,
            predicted=predicted,
            labels=self._label(item.job.path, labels),
        )

    def _keep(self, stored: ImageRow, now: ImageRow, what: str) -> None:
        """Settle a file whose bytes are known: only what differs from its row is written."""
        now = replace(now, labels=self._label(now.path, now.labels))
        if now != stored and not self._dry_run:
            self._changes.kept.append(now)
        if stored.state == "deleted":
            what = "restored"
            if not self._dry_run:
                self._changes.restated[cast("int", stored.id)] = "live"
        self.counts[what] += 1
        self._step()

    def _label(self, path: str, otherwise: dict[str, str]) -> dict[str, str]:
        given = self._labels.get(path)
        self.counts["labelled"] += given is not None
        return otherwise if given is None else given

    def _pop_gone(self, digest: str) -> ImageRow | None:
        """Return a row of these bytes whose file is gone, each row once."""
        if digest not in self._gone:
            rows = self._store.with_digest(digest)
            if not rows:
                return None
            self._gone[digest] = [row for row in rows if is_gone(row.path)]
        return self._gone[digest].pop(0) if self._gone[digest] else None

    def _step(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, len(self._files))


def _stamped(item: _Read, row: ImageRow) -> ImageRow:
    return replace(row, path=item.job.path, size=item.job.size, mtime_ns=item.job.mtime_ns)
