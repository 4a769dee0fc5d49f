"""Which of two model files answers sooner, asked in turns on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.model_file import IMAGE, open_model

__all__ = ["race_models", "take_turns"]

_TURNS = 12
_CALLS = 5
_SECONDS = 30.0


def race_models(models: Sequence[Path], image: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return the median milliseconds that each model takes for one image on one thread.

    Parameters
    ----------
    models
        Model files.
    image
        ``(S, S, 3)`` RGB, as the networks take it.
    """
    batch = image[None]
    sessions = [open_model(model, threads=1).session for model in models]
    return take_turns([partial(each.run, None, {IMAGE: batch}) for each in sessions])


def take_turns(
    calls: Sequence[Callable[[], object]],
    *,
    turns: int = _TURNS,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, ...]:
    """Return the median milliseconds of each call, timed in turns so that drift hits all.

    A turn of one is a few calls, before which it is called once untimed, because the one before it
    has emptied the caches. Each begins as many turns as it ends. After ``seconds`` no more turns
    begin, but two of each are always taken.
    """
    times: list[list[float]] = [[] for _ in calls]
    start = clock()
    for turn in range(turns):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for place in order:
            calls[place]()
            for _ in range(_CALLS):
                before = clock()
                calls[place]()
                times[place].append(1e3 * (clock() - before))
        if turn % 2 == 1 and clock() - start > seconds:
            break
    return tuple(float(np.median(each)) for each in times)
