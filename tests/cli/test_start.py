"""The first moments of a process, in which Ctrl-C meets imports and not yet a command."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from boost_edge.runtime.gallery import Gallery

ROOT = Path(__file__).resolve().parents[2]

# Does what `python -m boost_edge query a.jpg` does, and Ctrl-C when a module is looked for.
_INTERRUPTED_AT = """
import runpy, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == moment:
            signal.raise_signal(signal.SIGINT)

moment, sys.argv[1:] = sys.argv[1], ["query", "a.jpg"]
sys.meta_path.insert(0, Interrupt)
runpy.run_module("boost_edge", run_name="__main__", alter_sys=True)
"""

# Answers a query and says what of the runtime it has imported.
_IMPORTED = """
import sys
from boost_edge.cli.main import run

code = run(["query", *sys.argv[1:], "--format", "json"])
print(code, *sorted(name for name in sys.modules if name.startswith("boost_edge.runtime.")),
      file=sys.stderr)
"""
# What the plainest query has no use for; each costs its start milliseconds.
_NOT_FOR_A_QUERY = {
    f"boost_edge.runtime.{name}"
    for name in (
        *("crawl", "facets", "filtering", "gallery_facts", "hnsw", "index_report", "indexing"),
        *("pending", "preferences", "prefetch", "reading", "selection", "where"),
    )
}


def test_a_query_imports_nothing_that_it_has_no_use_for(shop: Path) -> None:
    """A small gallery's plain query leaves alone what indexing, filters, facets and graphs need."""
    gallery = shop / "gallery"
    with Gallery.open(gallery, read_only=True) as opened:
        image = opened.paths()[0]
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, image, "--gallery", str(gallery)],
        capture_output=True,
        text=True,
        check=True,
    )
    code, *imported = done.stderr.split()
    assert code == "0"
    assert "boost_edge.runtime.querying" in imported
    assert not _NOT_FOR_A_QUERY & set(imported)


@pytest.mark.parametrize(
    "moment",
    [
        "boost_edge.cli",
        "boost_edge.cli.main",
        "click",
        "boost_edge.cli.exits",
        "boost_edge.runtime.errors",
        "boost_edge.cli.query",
        "boost_edge.runtime.encoder",
        "numpy",
        "sqlite3",
    ],
)
def test_an_early_interruption_is_one_line(moment: str, tmp_path: Path) -> None:
    """Whatever is being imported at Ctrl-C, there is one line, no traceback, and exit code 130."""
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_AT, moment],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "boost-edge: interrupted\n")


def test_little_is_imported_before_an_interruption_is_answered() -> None:
    """Until the entry point is there, the package imports nothing but what Python has ready."""
    code = "import runpy, sys; before = set(sys.modules); import boost_edge.__main__; " \
        "print(*sorted(set(sys.modules) - before))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__future__", "boost_edge", "boost_edge.__main__"]


def test_the_command_starts_at_the_same_place() -> None:
    """``boost-edge`` is what ``python -m boost_edge`` is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"boost-edge": "boost_edge.__main__:main"}
