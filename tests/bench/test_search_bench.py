"""``bench search``: its data, its exact answers, and a whole tiny run with the real libraries."""

from __future__ import annotations

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drawn_model import DRAWN

from boost_edge.bench import search_data
from boost_edge.bench.search import WIDTHS, measure_search
from boost_edge.bench.search_data import (
    KINDS,
    SHARES,
    DataKind,
    DataPlan,
    buckets_of,
    draw_queries,
    label_names,
    load_vectors,
    make_vectors,
)
from boost_edge.bench.search_plan import ENGINES, SearchPlan, keep_plan, read_plan
from boost_edge.bench.search_process import built, opened
from boost_edge.bench.search_truth import exact_bars, recall_of
from boost_edge.runtime.errors import MissingExtraError, UsageError
from boost_edge.runtime.progress import silent

ROWS, WIDTH = 2000, 32
PLAN = DataPlan(rows=ROWS, dimensions=WIDTH, seed=3, kind="clustered")
PACKAGES = {"hnswlib": "hnswlib", "faiss": "faiss"}


def there(name: str) -> Any:
    """Return an engine's name as a parameter that is skipped where its package is absent."""
    package = PACKAGES.get(name)
    absent = package is not None and find_spec(package) is None
    reason = f"{package} is not installed: pip install 'boost-edge[bench]'"
    return pytest.param(name, marks=pytest.mark.skipif(absent, reason=reason))


def plan_of(**changes: Any) -> SearchPlan:
    """Return a tiny plan."""
    plan = SearchPlan(data=PLAN, model=str(DRAWN), threads=2)
    return dataclasses.replace(plan, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_drawn_once_and_alike(
    tmp_path: Path, kind: DataKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same plan gives the same unit vectors; what is there is not drawn again."""
    plan = dataclasses.replace(PLAN, kind=kind)
    monkeypatch.setattr(search_data, "_BLOCK", 700)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        make_vectors(plan, folder, silent)
    one, two = (np.array(load_vectors(plan, folder)) for folder in folders)
    assert one.tobytes() == two.tobytes()
    assert one.shape == (ROWS, WIDTH)
    assert one.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert len(np.unique(one, axis=0)) == ROWS
    written = (folders[0] / "vectors.f32").stat().st_mtime_ns
    make_vectors(plan, folders[0], silent)
    assert (folders[0] / "vectors.f32").stat().st_mtime_ns == written
    other = dataclasses.replace(plan, seed=4)
    assert (draw_queries(other, 5) != draw_queries(plan, 5)).any(axis=1).all()
    assert (draw_queries(plan, 5) == draw_queries(plan, 5)).all()


def test_neighbours_are_of_one_cluster(tmp_path: Path) -> None:
    """The labels that follow clusters agree among neighbours; the others do not."""
    make_vectors(PLAN, tmp_path, silent)
    vectors = load_vectors(PLAN, tmp_path)
    nearest = np.argsort(-(vectors[:200] @ vectors.T), axis=1)[:, 1:6]
    buckets = buckets_of(PLAN)
    assert set(buckets) == set(label_names())

    def agreeing(name: str) -> float:
        values = buckets[name]
        return np.count_nonzero(values[nearest] == values[:200, None]) / nearest.size

    assert agreeing("near10000") > 0.9
    assert agreeing("any10") < 0.2
    for share in SHARES:
        assert set(np.unique(buckets[f"any{share}"])) <= set(range(share))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 60),
    k=st.integers(1, 12),
    some=st.booleans(),
)
def test_exact_bars_are_the_naive_ones(seed: int, rows: int, k: int, some: bool) -> None:
    """The k-th best score of each query, whatever the blocks, among all rows or some."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, 4)).astype(np.float32)
    queries = random.normal(size=(3, 4)).astype(np.float32)
    chosen = np.flatnonzero(random.random(rows) < 0.5) if some else np.arange(rows)
    if not len(chosen):
        chosen = np.array([0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boost_edge.bench.search_truth._BLOCK", 7)
        bars = exact_bars(vectors, queries, k, rows=chosen if some else None)
    for query, bar in zip(queries, bars.tolist(), strict=True):
        scores = sorted((float(vectors[row] @ query) for row in chosen), reverse=True)
        assert bar == pytest.approx(scores[: min(k, len(chosen))][-1], abs=1e-5)


def test_recall_counts_each_row_once() -> None:
    """A row that is found twice, and one below the bar, do not count."""
    vectors = np.eye(4, dtype=np.float32)
    query = np.array([0.9, 0.8, 0.2, 0.1], np.float32)
    assert recall_of(np.array([0, 1]), vectors, query, 0.8, 2) == 1
    assert recall_of(np.array([0, 0]), vectors, query, 0.8, 2) == 0.5
    assert recall_of(np.array([3, 2]), vectors, query, 0.8, 2) == 0


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a work folder that the tests share, so that each engine is built once."""
    return tmp_path_factory.mktemp("search") / "work"


@pytest.mark.parametrize("name", [there(name) for name in ENGINES])
def test_each_engine_reaches_the_target(work: Path, name: str) -> None:
    """Each library is built, opened and searched for real, and finds what exact search finds."""
    result = measure_search(plan_of(), work, engines=[name], queries=30, widths=(10, 64, 200))
    [row] = result["engines"]
    assert row["engine"] == name
    assert row["reaches_target"]
    assert row["search"]["recall"] >= 0.99
    assert row["width"] == min(each["width"] for each in row["curve"] if each["recall"] >= 0.99)
    assert [each["width"] for each in row["curve"]] == [10, 64, 200]
    assert 0 < row["search"]["p50_ms"] <= row["search"]["p90_ms"] <= row["search"]["p99_ms"]
    assert row["build"]["threads"] == (1 if name == "ours" else 2)
    assert row["build"]["bytes"] > ROWS * WIDTH
    assert row["build"]["wall_seconds"] > 0 < row["build"]["cpu_seconds"]
    assert row["open"]["peak_bytes"] >= row["open"]["bytes_before"] > 0
    assert ("filters" in result) == (name == "ours")


def test_memory_is_the_engine_s_own(work: Path) -> None:
    """What the process holds that starts the others is not counted as theirs."""
    keep_plan(plan_of(), work)
    make_vectors(PLAN, work, silent)
    built("usearch-f32", plan_of(), work)
    before = opened("usearch-f32", work)["peak_bytes"]
    ballast = np.ones(600_000_000, np.uint8)
    assert opened("usearch-f32", work)["peak_bytes"] < min(2 * before, len(ballast))


def test_filters_lose_nothing(work: Path) -> None:
    """Our gallery answers every filter of every selectivity, and the result says how well."""
    result = measure_search(plan_of(), work, engines=["ours"], queries=30, widths=(64,))
    filters = {each["label"]: each for each in result["filters"]}
    assert list(filters) == label_names()
    assert all(each["recall"] >= 0.99 for each in filters.values())
    assert filters["any2"]["follows_clusters"] is False
    assert filters["near2"]["follows_clusters"] is True
    assert all(800 <= count <= 1200 for count in filters["any2"]["passing"])
    assert result["kind"] == "search"
    assert result["machine"]["libraries"]["usearch"]
    assert json.loads(json.dumps(result)) == result


def test_what_is_built_is_not_built_again(work: Path) -> None:
    """A second run takes the records of the first, and goes on from rows that are there."""
    measure_search(plan_of(), work, engines=["ours"], queries=20, widths=(64,))
    record = work / "ours.build.json"
    before = record.read_bytes()
    measure_search(plan_of(), work, engines=["ours"], queries=20, widths=(64,))
    assert record.read_bytes() == before
    # As if the first had been interrupted before it wrote its record.
    record.unlink()
    result = measure_search(plan_of(), work, engines=["ours"], queries=20, widths=(64,))
    assert result["engines"][0]["build"]["rows_already_there"] == ROWS


def test_a_work_folder_is_of_one_plan(tmp_path: Path) -> None:
    """Another number of rows does not mix with what is there; the message says what differs."""
    keep_plan(plan_of(), tmp_path)
    assert read_plan(tmp_path) == plan_of()
    keep_plan(plan_of(), tmp_path)
    # The checkout that holds the model may have moved.
    keep_plan(plan_of(model="/elsewhere.onnx"), tmp_path)
    assert read_plan(tmp_path).model == "/elsewhere.onnx"
    with pytest.raises(UsageError, match="another threads"):
        keep_plan(plan_of(threads=1), tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be read"):
        keep_plan(plan_of(), tmp_path)


def test_unknown_and_absent_engines_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that nobody knows is wrong usage; one that is not installed names the command."""
    with pytest.raises(UsageError, match="'annoy' is not one of ours"):
        measure_search(plan_of(), tmp_path, engines=["annoy"])

    def nothing(_: str) -> None:
        return None

    monkeypatch.setattr("boost_edge.bench.search_plan.find_spec", nothing)
    with pytest.raises(MissingExtraError, match=r"boost-edge\[bench\]"):
        measure_search(plan_of(), tmp_path, engines=["hnswlib"])
    assert list(tmp_path.iterdir()) == []


def test_widths_ascend() -> None:
    """The narrowest that reaches the target is the first that does."""
    assert sorted(set(WIDTHS)) == list(WIDTHS)
