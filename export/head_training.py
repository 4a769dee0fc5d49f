"""Train a head as its recipe says: fit it, calibrate it, and where asked fit it once more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from boost_edge.export.calibrate import calibrate_head
from boost_edge.export.fit import Fitted, Rows, fit_head
from boost_edge.export.recipes import Recipe
from boost_edge.export.run import CHECKPOINT_FILE, REFIT_CHECKPOINT_FILE
from boost_edge.runtime.progress import Progress, silent

__all__ = ["refit_head", "train_head"]


def train_head(
    train: Rows,
    val: Rows | None,
    classes: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Return a trained head, calibrated where there are validation rows.

    ``folder`` is where an interrupted training leaves its checkpoints, and goes on from them;
    ``progress`` is called with (stage, epochs done, most epochs there can be). The other arguments
    are those of `boost_edge.export.fit.fit_head`, and so are the errors.
    """
    first = fit_head(
        train,
        val,
        classes,
        recipe,
        seed=seed,
        checkpoint=folder and folder / CHECKPOINT_FILE,
        progress=partial(progress, "training"),
    )
    if val is None:
        return first
    calibrate_head(first.head, val)
    if not recipe.refit:
        return first
    return refit_head(
        first,
        train.joined(val),
        classes,
        recipe,
        seed=seed,
        checkpoint=folder and folder / REFIT_CHECKPOINT_FILE,
        progress=partial(progress, "training again"),
    )


def refit_head(
    first: Fitted,
    rows: Rows,
    classes: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train on the rows of both parts, for the epochs that were best the first time.

    The head keeps what the first one was calibrated to; its history is the first one's. The other
    arguments are those of `boost_edge.export.fit.fit_head`, and so are the errors.
    """
    again = fit_head(
        rows,
        None,
        classes,
        recipe,
        seed=seed,
        epochs=first.best_epoch + 1,
        checkpoint=checkpoint,
        progress=progress,
    )
    again.head.temperature.copy_(first.head.temperature)
    again.head.typical = first.head.typical
    return dataclasses.replace(first, head=again.head)
