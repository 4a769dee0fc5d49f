"""How well a model file labels images, attribute by attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.labelling import split_posteriors
from boost_edge.runtime.manifest import Attribute

if TYPE_CHECKING:
    from boost_edge.export.labels import LabelTable

__all__ = ["SHOWN_FROM", "judge_predictions", "shown_shares"]

SHOWN_FROM = 0.5
"""The probability from which on a prediction is worth showing."""

# A value that the model does not know: no prediction of it can be right.
_NOT_KNOWN = -2


def judge_predictions(
    schema: Sequence[Attribute],
    posteriors: NDArray[np.float32],
    table: LabelTable,
    *,
    test: NDArray[np.int64],
    train: NDArray[np.int64],
) -> dict[str, dict[str, Any]]:
    """Return the figures of each attribute that the table and the model both have, by its name.

    ``images`` have the label; ``accuracy`` is top-1, ``majority`` that of always answering the
    commonest value of the training part (``None`` where it has none), ``calibration_error`` the
    expected calibration error; ``shown`` is the share of images whose likeliest value has a
    probability of `SHOWN_FROM` at least, ``shown_accuracy`` the accuracy among them (``None``
    where there are none). ``not_known`` images have a value that the model does not know, which
    counts as wrong. Attributes that no image is labelled with are left out.

    Parameters
    ----------
    schema
        The model's attributes, in the order of its output.
    posteriors
        ``(len(test), sum K_a) float32``, as `boost_edge.runtime.encoder.Encoding` has them.
    table
        What is true.
    test, train
        Its rows: those judged, and those that the commonest value is counted in.
    """
    from boost_edge.export.calibration_error import accuracy, expected_calibration_error
    from boost_edge.export.temperature import UNKNOWN

    predicted = {
        attribute.name: (attribute, p)
        for attribute, p in zip(schema, split_posteriors(schema, posteriors), strict=True)
    }
    judged: dict[str, dict[str, Any]] = {}
    for column, attribute in enumerate(table.attributes):
        codes = table.codes[test, column]
        labelled = codes >= 0
        if attribute.name not in predicted or not labelled.any():
            continue
        model, said = predicted[attribute.name]
        p = said.astype(np.float64)
        place = {value: number for number, value in enumerate(model.values)}
        places = np.array([place.get(value, _NOT_KNOWN) for value in attribute.values])
        truth = np.where(labelled, places[codes], UNKNOWN)
        shown = labelled & (p.max(axis=1) >= SHOWN_FROM)
        learnt = table.codes[train, column]
        learnt = learnt[learnt >= 0]
        commonest = np.bincount(learnt).argmax() if learnt.size else None
        judged[attribute.name] = {
            "images": int(labelled.sum()),
            "not_known": int((truth == _NOT_KNOWN).sum()),
            "accuracy": accuracy(p, truth),
            "majority": None if commonest is None else float((codes[labelled] == commonest).mean()),
            "calibration_error": expected_calibration_error(p, truth),
            "shown": float(shown.sum() / labelled.sum()),
            "shown_accuracy": accuracy(p[shown], truth[shown]) if shown.any() else None,
        }
    return judged


def shown_shares(schema: Sequence[Attribute], posteriors: NDArray[np.float32]) -> dict[str, float]:
    """Return each attribute's share of images that are said to have a value, right or wrong.

    Those are the images whose likeliest value has a probability of `SHOWN_FROM` at least.

    Parameters
    ----------
    schema, posteriors
        As for `judge_predictions`; there is at least one image.
    """
    return {
        attribute.name: float((p.max(axis=1) >= SHOWN_FROM).mean())
        for attribute, p in zip(schema, split_posteriors(schema, posteriors), strict=True)
    }
