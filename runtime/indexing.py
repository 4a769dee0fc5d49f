"""``index``: find images, see what is new, encode that, and commit it piece by piece.

Files are found as they are needed, read, decoded and encoded ahead in a few threads, settled in the
caller's thread, and committed in one more. Rows, and so ids, come in the order of the search.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

from boost_edge.runtime.crawl import absolute, find_images, find_images_among, require_paths
from boost_edge.runtime.describing import Describer
from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import BoostEdgeError, GalleryCorruptError, ImageError
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.index_report import Copy, IndexReport, Skipped, Tally
from boost_edge.runtime.labels import labels_by_path
from boost_edge.runtime.pending import Described, Pending
from boost_edge.runtime.prefetch import batched, prefetch, with_next
from boost_edge.runtime.prune import find_gone, holds, is_gone
from boost_edge.runtime.reading import Job, Read, read_job
from boost_edge.runtime.selection import EVERYTHING, Selection
from boost_edge.runtime.spread import Spread, images_at_once
from boost_edge.runtime.store import Store
from boost_edge.runtime.whereabouts import Whereabouts

__all__ = ["IndexOptions", "index_images"]

# Files whose rows are looked up at once.
_PAGE = 64
_GO_ON = "what was encoded before is kept: index again to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How to index; see ``Gallery.index``."""

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    progress: Callable[[int, int], None] | None = None
    prune: bool = False
    selection: Selection = EVERYTHING
    only: tuple[str | os.PathLike[str], ...] | None = None
    on_skipped: Callable[[Skipped], None] | None = None


def index_images(
    store: Store,
    encoder: Encoder,
    paths: Iterable[str | os.PathLike[str]],
    options: IndexOptions,
    *,
    writer: Store | None,
) -> IndexReport:
    """Bring a store up to date with the images under some paths; see ``Gallery.index``.

    ``writer`` is the same store on another connection, to commit through; None is a dry run. The
    caller holds the writer lock, except for a dry run. Whatever interrupts it, what was encoded by
    then is kept.
    """
    started = time.perf_counter()
    # A folder that is gone as a whole can still be pruned.
    given = require_paths(paths, unless=lambda path: options.prune and holds(store, path))
    with closing(_Run(store, encoder, given, options, writer)) as run:
        try:
            run.work()
            run.look_for_gone(writer)
        except BoostEdgeError as error:
            if not isinstance(error, GalleryCorruptError):
                error.add_note(_GO_ON)
            raise
    return run.tally.report(seconds=time.perf_counter() - started, dry_run=writer is None)


class _Run:
    """The state of one run. All of it belongs to the caller's thread."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        given: list[Path],
        options: IndexOptions,
        writer: Store | None,
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._given = given
        self._there = [path for path in given if path.exists()]
        self._options = options
        self._labels = labels_by_path(options.labels)
        self._pending = Pending(writer)
        self._done = 0
        self._total = 0
        self._spread = Spread(encoder)
        self._describer = Describer(store, encoder, self._pending, self._spread)
        self._rows = Whereabouts(store, self._pending)
        # Files that were read and are not settled yet.
        self._fresh: list[Read] = []
        # Of the batch that is settled: digests of bytes of which nothing is known so far.
        self._unknown: set[str] = set()
        # Rows whose path another row has taken, until their own file is met.
        self._displaced: set[int] = set()
        self._any_moved = False
        self.tally = Tally()
        self._counts = self.tally.counts

    def close(self) -> None:
        """Give back what is held besides the stores."""
        self._pending.forget()
        self._spread.close()

    def work(self) -> None:
        """Settle all files, and commit, also when it fails or is interrupted."""
        with closing(self._pending):
            if self._options.progress is not None:
                # Looks at names only, which is much cheaper than what comes.
                self._total = sum(1 for _ in self._find())
            spec = self._encoder.manifest.image
            size = images_at_once(spec.size, self._encoder.threads)
            read = prefetch(
                self._jobs(),
                partial(read_job, spec=spec),
                workers=self._spread.pool,
                # So many are decoded, or being decoded, while a batch is encoded.
                ahead=2 * size,
            )
            # Closing waits for the threads, so that none outlives an interruption.
            with closing(read):
                for batch, following in with_next(batched(read, size)):
                    if following is not None:
                        # The network never waits for what is done with its answers.
                        self._describer.begin(batch)
                        self._describer.begin(following)
                    self._take(batch)
                    self._describer.forget(batch)
                    self._commit_when_due()

    def look_for_gone(self, writer: Store | None) -> None:
        """Count the images whose files are gone, or delete them, page by page."""
        options = self._options
        for page in find_gone(self._store, self._given, options.selection, only=options.only):
            gone = dict(page)
            if self._pending.is_dry:
                # A renamed image is still where it was.
                gone = {each: path for each, path in page if self._would_be_live(path)}
            if not options.prune:
                self._counts["gone"] += len(gone)
                continue
            if writer is not None:
                writer.commit(Changes(restated=dict.fromkeys(gone, "deleted")))
            for path in gone.values():
                self.tally.prune(path)

    def _would_be_live(self, path: str) -> bool:
        row = self._rows.at(path)
        return row is not None and row.state == "live"

    def _find(self) -> Iterator[str]:
        selection, only = self._options.selection, self._options.only
        if only is None:
            return find_images(self._there, selection)
        return find_images_among(self._there, selection, only)

    def _jobs(self) -> Iterator[Job]:
        """Yield the files that must be read; settle those whose size and time are as known."""
        for path, known in self._found():
            try:
                status = os.stat(path)  # noqa: PTH116 - once for every file
                size, mtime_ns = status.st_size, status.st_mtime_ns
            except (OSError, ValueError):
                # Reading it says what is wrong.
                size, mtime_ns = -1, -1
            if known and (known.size, known.mtime_ns) == (size, mtime_ns):
                self._keep(known, known, "unchanged")
                # Here too: where nothing must be read, no batch is ever full.
                self._commit_when_due()
            else:
                yield Job(path=path, known=known, size=size, mtime_ns=mtime_ns)

    def _found(self) -> Iterator[tuple[str, ImageRow | None]]:
        """Yield the paths of the files there are, each with its row as it is by then."""
        for page in batched(map(absolute, self._find()), _PAGE):
            rows = {} if self._any_moved else self._rows.at_each(page)
            for path in page:
                yield path, self._at(path) if self._any_moved else rows.get(path)

    def _take(self, batch: list[Read | ImageError]) -> None:
        """Settle one batch of files: keep, rename, copy or encode."""
        read = (item.digest for item in batch if not isinstance(item, ImageError))
        self._unknown = self._describer.unknown(read)
        for item in batch:
            if isinstance(item, ImageError):
                self._skip(Skipped(path=item.path, reason=item.reason, detail=item.detail))
                continue
            known = item.job.known
            if known is not None and self._any_moved:
                # It was looked up some time before. Where no row was, none has come.
                known = self._at(item.job.path)
            if known is not None and known.digest == item.digest:
                self._keep(known, _stamped(item, known), "unchanged")
            elif left := self._left_by(item.digest):
                self._move(left, item, known)
            else:
                self._fresh.append(replace(item, job=replace(item.job, known=known)))
        self._add_fresh()

    def _left_by(self, digest: str) -> ImageRow | None:
        """Return a row of these bytes whose own file is gone, or else has other bytes."""
        if digest in self._unknown:
            return None
        gone = self._rows.gone(digest, self._settle_row)
        return gone or self._rows.replaced(digest, self._settle_row)

    def _move(self, row: ImageRow, item: Read, known: ImageRow | None) -> None:
        """Let a row follow its bytes, also to the path of another one: they change places.

        The other one's bytes may be met later; until then it is where nothing is, or where
        something else is that has not been met yet.
        """
        self._any_moved = True
        if known is None and is_gone(row.path):
            self._keep(row, _stamped(item, row), "renamed")
            return
        if known is not None:
            self._displaced.add(cast("int", known.id))
        self._keep(row, _stamped(item, row), "renamed", displaced=known)
        # From here on the store is right about all paths.
        self._settle()
        self._rows.forget()

    def _at(self, path: str) -> ImageRow | None:
        """Return the row at a path, where something may be again that has left it in this run."""
        row = self._rows.at(path)
        if row is not None and self._any_moved and self._pending.renames(cast("int", row.id)):
            self._settle()
            row = self._rows.at(path)
        return row

    def _settle_row(self, row: ImageRow) -> None:
        fresh = (each.job.known for each in self._fresh)
        is_fresh = any(known is not None and known.id == row.id for known in fresh)
        if is_fresh or self._pending.changes(cast("int", row.id)):
            self._settle()

    def _settle(self) -> None:
        self._add_fresh()
        self._pending.settle()

    def _add_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._add(fresh)

    def _skip(self, skipped: Skipped) -> None:
        self.tally.skip(skipped)
        if self._options.on_skipped is not None:
            self._options.on_skipped(skipped)
        self._step()

    def _add(self, fresh: list[Read]) -> None:
        """Add rows for files with new bytes, encoding each distinct content once."""
        known = {
            item.digest: None
            if item.digest in self._unknown
            else self._describer.known(item.digest)
            for item in fresh
        }
        new: dict[str, Read] = {}
        for item in fresh:
            if known[item.digest] is None:
                new.setdefault(item.digest, item)
        known.update(zip(new, self._describer.describe(list(new.values())), strict=True))
        self._unknown.difference_update(known)
        for item in fresh:
            described = cast("Described", known[item.digest])
            row = self._new_row(item, described.predicted)
            self._pending.encoded(row, described, known=item.job.known)
            self._counts["changed" if item.job.is_live else "added"] += 1
            if new.get(item.digest) is not item:
                self.tally.copy(Copy(path=item.job.path, original=described.path))
        # Only now: the caller may raise an interruption, and what is encoded must not be lost.
        for _ in fresh:
            self._step()

    def _new_row(self, item: Read, predicted: dict[str, Prediction]) -> ImageRow:
        # Other bytes at the path of a deleted image are another image.
        labels = cast("ImageRow", item.job.known).labels if item.job.is_live else {}
        if labels and item.job.path not in self._labels:
            self.tally.outdated(item.job.path)
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

    def _keep(
        self, stored: ImageRow, now: ImageRow, what: str, *, displaced: ImageRow | None = None
    ) -> None:
        """Settle a file whose bytes are known: only what differs from its row is written."""
        now = replace(now, labels=self._label(now.path, now.labels))
        if displaced is None:
            self._pending.kept(stored, now)
        else:
            self._pending.swapped(stored, now, displaced)
        if stored.id in self._displaced:
            self._displaced.discard(stored.id)
            what = "renamed"
        self._counts["restored" if stored.state == "deleted" else what] += 1
        self._step()

    def _label(self, path: str, otherwise: dict[str, str]) -> dict[str, str]:
        given = self._labels.get(path)
        self._counts["labelled"] += given is not None
        return otherwise if given is None else given

    def _commit_when_due(self) -> None:
        if self._pending.commit_when_due():
            self._rows.forget_if_many()

    def _step(self) -> None:
        self._done += 1
        if self._options.progress:
            # Files may have come since they were counted.
            self._total = max(self._total, self._done)
            self._options.progress(self._done, self._total)


def _stamped(item: Read, row: ImageRow) -> ImageRow:
    return replace(row, path=item.job.path, size=item.job.size, mtime_ns=item.job.mtime_ns)
