"""``bench regression``: instructions counted by the real valgrind, and compared by ratio."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from boost_edge.bench import regression as module
from boost_edge.bench.callgrind import Marks, count_marked, count_whole, find_valgrind
from boost_edge.bench.compare import Limits, compare_results
from boost_edge.bench.regression import check_protocol, compare_counts
from boost_edge.bench.regression_work import WORKLOADS
from boost_edge.bench.results import make_result
from boost_edge.runtime.errors import BoostEdgeError, UsageError

marked = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="instructions are counted on x86-64 only"
)
counted = pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")

PROGRAM = """
from boost_edge.bench.callgrind import Marks
marks = Marks()
def work(times):
    for _ in range(times):
        sum(range(1000))
marks.start()
work(10)
marks.zero()
for times in (100, 200, 400):
    work(times)
    marks.close_part(f"w:{times}")
work(1000)
print(marks.watched)
"""


def environment() -> dict[str, str]:
    """Return what a counted program is given."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}


@marked
def test_marks_do_nothing_without_valgrind() -> None:
    """On the bare processor every request is answered with zero, and nothing happens."""
    marks = Marks()
    assert not marks.watched
    marks.start()
    marks.zero()
    marks.close_part("part")
    assert not marks.watched


@marked
@counted
def test_parts_are_counted_alone(tmp_path: Path) -> None:
    """Twice the work takes twice the instructions, and what lies outside marks is not counted."""
    found = count_marked([sys.executable, "-c", PROGRAM], environment(), tmp_path / "out")
    assert set(found) == {"w:100", "w:200", "w:400"}
    one, two = found["w:200"] - found["w:100"], found["w:400"] - found["w:200"]
    assert two == pytest.approx(2 * one, rel=0.02)
    assert one / 100 > 1000


@marked
@counted
def test_a_program_is_counted_whole(tmp_path: Path) -> None:
    """An interpreter that imports something takes more than a bare one."""
    counts = [
        count_whole([sys.executable, "-S", "-c", code], environment(), tmp_path / str(place))
        for place, code in enumerate(("pass", "import json"))
    ]
    assert counts[1] > counts[0] > 1_000_000


@counted
def test_a_program_that_fails_is_an_error(tmp_path: Path) -> None:
    """What the program said last is in the error."""
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(BoostEdgeError, match="ended with code 1: no such thing"):
        count_whole(command, environment(), tmp_path / "out")


def test_without_valgrind_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line names the package."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        BoostEdgeError, match=r"valgrind is not installed.*apt-get install valgrind"
    ):
        find_valgrind()


def test_elsewhere_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks are the bytes of one processor, and are not called on another."""
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(BoostEdgeError, match="counted on x86_64 only, not on aarch64"):
        Marks()


def result(**changes: float) -> dict[str, Any]:
    """Return a result in which some workloads take another number of instructions."""
    rows: list[dict[str, Any]] = [
        {"workload": name, "instructions": round(1_000_000 * changes.get(name, 1.0)),
         "spread": 0.001, "by_run": []}
        for name in WORKLOADS
    ]  # fmt: skip
    protocol = {"python": "3.11.7", "libraries": {"numpy": "2.4.6"}, "valgrind": "valgrind-3.19.0"}
    return make_result("regression", {"protocol": protocol, "runs": 3, "rows": rows})


def test_growth_is_judged_by_ratio() -> None:
    """Over the limit is crossed, under it and faster is not."""
    new = result(load=1.06, encode=1.04, query=0.5)
    rows = {row["name"]: row for row in compare_counts(result(), new, growth=1.05)["rows"]}
    assert [name for name, row in rows.items() if row["crossed"]] == ["load"]
    assert rows["load"]["change"] == pytest.approx(1.06)
    assert rows["query"]["change"] == pytest.approx(0.5)
    generic = compare_results(result(), new, limits=Limits(instructions=1.03))
    assert generic["crossed"] == 2


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A baseline with another library is named; the same one passes."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"model")
    monkeypatch.setattr(module, "valgrind_version", lambda: "valgrind-3.19.0")
    same = module.describe_protocol(model)
    check_protocol({"protocol": same}, model)
    older = {**same, "libraries": {**same["libraries"], "numpy": "2.0.0"}}
    with pytest.raises(UsageError, match=r"baseline has numpy 2\.0\.0, here it is .*--any-version"):
        check_protocol({"protocol": older}, model)


def test_a_limit_below_one_is_refused() -> None:
    """A factor below 1 would call every result a regression."""
    with pytest.raises(UsageError):
        dataclasses.replace(Limits(), instructions=0.9)
