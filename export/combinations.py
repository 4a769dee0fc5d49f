"""All labels of an image together as one class: what the readout ``together`` learns.

Predicting each attribute by itself forgets which values go together; a class for each combination
does not. This is the label powerset of multi-label learning (Tsoumakas & Vlahavas, "Random
k-labelsets", 2007), pruned to the combinations that have enough images (Read, 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.temperature import UNKNOWN

__all__ = ["Combinations", "find_combinations", "number_combinations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """The combinations that are classes.

    Attributes
    ----------
    values
        ``(C, A) int64``, the codes of each combination's labels, sorted.
    others
        Whether images of other combinations are one more class, the last. To be alike in that
        says nothing, so that no readout shows it.
    """

    values: NDArray[np.int64]
    others: bool

    @property
    def classes(self) -> int:
        """Return how many classes there are, the one of all others included."""
        return len(self.values) + self.others

    def code(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each row ``(n, A)`` as ``(n, 1) int64``.

        It is -1 where a label is unknown, or where there is no class for other combinations.
        """
        place = {tuple(row): index for index, row in enumerate(self.values.tolist())}
        other = len(self.values) if self.others else UNKNOWN
        found = [
            place.get(tuple(row), other) if min(row) >= 0 else UNKNOWN for row in codes.tolist()
        ]
        return np.array(found, np.int64).reshape(-1, 1)


def find_combinations(codes: NDArray[np.int64], least: int) -> Combinations:
    """Return the combinations of labels that at least ``least`` rows ``(n, A)`` have.

    Rows with an unknown label (below 0) count for none. The class of all others is there where
    it has as many rows.
    """
    known = codes[(codes >= 0).all(axis=1)]
    values, counts = np.unique(known, axis=0, return_counts=True)
    rest = int(counts[counts < least].sum())
    return Combinations(values=values[counts >= least], others=rest >= least)


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
