"""Which of several options are worth having: those that no other one beats in everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pareto_front"]


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which options no other one dominates.

    One dominates another where it is at least as good in everything and better in something.
    Options that are equal in everything are on the front together, or not at all.

    Parameters
    ----------
    costs
        ``(N, M)``, finite; less is better in each of the M columns.

    Returns
    -------
    ``(N,)`` bool.
    """
    # [i, j]: option j against option i.
    no_worse = np.all(costs[None, :, :] <= costs[:, None, :], axis=2)
    better = np.any(costs[None, :, :] < costs[:, None, :], axis=2)
    beaten: NDArray[np.bool_] = np.any(np.logical_and(no_worse, better), axis=1)
    return ~beaten
