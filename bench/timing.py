"""Time calls side by side: in blocks, in a seeded order, so that drift of the machine hits all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.student import t_interval
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.progress import Progress, silent

__all__ = [
    "RATIO_INTERVAL",
    "Case",
    "Ratio",
    "Timing",
    "block_orders",
    "compare_blocks",
    "percentile",
    "time_cases",
]

RATIO_INTERVAL = "t"
"""What `compare_blocks` computes; results from before they said so have a percentile bootstrap."""

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time.

    ``prepare`` is called at the start of every block and not timed: it sets what is global, such
    as the number of threads. ``images`` is how many images one ``call`` works on.
    """

    call: Callable[[], object]
    prepare: Callable[[], None]
    images: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the calls of one case took, in milliseconds, by block.

    ``images`` is per call; ``joules`` is what the processor used meanwhile, where that is known.
    """

    blocks: tuple[tuple[float, ...], ...]
    images: int
    joules: float | None

    def milliseconds(self) -> NDArray[np.float64]:
        """Return the times of all calls ``(n,) float64``, in the order in which they were made."""
        return np.array(list(chain.from_iterable(self.blocks)), np.float64)

    def summary(self) -> dict[str, Any]:
        """Return the figures of a result's row.

        ``p50_ms``, ``p90_ms``, ``p99_ms`` (see `percentile`), ``mean_ms``, ``calls``,
        ``images_per_second``, and ``joules_per_image``, null where energy is not exposed.
        """
        values = self.milliseconds()
        images = self.images * len(values)
        return {
            "calls": len(values),
            "p50_ms": percentile(values, 0.5),
            "p90_ms": percentile(values, 0.9),
            "p99_ms": percentile(values, 0.99),
            "mean_ms": float(values.mean()),
            "images_per_second": 1e3 * images / float(values.sum()),
            "joules_per_image": None if self.joules is None else self.joules / images,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as long one case takes as another, with its 95% interval."""

    estimate: float
    low: float
    high: float

    def inverse(self) -> Ratio:
        """Return how many times as long the other takes."""
        return Ratio(estimate=1 / self.estimate, low=1 / self.high, high=1 / self.low)


def percentile(values: NDArray[np.float64], share: float) -> float:
    """Return the smallest value that at least a share in (0, 1] of the values do not exceed.

    It is a time that a call really took (nearest rank). Of fewer than 1 / (1 - share) values it
    is the largest.
    """
    return float(np.quantile(values, share, method="inverted_cdf"))


def block_orders(cases: int, blocks: int, seed: int) -> list[list[int]]:
    """Return for each block the order in which the cases take their turn; each comes once."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(cases).tolist() for _ in range(blocks)]


def time_cases(
    cases: Sequence[Case],
    *,
    blocks: int,
    seconds: float,
    most: int,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    energy: Callable[[], float] | None = None,
    progress: Progress | None = None,
    stage: str = "timing",
) -> list[Timing]:
    """Time all cases in turns and return their timings, in the order of ``cases``.

    A case runs once before anything is counted, and where a call works on one image once more at
    the start of each block, because the case before it has emptied the caches. In a block it is
    called until its share of ``seconds`` or of ``most`` calls is used up, at least once.

    Parameters
    ----------
    blocks
        How many turns each case has, at least 1.
    seconds, most
        For each case, over all blocks.
    clock
        Returns nanoseconds.
    energy
        Returns the joules that the processor has used so far.
    """
    if blocks < 1 or most < 1 or not seconds > 0:
        raise UsageError(f"{blocks} blocks, {seconds} seconds, {most} calls: all must be positive")
    report = progress or silent
    found: list[list[tuple[float, ...]]] = [[] for _ in cases]
    joules = [0.0] * len(cases)
    total = len(cases) * (blocks + 1)
    for done, case in enumerate(cases, 1):
        case.prepare()
        case.call()
        report(stage, done, total)
    for block, order in enumerate(block_orders(len(cases), blocks, seed)):
        # The shares of the calls differ by one where they do not come out even.
        share = max(1, most * (block + 1) // blocks - most * block // blocks)
        for turn, place in enumerate(order, 1):
            case = cases[place]
            case.prepare()
            if case.images == 1:
                case.call()
            before = energy() if energy else 0.0
            found[place].append(_time_block(case, 1e9 * seconds / blocks, share, clock))
            joules[place] += energy() - before if energy else 0.0
            report(stage, len(cases) * (block + 1) + turn, total)
    return [
        Timing(blocks=tuple(each), images=case.images, joules=used if energy else None)
        for case, each, used in zip(cases, found, joules, strict=True)
    ]


def compare_blocks(timing: Timing, reference: Timing) -> Ratio:
    """Return how many times as long a case takes as a reference timed in the same blocks.

    The estimate is the geometric mean over blocks of the ratio of the blocks' medians; the
    interval is the 95% t interval of the ratio's logarithm over blocks, which are what drifts. Of
    one block there is none: it is the estimate.

    Raises
    ------
    UsageError
        When the two were not timed in equally many blocks.
    """
    if len(timing.blocks) != len(reference.blocks):
        raise UsageError("only cases of the same run, with equally many blocks, can be compared")
    medians = np.array(
        [
            (float(np.median(block)), float(np.median(other)))
            for block, other in zip(timing.blocks, reference.blocks, strict=True)
        ]
    )
    logarithms: list[float] = (np.log(medians[:, 0]) - np.log(medians[:, 1])).tolist()
    middle = float(np.mean(logarithms))
    low, high = t_interval(logarithms) or (middle, middle)
    return Ratio(estimate=math.exp(middle), low=math.exp(low), high=math.exp(high))


def _time_block(
    case: Case, budget_ns: float, most: int, clock: Callable[[], int]
) -> tuple[float, ...]:
    times: list[float] = []
    start = clock()
    while True:
        before = clock()
        case.call()
        after = clock()
        times.append((after - before) / _NS_PER_MS)
        if len(times) >= most or after - start >= budget_ns:
            return tuple(times)
