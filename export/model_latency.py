"""How long exported graphs take for one image, side by side at each number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.export.race import take_turns
from boost_edge.runtime.model_file import IMAGE, start_session

__all__ = ["measure_latency"]


def measure_latency(models: Sequence[Path], threads: Sequence[int]) -> tuple[dict[int, float], ...]:
    """Return, for each graph, the median milliseconds for one image by number of threads.

    All graphs are timed in turns (`boost_edge.export.race.take_turns`), so that whatever else
    the machine does hits all of them. What is timed is the network alone, on an image of noise:
    no decoding, no resizing, no search.

    Parameters
    ----------
    models
        ONNX files with the input of a model file; they need no manifest.

    Raises
    ------
    ModelFileError
        When one of them cannot be run.
    """
    found: tuple[dict[int, float], ...] = tuple({} for _ in models)
    for count in threads:
        # One number of threads after another: twice as many sessions would take twice the memory.
        calls = [_call_of(model, count) for model in models]
        for place, milliseconds in enumerate(take_turns(calls)):
            found[place][count] = milliseconds
    return found


def _call_of(model: Path, threads: int) -> Callable[[], object]:
    path = os.fspath(model)
    session: Any = start_session(path, path, threads=threads)
    _, height, width, colours = session.get_inputs()[0].shape
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, colours), np.uint8)
    return partial(session.run, None, {IMAGE: image})
