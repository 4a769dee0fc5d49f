"""Run a network on many images: each thread has images of its own.

Several threads that compute one image wait for each other at every layer, and lose what one of
them spends on decoding. Threads with images of their own wait once a batch; measured in
docs/performance.md. It takes the network a second time, in memory and in preparing it, so the first
batch goes without: a query and a few files never pay for it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Encoding
from boost_edge.runtime.errors import ModelFileError

__all__ = ["Spread", "images_at_once"]

# More at once is no faster on a CPU, and takes memory: 16 instead of 8 of 224 pixels took 100 MB
# more with ResNet-18 and 2 threads, and saved 4% of the time.
_PIXELS = 8 * 224 * 224
# A small network is busy reading its weights, which a batch reads once.
_FEWEST, _MOST = 8, 32
# But each thread has images of its own, two of them so that none waits long.
_EACH = 2


def images_at_once(edge: int, threads: int) -> int:
    """Return how many images of ``edge`` pixels make a batch where many are encoded."""
    return max(_FEWEST, min(_MOST, _PIXELS // edge**2), _EACH * threads)


class Spread:
    """Runs an encoder's network on batches, in as many threads as the encoder has; close it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._batches = 0
        self._single: Encoder | None = None
        self._pool: ThreadPoolExecutor | None = None

    def run(self, batch: NDArray[np.uint8]) -> Encoding:
        """Run the network on ``(N, S, S, 3) uint8`` RGB; see ``Encoder.run``."""
        self._batches += 1
        if self._batches == 2 and self._encoder.threads > 1:
            self._start()
        if self._single is None or self._pool is None or len(batch) < 2:
            return self._encoder.run(batch)
        parts = np.array_split(batch, min(self._encoder.threads, len(batch)))
        found = list(self._pool.map(self._single.run, parts))
        attributes = [each.attributes for each in found if each.attributes is not None]
        return Encoding(
            embeddings=np.concatenate([each.embeddings for each in found]),
            attributes=np.concatenate(attributes) if attributes else None,
        )

    def close(self) -> None:
        """Let go of the threads and of the second network."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._single is not None:
            self._single.close()
        self._pool, self._single = None, None

    def _start(self) -> None:
        try:
            single = Encoder.open(self._encoder.path, threads=1)
        except ModelFileError:
            # The file has gone since; what is open still serves.
            return
        if single.sha256 != self._encoder.sha256:
            single.close()
            return
        self._single = single
        self._pool = ThreadPoolExecutor(self._encoder.threads, "boost-edge-encode")
