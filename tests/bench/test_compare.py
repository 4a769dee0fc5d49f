"""Comparison of results: what is worse is found, what does not compare is refused."""

from __future__ import annotations

import copy
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.bench.compare import KINDS, Limits, compare_results
from boost_edge.bench.results import read_result
from boost_edge.runtime.errors import UsageError

COMMITTED = Path(__file__).resolve().parents[2] / "bench" / "results"
MACHINE = {"processor": "one", "cores": 2}


def latency(*times: float, **changes: Any) -> dict[str, Any]:
    """Return a result of bench latency with a row for each median time."""
    row = {"system": "s", "runtime": "r", "threads": 1, "stage": "infer"}
    return {
        "kind": "latency",
        "machine": MACHINE,
        "protocol": {"seed": 0},
        "rows": [{**row, "batch": batch, "p50_ms": ms} for batch, ms in enumerate(times)],
        "systems": [{"system": "s", "model_bytes": 100, "peak_memory_bytes": {"query": 1000}}],
        **changes,
    }


def quality(*scores: float, **changes: Any) -> dict[str, Any]:
    """Return a result of bench quality with a row for each mAP@10."""
    return {
        "kind": "quality",
        "machine": MACHINE,
        "labels_sha256": "aa",
        "attributes": ["a"],
        "protocol": {"groups": 100},
        "seeds": 5,
        "rows": [
            {"resize": "crop", "recipe": str(number), "readout": "raw", "map10": score}
            for number, score in enumerate(scores)
        ],
        **changes,
    }


def crossed(old: dict[str, Any], new: dict[str, Any], **limits: float) -> list[bool]:
    """Return which rows are over their limit."""
    result = compare_results(old, new, limits=Limits(**limits))
    assert result["crossed"] == sum(row["crossed"] for row in result["rows"])
    return [row["crossed"] for row in result["rows"]]


def test_a_result_equals_itself() -> None:
    """Nothing is crossed between a result and itself, at the tightest limits."""
    tight = {"slowdown": 1.0, "growth": 1.0, "map_loss": 0.0}
    for each in (latency(1.0, 2.0), quality(10.0, 30.0)):
        assert not any(crossed(each, copy.deepcopy(each), **tight))


@given(
    st.lists(st.tuples(st.floats(0.5, 100.0), st.floats(0.5, 100.0)), min_size=1, max_size=8),
    st.floats(1.0, 2.0),
)
def test_slower_rows_are_found(pairs: list[tuple[float, float]], slowdown: float) -> None:
    """Exactly the rows that are slower by more than the factor, and by more than the floor."""
    old, new = (latency(*(pair[side] for pair in pairs)) for side in (0, 1))
    found = crossed(old, new, slowdown=slowdown, floor_ms=0.2)
    expected = [b > slowdown * a and b - a >= 0.2 for a, b in pairs]
    assert found[: len(pairs)] == expected
    assert found[len(pairs) :] == [False, False]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=8),
    st.floats(0.0, 5.0),
)
def test_worse_quality_is_found(pairs: list[tuple[float, float]], loss: float) -> None:
    """Exactly the rows that lost more points than allowed."""
    old, new = (quality(*(pair[side] for pair in pairs)) for side in (0, 1))
    assert crossed(old, new, map_loss=loss) == [-(b - a) > loss for a, b in pairs]


def test_agreement_is_in_percentage_points() -> None:
    """A loss of 0.012 is 1.2 points; a gain is never a loss; equal readouts are told apart."""
    protocol = {"labels_sha256": "aa", "attribute": "c", "queries": 8, "hits": 10, "seed": 0}

    def agreement(*shares: float) -> dict[str, Any]:
        rows = [{"readout": "raw", "agreement": share} for share in shares]
        return {"kind": "agreement", "machine": MACHINE, **protocol, "rows": rows}

    old, new = agreement(0.5, 0.5), agreement(0.488, 0.9)
    assert crossed(old, new, agreement_loss=1.0) == [True, False]
    assert crossed(old, new, agreement_loss=1.3) == [False, False]
    names = [row["name"] for row in compare_results(old, new, limits=Limits())["rows"]]
    assert names == ["raw", "raw #2"]


def search(ms: float, recall: float, *, filtered: float | None = None) -> dict[str, Any]:
    """Return a result of bench search of one engine, with a filter or without any."""
    engine = {
        "engine": "ours",
        "build": {"bytes": 100},
        "open": {"peak_bytes": 1000},
        "search": {"width": 64, "recall": recall, "p50_ms": ms},
    }
    row = {"label": "any10", "recall": filtered, "p50_ms": 1.0}
    return {
        "kind": "search",
        "machine": MACHINE,
        "data": {"kind": "clustered", "rows": 9, "dimensions": 4, "seed": 0},
        "queries": 8,
        "k": 10,
        "target_recall": 0.99,
        "links": 16,
        "view_while_building": 128,
        "engines": [engine],
        **({} if filtered is None else {"filters": [row]}),
    }


def test_a_search_is_held_to_its_time_recall_and_size() -> None:
    """Each engine and each filter by its own limit; a loss of 0.012 in recall is 1.2 points."""
    old = search(1.0, 0.99, filtered=1.0)
    assert crossed(old, search(1.3, 0.978, filtered=0.99)) == [True, True, *[False] * 3, True]
    assert (
        crossed(old, search(1.3, 0.978, filtered=0.99), slowdown=1.4, recall_loss=1.3)
        == [False] * 6
    )
    assert crossed(search(1.0, 0.99), search(1.0, 0.99)) == [False] * 4
    larger = search(1.0, 0.99)
    larger["engines"][0]["build"]["bytes"] = 120
    assert crossed(search(1.0, 0.99), larger) == [False, False, True, False]
    with pytest.raises(UsageError, match="differ in queries"):
        compare_results(old, {**old, "queries": 9}, limits=Limits())


def test_growth_is_found() -> None:
    """A larger model file and more memory are held to their own factor."""
    old = latency(1.0)
    new = copy.deepcopy(old)
    new["systems"][0]["model_bytes"] = 121
    new["systems"][0]["peak_memory_bytes"]["query"] = 1050
    assert crossed(old, new, growth=1.2) == [False, True, False]
    assert crossed(old, new, growth=1.04) == [False, True, True]


def test_what_is_gone_has_crossed_and_what_is_new_has_not() -> None:
    """A row that can no longer be measured fails the gate; a new one does not."""
    old, new = latency(1.0, 2.0), latency(1.0, 2.0, 3.0)
    assert crossed(old, new) == [False, False, False, False, False]
    assert crossed(new, old) == [False, False, True, False, False]
    new["rows"][1] = {key: new["rows"][1][key] for key in new["rows"][1] if key != "p50_ms"}
    new["rows"][1]["unavailable"] = "gone"
    found = compare_results(old, new, limits=Limits())
    assert [row["crossed"] for row in found["rows"]] == [False, True, False, False, False]
    assert (found["rows"][1]["old"], found["rows"][1]["new"]) == (2.0, None)


def test_different_things_do_not_compare() -> None:
    """Other kinds, protocols and machines, unknown kinds and strangers are refused in one line."""
    one = latency(1.0)
    other = latency(1.0, machine={"processor": "two", "cores": 2})
    for old, new, said in (
        (one, quality(1.0), "bench latency and one of bench quality"),
        (one, latency(1.0, protocol={"seed": 1}), "differ in protocol"),
        (one, other, "different machines"),
        (quality(1.0), quality(1.0, labels_sha256="bb"), "differ in labels_sha256"),
        (quality(1.0), quality(1.0, seeds=4), "differ in seeds"),
        ({"kind": "novel"}, {"kind": "novel"}, "kind novel cannot be compared"),
        (latency(systems=[]), latency(systems=[]), "no row in common"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            compare_results(old, new, limits=Limits())
        assert "\n" not in str(caught.value)
    assert compare_results(one, other, limits=Limits(), any_machine=True)["crossed"] == 0
    measured = {"latency", "cost", "quality", "models", "agreement", "search", "regression"}
    assert set(KINDS) == measured


def test_a_shipped_model_that_got_worse_is_found() -> None:
    """Model files are compared by name, on the same queries: what they find, and their size."""
    old = read_result(COMMITTED / "models.json", kind="models")
    assert not any(crossed(old, copy.deepcopy(old), map_loss=0.0, growth=1.0))
    new = copy.deepcopy(old)
    worse = next(row for row in new["rows"] if row["model"] == "fashion.onnx")
    worse["map10"]["mean"] -= 0.6
    new["rows"][0]["bytes"] *= 2
    found = compare_results(old, new, limits=Limits())["rows"]
    assert [(row["name"], row["measure"]) for row in found if row["crossed"]] == [
        (old["rows"][0]["model"], "bytes"),
        ("fashion.onnx", "map10.mean"),
    ]
    with pytest.raises(UsageError, match="differ in samples"):
        compare_results(old, {**old, "samples": []}, limits=Limits())


def test_machines_of_one_name_are_told_apart_by_their_instructions() -> None:
    """Equal names and cores are no equal machines where one has AVX-512, or does not say."""
    plain, wide, silent = (
        latency(1.0, machine={**MACHINE, **more})
        for more in (
            {"instructions": ["avx2", "fma"]},
            {"instructions": ["avx2", "fma", "avx512f"]},
            {},
        )
    )
    for old, new in ((plain, wide), (wide, plain), (plain, silent)):
        with pytest.raises(UsageError, match="different machines") as caught:
            compare_results(old, new, limits=Limits())
        assert "one, 2 cores, avx2 fma" in str(caught.value)
        assert compare_results(old, new, limits=Limits(), any_machine=True)["crossed"] == 0
    for each in (plain, wide, silent):
        assert not any(crossed(each, copy.deepcopy(each)))


def test_a_change_is_told_by_seed_where_both_results_have_seeds() -> None:
    """It shows whether a loss is that of all seeds; nothing is told of one seed, or of times."""

    def with_seeds(*by_seed: float) -> dict[str, Any]:
        made = quality(statistics.mean(by_seed))
        made["rows"][0]["map10_by_seed"] = list(by_seed)
        return made

    [row] = compare_results(with_seeds(9, 11), with_seeds(8, 13.5), limits=Limits())["rows"]
    assert row["change"] == pytest.approx(0.75)
    assert row["change_by_seed"] == [-1, 2.5]
    for old, new in (
        (with_seeds(9), with_seeds(8)),
        (with_seeds(9, 11), quality(10.0)),
        (latency(1.0), latency(1.0)),
    ):
        for row in compare_results(old, new, limits=Limits())["rows"]:
            assert "change_by_seed" not in row


def test_quality_compares_across_machines() -> None:
    """Where an image was ranked does not matter."""
    other = quality(1.0, machine={"processor": "two", "cores": 64})
    assert crossed(quality(1.0), other) == [False]


@pytest.mark.parametrize(
    "limits",
    [
        {"slowdown": 0.9},
        {"growth": 0.0},
        {"map_loss": -1.0},
        {"recall_loss": -1.0},
        {"floor_ms": float("nan")},
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, float]) -> None:
    """A factor below 1 and a loss below 0 are refused."""
    with pytest.raises(UsageError):
        Limits(**limits)
