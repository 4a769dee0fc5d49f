"""``bench report`` from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.bench.tiny_results import TINY

from boost_edge.bench.results import write_result

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with tiny results."""
    for name, result in TINY.items():
        write_result(tmp_path / "results" / name, result)
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("report",), ["report.html", "report.md"]),
        (("report.html",), ["report.html"]),
        (("new/report.md",), ["new/report.md"]),
        (("report.html", "--format", "both"), ["report.html", "report.md"]),
        (("report.html", "--format", "md"), ["report.md"]),
    ],
)
def test_what_is_written(
    given: tuple[str, ...], expected: list[str], results: Path, call: Call, tmp_path: Path
) -> None:
    """The ending or the option says which files; each is named, and leads to the results."""
    name, *options = given
    done = call("bench", "report", results, "--out", tmp_path / name, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(tmp_path / each) for each in expected]
    up = "../" * name.count("/")
    for each in expected:
        assert f"{up}results/latency.json" in (tmp_path / each).read_text(encoding="utf-8")


def test_rendering_twice_gives_the_same_bytes(results: Path, call: Call, tmp_path: Path) -> None:
    """A report depends on the results alone."""
    pages: list[bytes] = []
    for _ in range(2):
        assert call("bench", "report", results, "--out", tmp_path / "report.html").returncode == 0
        pages.append((tmp_path / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_what_is_refused(
    results: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong ending, no results, no place to write, and no matplotlib are one line."""
    out = ("--out", tmp_path / "report.html")
    assert "the ending is" in refused(2, "bench", "report", results, "--out", tmp_path / "a.pdf")
    assert "is no folder" in refused(2, "bench", "report", tmp_path / "gone", *out)
    (tmp_path / "file").write_text("")
    line = refused(1, "bench", "report", results, "--out", tmp_path / "file" / "report.html")
    assert "cannot be written" in line
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused(1, "bench", "report", results, *out)
    assert line == (
        "a report needs matplotlib, which is not installed: pip install 'boost-edge[bench]'"
    )
