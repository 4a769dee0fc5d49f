"""How long a network will take, from what it has to compute: counted, not run.

::

    ms = fixed + ms_per_gmac * multiply-accumulates / 1e9 + ms_per_megabyte * bytes / 1e6

The three numbers are those of one machine at one number of threads, and come from a few networks
that were timed there. Bytes are what the products read and write: weights, inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from boost_edge.models.fused import FusedEncoder, fold

__all__ = ["Accuracy", "Cost", "CostModel", "calibrate_costs", "check_costs", "count_cost"]

_GIGA, _MEGA = 1e9, 1e6
# More terms than this gain nothing from rounding; fewer are preferred where they fit as well.
_AS_GOOD = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one image asks of a machine: multiply-accumulates, and bytes read and written."""

    macs: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What this machine takes for it, at one number of threads; none of it is below zero."""

    fixed_ms: float
    ms_per_gmac: float
    ms_per_megabyte: float

    def predict(self, cost: Cost) -> float:
        """Return the milliseconds that one image should take."""
        return float(_terms(cost) @ self._rates())

    def _rates(self) -> NDArray[np.float64]:
        return np.array([self.fixed_ms, self.ms_per_gmac, self.ms_per_megabyte])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How well predictions agree with measurements of ``models`` models.

    ``ratio`` is the median of predicted / measured, ``lowest`` and ``highest`` the ends.
    ``rank_correlation`` is Spearman's, ``None`` below three models or where all are equal.
    """

    models: int
    ratio: float
    lowest: float
    highest: float
    rank_correlation: float | None


def count_cost(network: FusedEncoder) -> Cost:
    """Count what one image costs in a network as it is exported, without computing anything.

    Convolutions and matrix products count; what is done to their results value by value takes
    little besides.
    """
    size = network.backbone.image_size
    # Tensors on "meta" have shapes and no values.
    folded = fold(network).to("meta")
    image = torch.empty(1, size, size, 3, dtype=torch.uint8, device="meta")
    with torch.no_grad(), _Counter() as counter:
        folded(image)
    return Cost(macs=counter.macs, bytes=counter.bytes)


def calibrate_costs(costs: Sequence[Cost], milliseconds: Sequence[float]) -> CostModel:
    """Fit the rates of a machine to what a few networks took on it.

    Least squares of the relative errors, so that small networks count as much as large ones, with
    no rate below zero: a rate that would be is left out. At least one network is needed.
    """
    times = np.array(milliseconds, np.float64)
    terms = np.stack([_terms(cost) for cost in costs]) / times[:, None]
    best, least = np.zeros(terms.shape[1]), np.inf
    for count in range(1, terms.shape[1] + 1):
        for chosen in combinations(range(terms.shape[1]), count):
            columns = list(chosen)
            rates, *_ = np.linalg.lstsq(terms[:, columns], np.ones(len(times)), rcond=None)
            error = float(np.square(terms[:, columns] @ rates - 1).sum())
            if (rates >= 0).all() and error < least - _AS_GOOD:
                best, least = np.zeros(terms.shape[1]), error
                best[columns] = rates
    fixed, macs, moved = best.tolist()
    return CostModel(fixed_ms=fixed, ms_per_gmac=macs, ms_per_megabyte=moved)


def check_costs(predicted: Sequence[float], measured: Sequence[float]) -> Accuracy:
    """Compare predictions with measurements of the same models, at least one, all above zero."""
    before, after = np.array(predicted, np.float64), np.array(measured, np.float64)
    ratios = before / after
    return Accuracy(
        models=len(ratios),
        ratio=float(np.median(ratios)),
        lowest=float(ratios.min()),
        highest=float(ratios.max()),
        rank_correlation=_rank_correlation(before, after),
    )


def _terms(cost: Cost) -> NDArray[np.float64]:
    return np.array([1.0, cost.macs / _GIGA, cost.bytes / _MEGA])


def _rank_correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float | None:
    """Return Spearman's correlation: that of the ranks, equal values sharing theirs."""
    if len(left) < 3 or not np.ptp(left) or not np.ptp(right):
        return None
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return np.asarray((ends - (counts - 1) / 2)[place], np.float64)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up what the products inside it cost, by torch's own formulas."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count it where it is a product."""
        given = dict(kwargs or {})
        result = func(*args, **given)
        formulas = cast("Mapping[Any, Callable[..., int]]", flop_registry)
        formula = formulas.get(func.overloadpacket)
        if formula is not None:
            # Torch counts a multiplication and an addition as two.
            self.macs += int(formula(*args, **given, out_val=result)) // 2
            tensors = [each for each in (*args, result) if isinstance(each, torch.Tensor)]
            self.bytes += sum(each.numel() * each.element_size() for each in tensors)
        return result
