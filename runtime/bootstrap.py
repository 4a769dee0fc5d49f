"""How certain a mean over queries is, and a gain on the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError

__all__ = ["Interval", "bootstrap_mean", "paired_bootstrap"]

_DRAWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean, and the bootstrap interval from ``low`` to ``high`` around it.

    ``confidence`` is the interval's nominal coverage in (0, 1), ``resamples`` how many resamples
    it comes from, ``queries`` how many values the mean is of.
    """

    mean: float
    low: float
    high: float
    confidence: float
    resamples: int
    queries: int


def paired_bootstrap(
    baseline: NDArray[np.float64],
    system: NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
    clusters: NDArray[np.int64] | None = None,
) -> Interval:
    """Return the mean gain of a system over a baseline on the same queries, with its interval.

    It is above 0 with confidence when ``low`` is. Parameters, method and errors are those of
    ``bootstrap_mean`` on ``system - baseline``, both (Q,) with one value for each query.
    """
    if baseline.shape != system.shape:
        raise UsageError(
            f"values of {baseline.shape} and {system.shape} queries given: a pair for each needed"
        )
    return bootstrap_mean(
        system - baseline,
        seed=seed,
        resamples=resamples,
        confidence=confidence,
        clusters=clusters,
    )


def bootstrap_mean(
    values: NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
    clusters: NDArray[np.int64] | None = None,
) -> Interval:
    """Return the mean of one value for each query, with its percentile bootstrap interval.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Parameters
    ----------
    values
        (Q,) float64, finite.
    seed
        Of the resampling; the same seed gives the same interval.
    resamples
        How many times Q queries are drawn with replacement.
    confidence
        The nominal coverage, in (0, 1).
    clusters
        (Q,) which values belong together, such as those of one image in several samples: they are
        drawn together, as many clusters as there are. ``None``: every value alone.

    Raises
    ------
    UsageError
        When there is no value or one is not finite, or a setting is out of its range.
    """
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise UsageError("a bootstrap needs a list of at least one value, all finite")
    if resamples < 1 or not 0 < confidence < 1:
        raise UsageError(f"{resamples} resamples at confidence {confidence}: from 1, and in (0, 1)")
    if clusters is not None and clusters.shape != values.shape:
        raise UsageError(f"{values.shape} values are in {clusters.shape} clusters: one for each")
    number = np.arange(len(values))
    if clusters is not None:
        number = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    sums, counts = np.bincount(number, weights=values), np.bincount(number)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    # The numbers drawn do not depend on how many rows are drawn at once.
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        block = means[start : start + _DRAWS_AT_ONCE]
        chosen = rng.integers(0, len(sums), (len(block), len(sums)))
        drawn = len(values) if clusters is None else counts[chosen].sum(axis=1)
        block[:] = sums[chosen].sum(axis=1) / drawn
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        confidence=confidence,
        resamples=resamples,
        queries=len(values),
    )
