"""How well embeddings find images with the same labels: the measure of the gate for int8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_precisions"]


def average_precisions(
    embeddings: NDArray[np.float32], codes: NDArray[np.int64], *, k: int = 10
) -> NDArray[np.float64]:
    """Return the average precision at k of each image as a query among the others, in [0, 1].

    For one attribute, the others with the query's value are relevant, and others whose value is not
    known are left out of the ranking; its average precision is the sum over the first k of the
    precision at each relevant one, divided by k or by the number of relevant ones where that is
    smaller. The result is the mean over the attributes in which the query has something to find.
    Unlike the agreement of all attributes at once, this has an answer for nearly every image of a
    few hundred, and no ties.

    Parameters
    ----------
    embeddings
        ``(N, D)`` of norm 1.
    codes
        ``(N, A)``, equal for equal values, below 0 where unknown.
    k
        How many hits count, at least 1.

    Returns
    -------
    ``(N,)`` float64, NaN where no attribute of a query has anything to find.
    """
    count = len(embeddings)
    cosines = embeddings.astype(np.float64) @ embeddings.astype(np.float64).T
    np.fill_diagonal(cosines, np.inf)
    # The query itself comes first, and is dropped.
    order = np.argsort(-cosines, axis=1, kind="stable")[:, 1:]
    totals, found = np.zeros(count), np.zeros(count, np.int64)
    for column in codes.T:
        values = column[order]
        known = values >= 0
        relevant = (values == column[:, None]) & known
        relevant_in_all = relevant.sum(axis=1)
        place = known.cumsum(axis=1)
        precision = relevant.cumsum(axis=1) / np.maximum(place, 1)
        hits = np.where(relevant & (place <= k), precision, 0.0).sum(axis=1)
        asked = relevant_in_all > 0
        totals[asked] += hits[asked] / np.minimum(relevant_in_all[asked], k)
        found += asked
    return np.asarray(np.where(found > 0, totals / np.maximum(found, 1), np.nan), np.float64)
