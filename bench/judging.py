"""How good one set of embeddings is on one test part: every metric, query by query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.metrics import (
    agreement_at_k,
    average_precision_at_k,
    nearest_others,
    rank_others,
)
from boost_edge.bench.ranking import score_rankings

if TYPE_CHECKING:
    from boost_edge.models.head import BoostHead

__all__ = ["Scores", "judge_embeddings", "judge_posteriors"]

Scores = Mapping[str, NDArray[np.float64]]
"""A metric's values by its name: ``(Q,)``, one for each query, or ``(1,)`` for a whole part."""


def judge_embeddings(
    embeddings: NDArray[np.float32],
    relevance: NDArray[np.floating[Any]],
    codes: NDArray[np.int64] | None = None,
    attributes: tuple[str, ...] = (),
    *,
    ranking: bool = True,
) -> dict[str, NDArray[np.float64]]:
    """Return ``map10`` (the paper's, times 100) and, if asked for, the other metrics.

    ``ranking`` adds `boost_edge.bench.ranking.RANKING_METRICS`; ``attributes`` adds
    ``agreement.<name>`` for each column of ``codes``, the share of the ten nearest that agree.
    """
    nearest = nearest_others(embeddings, k=len(embeddings) if ranking else 10)
    scores = {"map10": 100 * average_precision_at_k(rank_others(relevance), nearest[:, :10])}
    if ranking:
        scores |= score_rankings(relevance, nearest)
    for column, name in enumerate(attributes):
        if codes is not None:
            own = codes[:, column]
            scores[f"agreement.{name}"] = agreement_at_k(own, own[nearest[:, :10]])
    scores["dimensions"] = np.array([float(embeddings.shape[1])])
    return scores


def judge_posteriors(
    head: BoostHead,
    features: NDArray[np.float32],
    codes: NDArray[np.int64],
    attributes: tuple[str, ...],
) -> dict[str, NDArray[np.float64]]:
    """Return ``accuracy.<name>`` and ``calibration_error.<name>`` of each attribute, ``(1,)``.

    Top-1 accuracy and expected calibration error (15 bins) over the rows whose label is known;
    NaN where there is none.
    """
    from boost_edge.export.calibrate import posteriors_of
    from boost_edge.export.calibration_error import accuracy, expected_calibration_error

    scores: dict[str, NDArray[np.float64]] = {}
    for column, posteriors in enumerate(posteriors_of(head, features)):
        truth = codes[:, column]
        known = bool((truth >= 0).any())
        right = accuracy(posteriors, truth) if known else np.nan
        error = expected_calibration_error(posteriors, truth) if known else np.nan
        scores[f"accuracy.{attributes[column]}"] = np.array([right])
        scores[f"calibration_error.{attributes[column]}"] = np.array([error])
    return scores
