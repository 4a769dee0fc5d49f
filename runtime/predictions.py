"""What the model says about images: predictions by the names of attributes, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.records import NOT_TEXT, is_text

__all__ = ["flaw_of_predictions", "predictions_of", "values_of"]

_KEYS = frozenset({"value", "p"})


def predictions_of(raw: Any) -> dict[str, Prediction]:
    """Return predictions that were decoded from JSON, whose probabilities may be any number.

    Raises
    ------
    ValueError
        When they are none: a key is missing or unknown, or a value is of another type.
    """
    if not isinstance(raw, dict):
        raise ValueError("predicted is not an object")
    predicted = cast("dict[str, Any]", raw)
    return {name: _prediction(name, each) for name, each in predicted.items()}


def values_of(predicted: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of predictions that were decoded from JSON, by attribute.

    Raises
    ------
    ValueError
        As `predictions_of`.
    """
    return {
        name: usual["value"] if (usual := _as_usual(each)) else _prediction(name, each).value
        for name, each in predicted.items()
    }


def flaw_of_predictions(predicted: Mapping[str, Prediction]) -> str:
    """Return what is wrong with the predictions of one image; nothing where all is well."""
    for name, each in predicted.items():
        # A NaN is in no range.
        if not 0 <= each.p <= 1:
            return f"the probability of its predicted {name} is {each.p!r}"
        if not (is_text(name) and is_text(each.value)):
            return f"its predicted {name!r} is {each.value!r}: it holds {NOT_TEXT}"
    return ""


def _as_usual(raw: Any) -> dict[str, Any] | None:
    """Return what is a prediction at first sight: nearly all are, and rows come by the million."""
    if type(raw) is not dict:
        return None
    record = cast("dict[str, Any]", raw)
    sound = type(record.get("value")) is str and type(record.get("p")) is float
    return record if sound and len(record) == len(_KEYS) else None


def _prediction(name: str, raw: Any) -> Prediction:
    if usual := _as_usual(raw):
        return Prediction(value=usual["value"], p=usual["p"])
    if not isinstance(raw, dict):
        raise ValueError(f"predicted.{name} is not an object")
    record = cast("dict[str, Any]", raw)
    value, p = record.get("value"), record.get("p")
    if wrong := sorted(record.keys() ^ _KEYS):
        raise ValueError(f"predicted.{name} has missing or unknown keys: {', '.join(wrong)}")
    if not isinstance(value, str):
        raise ValueError(f"predicted.{name}.value is {value!r}")
    if type(p) is not float and type(p) is not int:
        raise ValueError(f"predicted.{name}.p is {p!r}")
    try:
        return Prediction(value=value, p=float(p))
    except OverflowError as error:
        raise ValueError(f"predicted.{name}.p is too large") from error
