"""All labels of an image together: which combinations there are, for the readout ``together``.

Predicting each attribute by itself forgets which values go together. To know which combinations
occur is to know much of that: the rest is ruled out, as the label powerset of multi-label learning
does (Tsoumakas & Vlahavas, "Random k-labelsets", 2007), pruned to combinations that have enough
images (Read, 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.wording import counted

__all__ = ["find_combinations", "need_combinations", "number_combinations"]


def find_combinations(codes: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the combinations of labels that at least ``least`` rows ``(n, A)`` have, sorted.

    They are ``(C, A) int64``. Rows with an unknown label (below 0) count for none.
    """
    known = codes[(codes >= 0).all(axis=1)]
    values, counts = np.unique(known, axis=0, return_counts=True)
    return np.asarray(values[counts >= least], np.int64)


def need_combinations(codes: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the combinations, as `find_combinations` does.

    Raises
    ------
    UsageError
        When there are fewer than two.
    """
    found = find_combinations(codes, least)
    if len(found) < 2:
        raise UsageError(
            f"readout together: {counted(len(found), 'combination')} of labels in {least} or more "
            "images to train on: label more images, choose fewer --attributes, or choose another "
            "readout"
        )
    return found


def number_combinations(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of each row's combination of labels ``(n, A)``, ``(n,)``.

    Numbers ascend with the codes; rows with an unknown label (below 0) have -1.
    """
    numbers = np.full(len(codes), -1, np.int64)
    known = np.flatnonzero((codes >= 0).all(axis=1))
    if known.size:
        # numpy 2.0 gave the inverse another shape than the versions before and after it.
        numbers[known] = np.unique(codes[known], axis=0, return_inverse=True)[1].reshape(-1)
    return numbers
