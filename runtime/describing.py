"""What a model says about the bytes of files, from wherever it is known or can be had."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.pending import Described, Pending
from boost_edge.runtime.reading import Read
from boost_edge.runtime.spread import Spread
from boost_edge.runtime.store import Store

__all__ = ["Describer"]


class Describer:
    """Describes what a run meets: by its model, or by what is stored, or about to be."""

    def __init__(self, store: Store, encoder: Encoder, pending: Pending) -> None:
        self._store = store
        self._encoder = encoder
        self._pending = pending
        self._spread = Spread(encoder)

    def close(self) -> None:
        """Let go of what the model needed for many files."""
        self._spread.close()

    def describe(self, reads: list[Read]) -> list[Described]:
        """Return what the model says about files of new bytes; nothing in a dry run."""
        if not reads:
            return []
        if self._pending.is_dry:
            nothing = np.empty(0, np.float32)
            return [Described(predicted={}, vector=nothing, path=item.job.path) for item in reads]
        encoding = self._spread.run(np.stack([cast("Any", item.pixels) for item in reads]))
        return [
            Described(
                predicted={}
                if encoding.attributes is None
                else self._encoder.describe(encoding.attributes[index]),
                vector=encoding.embeddings[index],
                path=item.job.path,
            )
            for index, item in enumerate(reads)
        ]

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
