"""Costs: plain arithmetic, checked by counting up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.bench.cost import break_even, measure_cost, usd_per_million
from boost_edge.bench.prices import own_price
from boost_edge.runtime.errors import UsageError


def latency_of(**queries_ms: float) -> dict[str, Any]:
    """Return a result of bench latency: systems by mean time of a query, ``b_`` boosted."""
    rows: list[dict[str, Any]] = []
    for name, ms in queries_ms.items():
        for threads in (1, 2):
            row = {"system": name, "threads": threads, "joules_per_image": None}
            rows += [
                {**row, "stage": "infer", "batch": 1, "mean_ms": 1e9, "images_per_second": 1e-6},
                {**row, "stage": "query", "batch": 1, "mean_ms": ms * 2 / threads},
            ]
        rows.append({**row, "stage": "encode-files", "batch": 8, "images_per_second": 2e3 / ms})
    return {
        "kind": "latency",
        "date": "2026-11-24",
        "machine": {"processor": "p", "cores": 2},
        "energy": "not exposed",
        "protocol": {"threads": [1, 2]},
        "systems": [
            {"system": name, "readout": "attributes" if name.startswith("b_") else "raw"}
            for name in queries_ms
        ],
        "rows": rows,
    }


def test_dollars_of_a_million() -> None:
    """Ten queries a second are 36,000 an hour: a million takes 27.8 hours at a dollar each."""
    assert usd_per_million(10.0, 1.0) == pytest.approx(1e6 / 36_000)


@given(st.integers(0, 50_000), st.integers(1, 300), st.integers(1, 300))
def test_break_even_is_where_the_sums_meet(once: int, ours: int, theirs: int) -> None:
    """Counting queries up one by one, the break-even is the first at which we are no dearer."""
    found = break_even(once, ours, theirs)
    if ours >= theirs:
        assert found is None
        return
    assert found is not None
    count = 0
    while once + count * ours > count * theirs:
        count += 1
    assert count - 1 < found <= count or (count == 0 and found == 0)


def test_rows() -> None:
    """Costs use the most threads; a ratio is against ViT; only boosted systems pay for labels."""
    result = measure_cost(
        latency_of(b_small=50.0, vit_b_16=500.0, resnet18=40.0),
        price=own_price(0.36),
        label_usd=0.1,
    )
    assert (result["kind"], result["against"], result["threads"]) == ("cost", "vit_b_16", 2)
    ours, vit, raw = result["rows"]
    assert ours["queries_per_second"] == pytest.approx(20.0)
    assert ours["usd_per_million_queries"] == pytest.approx(5.0)
    assert vit["usd_per_million_queries"] == pytest.approx(50.0)
    assert ours["usd_per_million_images"] == pytest.approx(2.5)
    assert ours["times_cheaper_queries"] == pytest.approx(10.0)
    assert vit["times_cheaper_queries"] == 1.0
    assert ours["labelling_usd"] == pytest.approx(300.0)
    # 300 dollars at 45 dollars saved in a million queries.
    assert ours["break_even_queries"] == pytest.approx(300 / 45 * 1e6)
    assert (raw["labelling_usd"], raw["break_even_queries"]) == (0.0, None)
    assert result["measured_on"] == {"processor": "p", "cores": 2}


@given(st.floats(0.01, 50.0), st.floats(1.0, 900.0), st.floats(1.0, 900.0))
def test_ratios_do_not_depend_on_the_price(price: float, ours: float, theirs: float) -> None:
    """At another price costs scale, ratios stay, and the break-even moves the other way."""
    latency = latency_of(b_small=ours, vit_b_16=theirs)
    one, other = (measure_cost(latency, price=own_price(each)) for each in (1.0, price))
    for a, b in zip(one["rows"], other["rows"], strict=True):
        assert b["usd_per_million_queries"] == pytest.approx(price * a["usd_per_million_queries"])
        assert b["times_cheaper_queries"] == pytest.approx(a["times_cheaper_queries"])
        assert (a["break_even_queries"] is None) == (b["break_even_queries"] is None)
        if a["break_even_queries"] is not None and ours < 0.99 * theirs:
            assert b["break_even_queries"] == pytest.approx(a["break_even_queries"] / price)


def test_energy_is_counted_where_it_is_known() -> None:
    """Joules of an image become kilowatt-hours of a million; what was not measured is null."""
    latency = latency_of(b_small=50.0, vit_b_16=500.0)
    latency["rows"] = [row for row in latency["rows"] if row["stage"] != "encode-files"]
    for row in latency["rows"]:
        row["joules_per_image"] = 3.6
    ours, _ = measure_cost(latency, price=own_price(1.0))["rows"]
    assert ours["kwh_per_million_queries"] == pytest.approx(1.0)
    assert ours["kwh_per_million_images"] is None
    assert ours["usd_per_million_images"] is None
    assert ours["break_even_images"] is None


def test_what_is_compared_with() -> None:
    """ViT-B/16, else the first without a head, else what is asked for; nothing else."""
    latency = latency_of(b_small=50.0, raw_a=60.0, raw_b=70.0)
    assert measure_cost(latency, price=own_price(1.0))["against"] == "raw_a"
    assert measure_cost(latency, price=own_price(1.0), against="raw_b")["against"] == "raw_b"
    with pytest.raises(UsageError, match="'vit' was not measured: there are b_small, raw_a"):
        measure_cost(latency, price=own_price(1.0), against="vit")
    with pytest.raises(UsageError, match="--against"):
        measure_cost(latency_of(b_small=50.0), price=own_price(1.0))


def test_nonsense_is_refused() -> None:
    """Labels that cost less than nothing, and results without queries, are refused."""
    latency = latency_of(b_small=50.0, vit_b_16=500.0)
    for label_usd, images in ((-1.0, 1), (float("nan"), 1), (1.0, -1)):
        with pytest.raises(UsageError):
            measure_cost(latency, price=own_price(1.0), label_usd=label_usd, labelled_images=images)
    latency["rows"] = [row for row in latency["rows"] if row["stage"] != "query"]
    with pytest.raises(UsageError, match="no stage query with 2 threads"):
        measure_cost(latency, price=own_price(1.0))
