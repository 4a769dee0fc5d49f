"""A scan and the graph on the same galleries: sizes are as asked for, and every figure is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boost_edge.bench import crossover as crossover_module
from boost_edge.bench.crossover import CrossoverPlan, measure_crossover
from boost_edge.bench.search_data import DataPlan, draw_vectors, load_vectors, make_vectors
from boost_edge.runtime.errors import BoostEdgeError, UsageError
from boost_edge.runtime.exact_limit import EXACT_BYTES, EXACT_IMAGES
from boost_edge.runtime.progress import silent

PLAN = CrossoverPlan(dimensions=(125, 250), megabytes=(1,), queries=6, starts=2)


def test_both_are_measured() -> None:
    """As many vectors as the megabytes hold; warm, filtered and first, and the memory of each."""
    result = measure_crossover(PLAN)
    assert (result["kind"], result["exact_bytes"]) == ("crossover", EXACT_BYTES)
    assert result["exact_images"] == EXACT_IMAGES
    assert [(each["dimensions"], each["rows"]) for each in result["points"]] == [
        (125, 2000),
        (250, 1000),
    ]
    for point in result["points"]:
        assert point["bytes"] == 1_000_000
        assert point["exact"] is True
        assert point["graph_build_seconds"] > 0
        for side in ("scan", "graph"):
            assert all(value > 0 for value in point[side].values())
        # Only one of them loads the library of graphs.
        assert point["graph"]["peak_bytes"] > point["scan"]["peak_bytes"]


def test_what_is_drawn_is_as_in_the_measurement_of_search(tmp_path: Path) -> None:
    """The same vectors as those that it writes into its work folder."""
    plan = DataPlan(rows=500, dimensions=8, seed=3, kind="clustered")
    make_vectors(plan, tmp_path, silent)
    drawn = np.concatenate(list(draw_vectors(plan)))
    assert drawn.any()
    assert np.array_equal(drawn, load_vectors(plan, tmp_path))


def test_a_process_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said last is told."""
    monkeypatch.setattr(crossover_module, "_QUERY", "other.npy")
    with pytest.raises(BoostEdgeError, match=r"a first search in a new process failed: .*query"):
        measure_crossover(PLAN)


@pytest.mark.parametrize(("dimensions", "megabytes"), [(10**9, 5), (64, 10**6)])
def test_a_gallery_that_makes_no_sense_is_refused(dimensions: int, megabytes: int) -> None:
    """Too few vectors to search among, or more than any machine here holds: one line."""
    plan = CrossoverPlan(dimensions=(dimensions,), megabytes=(megabytes,))
    with pytest.raises(UsageError, match="can be measured"):
        measure_crossover(plan)
