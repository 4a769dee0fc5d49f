"""Run a network on many images: each thread has images of its own, and decodes them too.

Several threads that compute one image wait for each other at every layer, and lose what one of
them spends on decoding. Threads with images of their own hardly ever wait, as the next batch is
begun while one is taken in; measured in docs/performance.md. It takes the network a second time,
in memory and in preparing it, so a batch that is alone goes without: a query and a few files never
pay for it.

The same threads read and decode ahead (`prefetch`), in the order in which work is given to them:
none is idle while there is work of either kind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Encoding, join_encodings
from boost_edge.runtime.errors import ModelFileError

__all__ = ["Begun", "Spread", "images_at_once"]

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


class Begun:
    """A batch that the network has begun with."""

    def __init__(self, wait: Callable[[], Encoding]) -> None:
        self._wait = wait
        self._encoding: Encoding | None = None

    def result(self) -> Encoding:
        """Wait for what the network says; see ``Encoder.run``."""
        if self._encoding is None:
            self._encoding = self._wait()
        return self._encoding


class Spread:
    """Runs an encoder's network on batches, in as many threads as the encoder has; close it.

    ``pool`` are these threads, for reading ahead. Where the encoder has one thread it only reads
    ahead, and the network runs in the caller's thread.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._single: Encoder | None = None
        self.pool = ThreadPoolExecutor(encoder.threads, "boost-edge-work")
        self._started = False

    def each(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[Encoding]:
        """Yield what the network says of each batch, in order, the next one being computed.

        See ``Encoder.run``. A batch that is alone never pays for a second network.
        """
        source = iter(batches)
        first = list(islice(source, 2))
        if len(first) < 2:
            yield from map(self._encoder.run, first)
            return
        begun = deque(map(self.begin, first))
        while begun:
            yield begun.popleft().result()
            begun.extend(map(self.begin, islice(source, 1)))

    def begin(self, batch: NDArray[np.uint8]) -> Begun:
        """Have the network begin with a batch that is not the only one.

        With one thread it is only run when it is waited for.
        """
        if not self._started:
            self._started = True
            self._start()
        if self._single is None or len(batch) < 2:
            return Begun(partial(self._encoder.run, batch))
        parts = np.array_split(batch, min(self._encoder.threads, len(batch)))
        running = [self.pool.submit(self._single.run, part) for part in parts]
        return Begun(lambda: join_encodings([part.result() for part in running]))

    def close(self) -> None:
        """Let go of the threads and of the second network."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        if self._single is not None:
            self._single.close()
        self._single = None

    def _start(self) -> None:
        if self._encoder.threads == 1:
            return
        try:
            single = Encoder.open(self._encoder.path, threads=1)
        except ModelFileError:
            # The file has gone since; what is open still serves.
            return
        if single.sha256 != self._encoder.sha256:
            single.close()
            return
        self._single = single
