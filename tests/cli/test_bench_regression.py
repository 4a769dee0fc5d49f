"""``bench regression`` from the command line: the gate, and baselines that do not compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from boost_edge.bench import regression as module
from boost_edge.bench.results import make_result
from boost_edge.cli.model import shipped_model

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]
VALGRIND = "valgrind-3.19.0"


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a baseline; what is counted then is the same (counting itself takes minutes)."""
    monkeypatch.setattr(module, "valgrind_version", lambda: VALGRIND)
    rows = [
        {"workload": name, "instructions": 1000, "spread": 0.001, "by_run": [1000]}
        for name in ("load", "encode")
    ]
    protocol = module.describe_protocol(shipped_model("garments-drawn"))
    result = make_result("regression", {"protocol": protocol, "runs": 1, "rows": rows})

    def counted(*_: Any, **__: Any) -> dict[str, Any]:
        copied: dict[str, Any] = json.loads(json.dumps(result))
        return copied

    monkeypatch.setattr(module, "measure_regression", counted)
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(result))
    return path


def test_the_same_passes_and_growth_is_code_5(baseline: Path, call: Call, tmp_path: Path) -> None:
    """Each regression has a line on stderr; the result is printed and written all the same."""
    done = call("bench", "regression", "--baseline", baseline)
    assert (done.returncode, done.stderr) == (0, "")
    old = json.loads(baseline.read_text())
    for row in old["rows"]:
        row["instructions"] = 900
    baseline.write_text(json.dumps(old))
    out = tmp_path / "new.json"
    done = call("bench", "regression", "--baseline", baseline, "--out", out)
    assert done.returncode == 5
    assert done.stdout.count("CROSSED") == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("boost-edge: load: 1.111 times the instructions of ")
    assert [row["crossed"] for row in json.loads(out.read_text())["comparison"]] == [True, True]
    assert call("bench", "regression", "--baseline", baseline, "--max-growth", 1.2).returncode == 0
    assert call("bench", "compare", baseline, out, "--max-instructions", 1.2).returncode == 0
    assert call("bench", "compare", baseline, out).returncode == 5


def test_other_versions_and_processors(baseline: Path, call: Call, refused: Refused) -> None:
    """Another library is refused unless asked for, another processor is said."""
    old = json.loads(baseline.read_text())
    old["protocol"]["libraries"]["numpy"] = "1.0"
    old["machine"]["processor"] = "Another"
    baseline.write_text(json.dumps(old))
    line = refused(2, "bench", "regression", "--baseline", baseline)
    assert "the baseline has numpy 1.0, here it is" in line
    done = call("bench", "regression", "--baseline", baseline, "--any-version")
    assert done.returncode == 0
    assert "was counted on Another, this on" in done.stderr


def test_what_is_no_baseline(refused: Refused, tmp_path: Path) -> None:
    """A result of another bench, or no file, is wrong usage."""
    other = tmp_path / "other.json"
    other.write_text('{"kind": "quality", "format_version": 1}')
    line = refused(2, "bench", "regression", "--baseline", other)
    assert "is a result of bench quality, not of bench regression" in line
    refused(2, "bench", "regression", "--baseline", tmp_path / "gone.json")
