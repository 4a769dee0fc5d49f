"""Predictions that come back from JSON: whole and sound, or refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.predictions import predictions_of, values_of

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)
)
RECORDS = st.one_of(
    ANYTHING,
    st.lists(ANYTHING, max_size=2),
    st.dictionaries(st.sampled_from(["value", "p", "q"]), ANYTHING),
    st.fixed_dictionaries({"value": st.text(max_size=3), "p": st.floats(0, 1) | st.integers()}),
)


@given(st.dictionaries(st.text(max_size=3), RECORDS, max_size=3))
def test_values_are_those_of_the_predictions(raw: dict[str, object]) -> None:
    """Who wants the values alone gets the same ones, and is refused what the other is refused."""
    try:
        predicted = predictions_of(raw)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            values_of(raw)
        return
    assert values_of(raw) == {name: each.value for name, each in predicted.items()}


def test_predictions_are_read() -> None:
    """A value and a probability, which may be written as a whole number, make a prediction."""
    raw = {"colour": {"value": "red", "p": 1}, "type": {"p": 0.5, "value": "Shirt"}}
    assert predictions_of(raw) == {
        "colour": Prediction(value="red", p=1.0),
        "type": Prediction(value="Shirt", p=0.5),
    }
    assert values_of(raw) == {"colour": "red", "type": "Shirt"}
