"""MLPerf-style load: every query answered, rates found, failures raised, logs read."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.bench.scenarios import SCENARIOS, Load, read_log, run_scenarios
from boost_edge.runtime.errors import BoostEdgeError, MissingExtraError, UsageError

PICTURES = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
LOAD = Load(seconds=0.02, queries=5, batch=3, bound_ms=5000.0, trials=2)


def test_every_query_is_answered_with_its_picture(tmp_path: Path) -> None:
    """The network sees the pictures asked for, in batches offline and one by one otherwise."""
    seen: list[NDArray[np.uint8]] = []

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(images)
        return np.zeros((len(images), 1), np.float32)

    steps: list[str] = []
    rows = run_scenarios(
        infer, PICTURES, scenarios=SCENARIOS, load=LOAD, folder=tmp_path, step=steps.append
    )
    assert steps == list(SCENARIOS) == [row["scenario"] for row in rows]
    single, offline, server = rows
    assert single["queries"] >= 5
    assert 0 < single["p50_ms"] <= single["p90_ms"] <= single["p99_ms"]
    assert offline["images_per_second"] > 0
    assert server["queries_per_second"] > 0
    assert server["p99_ms"] <= server["bound_ms"] == 5000.0
    assert 1 <= server["trials"] <= 2
    assert {len(images) for images in seen} >= {1, 3}
    values = {int(image[0, 0, 0]) for images in seen for image in images}
    assert values == {0, 1, 2, 3}


def test_a_server_that_cannot_keep_up_has_rate_0(tmp_path: Path) -> None:
    """A bound that nothing keeps to gives the rate 0, not the best of the failures."""
    load = Load(seconds=0.01, queries=2, batch=1, bound_ms=1e-6, trials=2)
    [row] = run_scenarios(
        lambda images: np.zeros((len(images), 1), np.float32),
        PICTURES,
        scenarios=["server"],
        load=load,
        folder=tmp_path,
    )
    assert row["queries_per_second"] == 0.0
    assert row["trials"] == 2


def test_a_failing_network_is_an_error(tmp_path: Path) -> None:
    """What the network raises in the load generator's threads comes out as one error."""
    calls = 0

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise ValueError("no more")
        return np.zeros((len(images), 1), np.float32)

    with pytest.raises(BoostEdgeError, match="failed under load: no more"):
        run_scenarios(infer, PICTURES, scenarios=["server"], load=LOAD, folder=tmp_path)


def test_a_missing_load_generator_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mlcommons-loadgen the error says what to install."""
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(MissingExtraError, match=r"boost-edge\[bench\]"):
        run_scenarios(
            lambda images: images.astype(np.float32),
            PICTURES,
            scenarios=["offline"],
            load=LOAD,
            folder=tmp_path,
        )


def test_logs_are_read(tmp_path: Path) -> None:
    """Lines of the log are taken, others left; the last of equal keys counts."""
    path = tmp_path / "detail.txt"
    path.write_text(
        ':::MLLOG {"key": "a", "value": 1}\nnoise\n'
        ':::MLLOG {"key": "a", "value": 2}\n:::MLLOG {"key": "b", "value": "x"}\n'
    )
    assert read_log(path) == {"a": 2, "b": "x"}


@pytest.mark.parametrize(
    "changes", [{"seconds": 0.0}, {"queries": 0}, {"batch": 0}, {"bound_ms": 0.0}, {"trials": 0}]
)
def test_loads_that_make_no_sense(changes: dict[str, float]) -> None:
    """Every figure of a load is positive."""
    with pytest.raises(UsageError):
        Load(**changes)  # type: ignore[arg-type]
