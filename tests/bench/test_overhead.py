"""What is spent around the network: the result, its text and the page that is written from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from boost_edge.bench.fresh_process import bare_command, query_peak
from boost_edge.bench.limits import copy_rate, operations_of, product_rate
from boost_edge.bench.overhead import OVERHEAD_STAGES, measure_overhead
from boost_edge.bench.overhead_plan import TARGETS, OverheadPlan
from boost_edge.bench.performance import fill_page, make_tables
from boost_edge.bench.results import read_result
from boost_edge.cli.model import shipped_model
from boost_edge.runtime.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "bench" / "results" / "overhead.json"
Call = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Return a quick measurement of the shipped model on a gallery without a graph."""
    return measure_overhead(
        OverheadPlan(
            backbones=(),
            models=(shipped_model(),),
            gallery_images=20,
            files=4,
            blocks=2,
            seconds=0.2,
            most=2,
            starts=1,
            photo=(320, 240),
        )
    )


def test_every_stage_is_timed_and_every_target_measured(result: dict[str, Any]) -> None:
    """Rows, shares, indexing, starts and memory are there, and consistent with one another."""
    [system] = result["systems"]
    assert {row["stage"] for row in system["rows"]} == set(OVERHEAD_STAGES)
    assert result["targets"] == dict(TARGETS)
    assert all(row["p50_ms"] > 0 for row in system["rows"])
    [share] = system["query"]
    assert share["low"] <= share["estimate"] <= share["high"]
    indexing = system["indexing"]
    added = 1e3 * indexing["threads"] / (indexing["decode_ms"] + indexing["infer_ms"])
    assert indexing["added_images_per_second"] == pytest.approx(added)
    assert indexing["efficiency"] == pytest.approx(indexing["images_per_second"] / added)
    busy = 1e3 * indexing["threads"] / (indexing["busy_decode_ms"] + indexing["busy_infer_ms"])
    assert indexing["busy_images_per_second"] == pytest.approx(busy)
    assert indexing["busy_efficiency"] == pytest.approx(indexing["images_per_second"] / busy)
    # Without a graph there is nothing that a bare script could search.
    assert (system["cold_start"]["bare"], system["cold_start"]["ratio"]) == (None, None)
    assert system["cold_start"]["peak_memory_bytes"] > 10_000_000
    assert result["ratio_interval"] == "t"
    json.dumps(result, allow_nan=False)


def test_operations_are_those_of_a_count_by_hand(tmp_path: Path) -> None:
    """Two for each multiply-add of convolutions and products; nothing else counts."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((4, 3, 5, 5), np.float32), np.zeros((7, 4), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "v"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 7])],
        [numpy_helper.from_array(each, name) for each, name in zip(weights, "wv", strict=True)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    assert operations_of(path) == 2 * (4 * 8 * 8 * 3 * 5 * 5 + 7 * 4)


def test_limits_are_rates_of_a_machine() -> None:
    """A computer copies and multiplies at more than a million a second."""
    assert product_rate(1) > 1e6
    assert copy_rate() > 1e6


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    """Nothing to measure, the same twice, and counts of nothing are usage errors."""
    for plan in (
        OverheadPlan(backbones=()),
        OverheadPlan(threads=(1, 1)),
        OverheadPlan(threads=()),
        OverheadPlan(starts=0),
        OverheadPlan(files=0),
        OverheadPlan(seconds=0),
    ):
        with pytest.raises(UsageError):
            plan.check()


def test_the_bare_script_is_one_file_that_knows_nothing_of_us() -> None:
    """What a start is compared with imports nothing of boost-edge."""
    arguments = bare_command(Path("m"), Path("g"), Path("i"))
    script = next(Path(each) for each in arguments if each.endswith(".py"))
    assert "import boost_edge" not in script.read_text(encoding="utf-8")
    assert "from boost_edge" not in script.read_text(encoding="utf-8")
    assert query_peak.__doc__


def test_the_page_holds_the_committed_figures() -> None:
    """docs/performance.md is what its command writes from the committed result."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert fill_page(page, read_result(COMMITTED, kind="overhead")) == page


def test_tables_say_what_was_not_reached(result: dict[str, Any]) -> None:
    """A target that was missed is told apart from one that was met."""
    [system] = result["systems"]
    system = system | {"query": [{"threads": 1, "estimate": 0.1, "low": 0.1, "high": 0.2}]}
    assert "10.0% (10.0% to 20.0%) | at most 15% | yes" in make_tables(
        result | {"systems": [system]}
    )
    system = system | {"query": [{"threads": 1, "estimate": 0.16, "low": 0.1, "high": 0.2}]}
    assert "16.0% (10.0% to 20.0%) | at most 15% | **no**" in make_tables(
        result | {"systems": [system]}
    )


def test_a_yardstick_is_called_no_limit(result: dict[str, Any]) -> None:
    """A network can beat the rate of a matrix product: nothing of the tables calls it a bound."""
    tables = make_tables(result)
    assert "limit" not in tables
    assert "| operations a second of a large matrix product, 1 thread |" in tables
    assert "| yardstick, ms | times that |" in tables


def test_a_page_without_a_place_is_refused(result: dict[str, Any]) -> None:
    """Tables are put nowhere but where they belong."""
    with pytest.raises(UsageError, match="tables: begin"):
        fill_page("# Something else\n", result)
