"""``bench report`` from the command line."""

from __future__ import annotations

import csv
import re
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


def test_pictures_as_files(results: Path, call: Call, refused: Refused, tmp_path: Path) -> None:
    """All pictures of the page are written, or those named; each file is told."""
    report = ("bench", "report", results, "--out", tmp_path / "report.html")
    folder = tmp_path / "docs" / "pictures"
    done = call(*report, "--pictures", folder)
    assert (done.returncode, done.stderr) == (0, "")
    page, *files = done.stdout.split()
    assert page == str(tmp_path / "report.html")
    assert sorted(files) == sorted(str(path) for path in folder.iterdir())
    assert len(files) == Path(page).read_text(encoding="utf-8").count("<svg ")
    one = tmp_path / "one"
    done = call(*report, "--pictures", one, "--picture", "gains", "--picture", "stages")
    assert sorted(path.name for path in one.iterdir()) == ["gains.svg", "stages.svg"]
    assert (one / "gains.svg").read_bytes() == (folder / "gains.svg").read_bytes()
    assert "no picture 'gain'" in refused(2, *report, "--pictures", one, "--picture", "gain")
    assert "--picture needs --pictures DIR" in refused(2, *report, "--picture", "gains")


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


def test_example_queries(
    results: Path, call: Call, refused: Refused, tmp_path: Path, shop: Path, catalogue: Path
) -> None:
    """With a gallery the page shows queries and hits, each with its picture, label and mark."""
    report = ("bench", "report", results, "--out", tmp_path / "report")
    assert "need all of" in refused(2, *report, "--gallery", shop / "gallery")
    options = (
        "--labels", catalogue / "labels.csv", "--images", catalogue / "images", "--run",
        shop / "run", "--gallery", shop / "gallery", "--attribute", "colour", "--queries", 3,
    )  # fmt: skip
    done = call(*report, *options)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    [section] = re.findall(r'<section aria-labelledby="examples">.*?</section>', page, re.S)
    examples = section.split('<div class="example">')[1:]
    assert len(examples) == 3
    with (catalogue / "labels.csv").open(encoding="utf-8") as file:
        colours = {row["file_name"]: row["colour"] for row in csv.DictReader(file)}
    for example in examples:
        found = re.findall(
            r'<li class="(\w+)"><img src="data:image/jpeg;[^"]+" alt="(\w+): ([^,]+), (\w+)"',
            example,
        )
        assert len(found) == 11
        (_, what, query, asked), *hits = found
        assert (what, asked) == ("query", colours[query])
        for agrees, what, name, value in hits:
            assert (what, value) == ("hit", colours[name])
            assert name != query
            assert agrees == ("agrees" if value == asked else "differs")
        same = sum(value == asked for *_, value in hits)
        assert f"match: {same} of 10 agree" in example
        assert example.count("\u2713") == same
    assert "<img" not in (tmp_path / "report.md").read_text(encoding="utf-8")
