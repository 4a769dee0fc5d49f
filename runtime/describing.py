"""What a model says about the bytes of files, from wherever it is known or can be had."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.pending import Described, Pending
from boost_edge.runtime.reading import Read
from boost_edge.runtime.spread import Begun, Spread
from boost_edge.runtime.store import Store

__all__ = ["Describer"]


class Describer:
    """Describes what a run meets: by its model, or by what is stored, or about to be."""

    def __init__(self, store: Store, encoder: Encoder, pending: Pending, spread: Spread) -> None:
        self._store = store
        self._encoder = encoder
        self._pending = pending
        self._spread = spread
        # What the network has begun with, by digest: the batch, and the row there.
        self._begun: dict[str, tuple[Begun, int]] = {}

    def begin(self, batch: Iterable[Read | ImageError]) -> None:
        """Have the network begin with the files of a batch whose bytes are new as far as is known.

        While it does, earlier ones can be settled; see ``Spread.begin``.
        """
        if self._pending.is_dry:
            return
        read = {
            item.digest: item
            for item in batch
            if not isinstance(item, ImageError)
            and item.pixels is not None
            and item.digest not in self._begun
        }
        unknown = self.unknown(read)
        new = {digest: item for digest, item in read.items() if digest in unknown}
        if new:
            begun = self._spread.begin(_pixels(new.values()))
            self._begun |= {digest: (begun, row) for row, digest in enumerate(new)}

    def forget(self, batch: Iterable[Read | ImageError]) -> None:
        """Let go of what was begun for the files of a batch, needed or not."""
        for item in batch:
            if not isinstance(item, ImageError):
                self._begun.pop(item.digest, None)

    def describe(self, reads: list[Read]) -> list[Described]:
        """Return what the model says about files of new bytes; nothing in a dry run."""
        if not reads:
            return []
        if self._pending.is_dry:
            nothing = np.empty(0, np.float32)
            return [Described(predicted={}, vector=nothing, path=item.job.path) for item in reads]
        # All of them, where there is one batch only.
        late = [item for item in reads if item.digest not in self._begun]
        if late:
            begun = Begun(partial(self._encoder.run, _pixels(late)))
            self._begun |= {item.digest: (begun, row) for row, item in enumerate(late)}
        return [self._described(item) for item in reads]

    def _described(self, item: Read) -> Described:
        begun, row = self._begun[item.digest]
        encoding = begun.result()
        return Described(
            predicted={}
            if encoding.attributes is None
            else self._encoder.describe(encoding.attributes[row]),
            vector=encoding.embeddings[row],
            path=item.job.path,
        )

    def unknown(self, digests: Iterable[str]) -> set[str]:
        """Return digests of whose bytes nothing is known for certain, committed or not.

        Of the others `known` may know nothing either.
        """
        # In this order: what is no longer pending is committed.
        asked = [each for each in digests if self._pending.described(each) is None]
        return set(asked) - self._store.stored_digests(asked) if asked else set()

    def known(self, digest: str) -> Described | None:
        """Return what is known about the same bytes elsewhere, committed or not."""
        # In this order: what is no longer pending is committed.
        pending = self._pending.described(digest)
        if pending is not None:
            return pending
        foretold = self._pending.foretold
        rows = self._store.with_digest(digest, limit=1 if foretold is None else -1)
        for row in rows:
            if foretold is not None and foretold.as_placed(row).digest != digest:
                # By then it would have other bytes.
                continue
            vector = self._store.vectors_of([cast("int", row.id)])[0]
            return Described(predicted=row.predicted, vector=vector, path=row.path)
        return None


def _pixels(reads: Iterable[Read]) -> NDArray[np.uint8]:
    return np.stack([cast("Any", item.pixels) for item in reads])
