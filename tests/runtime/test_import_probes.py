"""Imports in processes of their own: real libraries, and modules that break in every way."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.runtime.broken_modules import KILLED, break_module

from boost_edge.runtime.import_probes import (
    LIBRARIES,
    ORDERS,
    ask_process,
    probe_library,
    probe_order,
    probe_start,
)

PACKAGES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "usearch": "usearch",
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_installed_libraries_are_fine(name: str) -> None:
    """Each of them says its version, OpenCV its threads, and SQLite how many it is built for."""
    probe = probe_library(name)
    assert (probe.name, probe.status, probe.detail, probe.signal) == (name, "fine", "", None)
    assert probe.version
    if name in PACKAGES:
        assert probe.version == version(PACKAGES[name])
    if name == "opencv":
        assert probe.facts["threads"] >= 1
    if name == "sqlite":
        assert probe.facts["threadsafety"] in (1, 3)
    assert probe.seconds > 0


def test_usearch_and_onnxruntime_in_both_orders() -> None:
    """Neither order kills the process (docs/decisions/0002)."""
    assert [probe_order(order).status for order in ORDERS] == ["fine", "fine"]
    assert set(ORDERS) == {("usearch", "onnxruntime"), ("onnxruntime", "usearch")}


@pytest.mark.parametrize("by", ["SIGILL", "SIGSEGV", "SIGABRT"])
def test_a_crash_is_an_answer(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that kills its process is named with the signal and the place, and nobody dies."""
    file = break_module(tmp_path, "numpy", KILLED.format(signal=by))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    probe = probe_library("numpy")
    assert (probe.status, probe.signal, probe.version) == ("crashed", by, None)
    assert probe.detail.startswith(f"killed by {by} (")
    assert probe.detail.endswith(f" at {file}:2")
    assert not list(tmp_path.glob("core*"))


def test_an_order_that_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with usearch 2.26.2: fine after onnxruntime, and deadly before it."""
    kills = (
        "import os, signal, sys\nif 'usearch' in sys.modules: os.kill(os.getpid(), signal.SIGSEGV)"
    )
    break_module(tmp_path, "onnxruntime", f"__version__ = '1'\n{kills}")
    break_module(tmp_path, "usearch", "__version__ = '2.26.2'\n")
    (tmp_path / "usearch" / "index.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    first, second = (probe_order(order) for order in ORDERS)
    assert (first.name, first.status, first.signal) == (
        "usearch, onnxruntime", "crashed", "SIGSEGV",
    )  # fmt: skip
    assert (second.name, second.status) == ("onnxruntime, usearch", "fine")


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        ("raise ImportError('libGL.so.1:\\n not found')", "failed", "ImportError: libGL.so.1: not"),
        ("raise SystemExit(3)", "failed", "SystemExit: 3"),
        ("import os; os._exit(3)", "failed", "it ended with exit code 3: it said nothing"),
        (
            "import os, sys; sys.stderr.write('no licence\\n'); sys.stderr.flush(); os._exit(0)",
            "failed",
            "it ended with exit code 0: no licence",
        ),
        ("import nothing_of_the_kind", "failed", "No module named 'nothing_of_the_kind'"),
        ("import numpy.nothing", "failed", "No module named 'numpy.nothing'"),
        ("print('{\"facts\": 1}'); __version__ = '1'", "fine", ""),
        ("import sys; sys.stdout.write('no newline'); __version__ = '1'", "fine", ""),
    ],
)
def test_other_ways_to_fail(
    code: str, status: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exceptions, endings without a word, what others need, and modules that print."""
    break_module(tmp_path, "numpy", code)
    monkeypatch.syspath_prepend(tmp_path)
    probe = probe_library("numpy")
    assert probe.status == status
    assert detail in probe.detail
    assert "\n" not in probe.detail
    assert probe.version == ("1" if status == "fine" else None)


def test_what_is_not_there_is_absent() -> None:
    """A module of its own that is not found is absent, not broken."""
    probe = ask_process("x", "import no_such_module", module="no_such_module")
    assert (probe.status, probe.signal) == ("absent", None)
    # As Python is where it was built without SQLite.
    probe = ask_process("x", "import _no_such_module", module="no_such_module")
    assert probe.status == "absent"


def test_what_does_not_end_is_stopped() -> None:
    """A process that hangs is killed, and said to hang."""
    probe = ask_process("x", "import signal\nsignal.pause()", seconds=1)
    assert (probe.status, probe.detail) == ("hung", "it did not end within 1 seconds")


def test_the_search_path_is_this_process_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process would find is what is tried, whatever the folder is called."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a 'b\xff"))
    break_module(odd, "numpy", "__version__ = 'ours'")
    monkeypatch.syspath_prepend(str(odd))
    assert probe_library("numpy").version == "ours"
    # A file of the working folder is not.
    monkeypatch.undo()
    monkeypatch.chdir(odd)
    assert probe_library("numpy").version != "ours"


def test_a_start_counts_what_is_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All modules with bytecode elsewhere and forbidden to write it; none once it is there."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    facts = probe_start().facts
    assert len(facts["uncompiled"]) == facts["modules"] > 100
    assert not facts["writes"]
    assert any(each.endswith("/boost_edge/runtime/gallery.py") for each in facts["uncompiled"])
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    facts = probe_start().facts
    assert facts["uncompiled"] == []
    assert facts["writes"]
    assert facts["seconds"] > 0
