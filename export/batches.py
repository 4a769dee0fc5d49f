"""The images of a whole network's training, batch by batch: changed at random, ready in time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from boost_edge.export.augment import Augmentation, augment, compress, mix
from boost_edge.export.temperature import UNKNOWN
from boost_edge.runtime.prefetch import prefetch

__all__ = ["Batch", "Batches", "Begun", "Pictures", "step_seed"]

# A GPU is through with a batch sooner than one thread has the next; a CPU has none to spare.
_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """n labelled images: ``pixels[rows[i]]`` has the labels ``codes[i]``.

    ``pixels`` is ``(N, S, S, 3) uint8``, maybe larger than memory, ``rows`` ``(n,) int64`` and
    ``codes`` ``(n, A) int64``, -1 where unknown.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, items: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return copies of the images ``(k, S, S, 3)`` of k items."""
        return np.ascontiguousarray(self.pixels[self.rows[items]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a network sees in one step.

    ``items`` ``(n,) int64`` says which pictures these are, ``codes`` ``(n, A) int64`` are their
    labels, -1 where unknown or not true of both pictures of a mixture, ``pixels``
    ``(n, s, s, 3) float32`` is what became of them, on the device.
    """

    items: NDArray[np.int64]
    codes: NDArray[np.int64]
    pixels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A batch ``(n, S, S, 3) uint8`` on its way, and what the rest of its changes is drawn from."""

    items: NDArray[np.int64]
    pixels: Tensor
    generator: torch.Generator


def step_seed(seed: int, step: int) -> int:
    """Return what all that is random in a step is drawn from, so that it can be repeated."""
    return seed * 1_000_003 + step + 1


class Batches:
    """The steps of a training; each batch is a function of the seed and of the step's number.

    While a network works on one, threads get the next from memory and through JPEG, and onto the
    device; the other changes are made there.
    """

    def __init__(
        self,
        pictures: Pictures,
        how: Augmentation,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.per_epoch = max(1, len(pictures) // batch_size)
        self._pictures = pictures
        self._how = how
        self._batch_size = batch_size
        self._seed = seed
        self._device = device

    def begin(self, first: int, last: int) -> Generator[Begun]:
        """Yield the steps from ``first`` to before ``last`` in order, the next one ready as well.

        Close the iterator, as any of `boost_edge.runtime.prefetch.prefetch`.
        """
        workers = 1 if self._device.type == "cpu" else _WORKERS
        return prefetch(range(first, last), self._begin, workers=workers, ahead=2 * workers)

    def finish(self, begun: Begun, size: int) -> Batch:
        """Return the batch of a step, its images scaled to an edge of ``size`` pixels."""
        changed = augment(begun.pixels, size, self._how, begun.generator)
        pixels, others = mix(changed, self._how.mixup, begun.generator)
        codes = self._pictures.codes[begun.items]
        return Batch(
            items=begun.items,
            codes=np.where(codes == codes[others.numpy()], codes, UNKNOWN),
            pixels=pixels,
        )

    def _begin(self, step: int) -> Begun:
        items = self._items(step)
        generator = torch.Generator().manual_seed(step_seed(self._seed, step))
        compressed = compress(self._pictures.take(items), self._how, generator)
        pixels = torch.from_numpy(compressed).to(self._device, non_blocking=True)
        return Begun(items=items, pixels=pixels, generator=generator)

    def _items(self, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._pictures))
        start = place * self._batch_size
        return np.sort(order[start : start + self._batch_size])
