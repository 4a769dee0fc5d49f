"""What the commands print of gains: how far the seeds are apart stands beside the queries."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from boost_edge.cli.bench.gains import with_seeds

# The seams: a text is made from a result, and measuring one takes minutes. The package has
# commands of the modules' names.
TEXTS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    name: importlib.import_module(f"boost_edge.cli.bench.{name}")._text
    for name in ("choose", "compare", "curve", "honesty")
}


def gain(*by_seed: float) -> dict[str, Any]:
    """Return a gain from 1 to 3 over queries."""
    return {"mean": 2.0, "low": 1.0, "high": 3.0, "by_seed": list(by_seed)}


def test_a_column_for_seeds_where_there_are_several() -> None:
    """Three seeds have an interval, two are shown themselves, one has no column."""
    header, rows = with_seeds(["a"], [["x"], ["y"]], [None, gain(1.0, 2.0, 3.0)])
    assert header == ["a", "95% over seeds"]
    assert rows == [["x", ""], ["y", "-0.48 to +4.48"]]
    header, rows = with_seeds(["a"], [["y"]], [gain(1.0, 3.0)], "+.1f")
    assert (header, rows) == (["a", "by seed"], [["y", "+1.0, +3.0"]])
    assert with_seeds(["a"], [["y"]], [gain(2.0)]) == (["a"], [["y"]])
    assert with_seeds(["a"], [], []) == (["a"], [])


@pytest.fixture
def curve_result() -> dict[str, Any]:
    """Return a curve of three seeds, whose raw features pass the first baseline alone."""
    row = {"readout": "match", "map10": {"mean": 12.0}, "gain": gain(1.0, 2.0, 3.0)}
    passed = {"readout": "match", "labels": 250.0, "low": 200.0, "high": None}
    return {
        "backbone": "resnet18", "taps": ["layer3"], "recipe": "boost", "seeds": 3,
        "raw": {"mean": 10.0}, "rows": [{**row, "labels": 100}], "noise": [],
        "passes": [
            {**passed, "map10": level, "by_seed": [150.0, 260.0, None],
             "baseline": {"file": "vit.json", "row": "raw"}}
            for level in (9.0, 11.0)
        ],
    }  # fmt: skip


def test_a_curve_credits_no_label_for_raw_features(curve_result: dict[str, Any]) -> None:
    """Where raw features pass a baseline that is said; seeds stand beside the interval."""
    text = " ".join(" ".join(TEXTS["curve"](curve_result)).split())
    over = "(95% over queries: 200 to never; by seed: 150, 260, never)"
    first, second = (
        f"match passes vit.json:raw ({level}) at 250 labels {over}" for level in ("9.00", "11.00")
    )
    assert f"{first}; raw features pass it without a label {second}" in text
    assert text.endswith(second)
    assert "100 labels match 12.00 +2.00 +1.00 to +3.00 -0.48 to +4.48" in text


def test_honesty_shows_both_intervals() -> None:
    """The verdict stands before them."""
    rows = [
        {"test": "seen", "readout": "raw", "metric": "map10", "map10": {"mean": 10.0}},
        {"test": "seen", "readout": "match", "metric": "map10", "map10": {"mean": 12.0},
         "gain": gain(1.0, 2.0, 3.0)},
    ]  # fmt: skip
    result = {"backbone": "b", "taps": [], "recipe": "boost", "seeds": 3, "rows": rows}
    result["hurts"] = [{"test": "seen", "readout": "match"}]
    last = TEXTS["honesty"](result)[-1]
    assert " ".join(last.split()) == "seen match map10 12 +2 hurts +1 to +3 -0.484 to +4.48"


def test_choosing_shows_what_other_labels_would_give() -> None:
    """The gain, its interval over queries and that over drawings of labels."""
    shares = {"colour": {"mean": 0.5}}
    row = {"labels": 100, "map10": {"mean": 12.0}, "agreement10": shares}
    result = {
        "backbone": "b", "taps": [], "recipe": "boost", "readout": "match", "seeds": 3,
        "test": 9, "pool": 99, "images": 108, "doubts_of": None, "attributes": ["colour"],
        "raw": row,
        "rows": [{**row, "way": "chance"}, {**row, "way": "chosen", "gain": gain(1.0, 2.0, 3.0)}],
    }  # fmt: skip
    *_, chance, chosen = TEXTS["choose"](result)
    assert chance.split() == ["100", "chance", "12.00", "50.0%"]
    assert " ".join(chosen.split()) == (
        "100 chosen 12.00 50.0% +2.00 +1.00 to +3.00 -0.48 to +4.48"
    )


def test_a_comparison_shows_the_change_of_single_seeds() -> None:
    """Where no row has seeds there is no column for them."""
    row = {"name": "r", "measure": "map10", "old": 10.0, "new": 9.0, "change": -1.0}
    row |= {"limit": -0.5, "crossed": True}
    assert TEXTS["compare"]({"rows": [row]})[-1].split()[-1] == "CROSSED"
    seeds = {**row, "change_by_seed": [-2.5, None, 0.5]}
    header, first, second = TEXTS["compare"]({"rows": [row, seeds]})
    assert header.endswith("of single seeds")
    assert first.endswith("CROSSED")
    assert second.endswith("CROSSED  -2.50 to +0.50")
