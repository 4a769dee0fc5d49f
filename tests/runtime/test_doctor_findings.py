"""What the doctor advises: each finding in one sentence, from what was seen."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from boost_edge.runtime.cpu_features import Processor, parse_cpuinfo
from boost_edge.runtime.doctor_findings import (
    CODES,
    Finding,
    benchmark_findings,
    int8_advice,
    library_findings,
    machine_findings,
    order_findings,
    start_findings,
)
from boost_edge.runtime.import_probes import LIBRARIES, Probe, Status
from boost_edge.runtime.process_limits import Limits

SAMPLES = Path(__file__).parent / "cpuinfo"


def probe(name: str, status: Status = "fine", **also: Any) -> Probe:
    """Return how an import went."""
    given: dict[str, Any] = {"detail": "", "signal": None, "facts": {}, "seconds": 0.1, **also}
    return Probe(name=name, status=status, **given)


def limits(usable: int) -> Limits:
    """Return what a process may use that has so many cores."""
    return Limits(
        cores=64, allowed=64, quota=float(usable), usable=usable,
        memory=1 << 34, memory_available=None, memory_limit=None,
    )  # fmt: skip


def processor(sample: str) -> Processor:
    """Return a real machine's processor."""
    return parse_cpuinfo((SAMPLES / f"{sample}.txt").read_text(encoding="utf-8"))


def only(found: list[Finding]) -> Finding:
    """Return the one finding, which has a known code and is two short sentences."""
    [finding] = found
    assert finding.code in CODES
    assert finding.serious == (CODES.index(finding.code) <= CODES.index("int8_range"))
    for text in (finding.what, finding.repair):
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
    return finding


def test_what_is_fine_is_no_finding() -> None:
    """A sound machine has nothing to change."""
    assert library_findings([probe(name) for name in LIBRARIES]) == []
    assert order_findings([probe("usearch, onnxruntime")]) == []
    start = probe("boost_edge", facts={"modules": 200, "uncompiled": []})
    assert start_findings(start, forbidden=False) == []
    variables = {"BOOST_EDGE_QUERY_THREADS": "2", "BOOST_EDGE_INDEX_THREADS": "many"}
    some = machine_findings(
        processor("epyc-7003"), limits(2), opencv_threads=2, variables=variables
    )
    assert some == []
    measured = probe("self-benchmark", facts={"rows": [], "speedup": 1.7})
    assert benchmark_findings(measured, processor("epyc-7003"), limits(2), 0.1) == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_absent_library(name: str) -> None:
    """What pip installs is named in the release that we require; SQLite comes with Python."""
    finding = only(library_findings([probe(name, "absent", detail="no module")]))
    assert (finding.code, finding.what) == ("library_absent", f"{name} is absent")
    if name == "sqlite":
        assert "Python" in finding.repair
    else:
        pip, install, requirement = shlex.split(finding.repair)
        assert (pip, install) == ("pip", "install")
        assert name in requirement
        assert requirement.count("usearch<2.26.2") == (name == "usearch")


@pytest.mark.parametrize(
    ("status", "signal", "repair"),
    [
        ("crashed", "SIGILL", "newer processor"),
        ("crashed", "SIGSEGV", "--force-reinstall"),
        ("failed", None, "--force-reinstall"),
        ("hung", None, "--force-reinstall"),
    ],
)
def test_a_broken_library(status: Status, signal: str | None, repair: str) -> None:
    """An illegal instruction asks for another build, everything else for a new installation."""
    some = probe("onnxruntime", status, detail="killed by it", signal=signal)
    finding = only(library_findings([some]))
    assert finding.code == f"library_{status}"
    assert finding.what == "onnxruntime cannot be imported: killed by it"
    assert repair in finding.repair


def test_numpy_comes_first() -> None:
    """Libraries that import numpy are not blamed for it; SQLite is."""
    names = ("numpy", "opencv", "usearch", "sqlite")
    first, second, third, last = library_findings([probe(name, "crashed") for name in names])
    assert "mend numpy first" in second.repair
    assert "mend numpy first" in third.repair
    assert "mend numpy first" not in first.repair + last.repair


def test_orders_threads_of_sqlite_and_starts() -> None:
    """Libraries that do not get on, SQLite for one thread, and our own modules."""
    finding = only(order_findings([probe("usearch, onnxruntime", "crashed", detail="killed")]))
    assert (finding.code, finding.what) == (
        "import_order",
        "importing usearch, onnxruntime, in this order: killed",
    )
    assert "usearch<2.26.2" in finding.repair
    sqlite = probe("sqlite", facts={"version": "3.46", "threadsafety": 0})
    finding = only(library_findings([sqlite]))
    assert (finding.code, finding.what) == (
        "sqlite_threads",
        "SQLite 3.46 was built for one thread",
    )
    assert library_findings([probe("sqlite", facts={"threadsafety": 1})]) == []
    broken = probe("boost_edge", "failed", detail="SyntaxError: x")
    finding = only(start_findings(broken, forbidden=False))
    assert (finding.code, finding.what) == (
        "start_failed",
        "boost-edge cannot be imported: SyntaxError: x",
    )


def test_what_to_compile(tmp_path: Path) -> None:
    """Packages once each, modules outside of any, and links that compileall does not follow."""
    for name in ("a", "a/b", "linked"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "linked")
    raw = ["a/x.py", "a/b/y.py", "a/b/z.py", "a/linked/w.py", "alone.py"]
    facts = {"modules": 50, "uncompiled": [str(tmp_path / each) for each in raw]}
    finding = only(start_findings(probe("boost_edge", facts=facts), forbidden=True))
    assert finding.what == "5 of 50 modules are compiled anew at every start"
    command = finding.repair.removeprefix("compile them once: ")
    command = command.removesuffix(", or unset PYTHONDONTWRITEBYTECODE")
    assert shlex.split(command) == [
        sys.executable, "-m", "compileall", "-q",
        *(str(tmp_path / each) for each in ("a", "a/linked", "alone.py")),
    ]  # fmt: skip
    assert (
        "unset"
        not in only(start_findings(probe("boost_edge", facts=facts), forbidden=False)).repair
    )


def test_too_many_threads() -> None:
    """OpenCV's and the variables' threads are held against the cores of the process."""
    known = processor("core-i7-1165g7")
    finding = only(machine_findings(known, limits(2), opencv_threads=8, variables={}))
    assert (finding.code, finding.what) == ("threads", "OpenCV uses 8 threads on 2 cores")
    assert "OPENCV_FOR_THREADS_NUM=2" in finding.repair
    variables = {"BOOST_EDGE_INDEX_THREADS": "8"}
    finding = only(machine_findings(known, limits(1), opencv_threads=1, variables=variables))
    assert finding.what == "BOOST_EDGE_INDEX_THREADS asks for 8 threads on 1 core"


def test_an_old_processor() -> None:
    """An x86 without AVX2 is told; an ARM has no AVX2 and needs none."""
    old = parse_cpuinfo("processor : 0\nmodel name : Celeron\nflags : sse4_2\n")
    finding = only(machine_findings(old, limits(2), opencv_threads=None, variables={}))
    assert finding.code == "no_avx2"
    arm = processor("raspberry-pi-4")
    assert machine_findings(arm, limits(4), opencv_threads=4, variables={}) == []


def test_a_benchmark_that_failed() -> None:
    """A crash while computing is as serious as one at import; our own errors say what to do."""
    killed = probe("x", "crashed", detail="killed by SIGILL", signal="SIGILL")
    finding = only(benchmark_findings(killed, processor("epyc-7003"), limits(2), 0.0))
    assert (finding.code, finding.what) == (
        "benchmark_failed",
        "encoding and searching failed: killed by SIGILL",
    )
    refused = probe("x", facts={"refused": "m.onnx: is damaged: export it again"})
    finding = only(benchmark_findings(refused, processor("epyc-7003"), limits(2), 0.0))
    assert finding.repair == "m.onnx: is damaged: export it again"
    assert (finding.code, finding.serious) == ("files_unusable", False)
    # What is shipped must work.
    shipped = benchmark_findings(refused, processor("epyc-7003"), limits(2), 0.0, given=False)
    assert (only(shipped).code, only(shipped).serious) == ("benchmark_failed", True)


def test_threads_that_do_not_help() -> None:
    """More threads that are no faster are worth a word, unless other work explains it."""
    measured = probe("x", facts={"rows": [], "speedup": 0.89})
    finding = only(benchmark_findings(measured, processor("epyc-7003"), limits(4), 1.0))
    assert finding.what == "4 threads encode 0.89 times as fast as one"
    assert benchmark_findings(measured, processor("epyc-7003"), limits(4), 3.0) == []
    alone = probe("x", facts={"rows": [], "speedup": None})
    assert benchmark_findings(alone, processor("epyc-7003"), limits(1), 0.0) == []


def test_a_model_for_another_processor() -> None:
    """Weights that use all 8 bits are serious where sums of them overflow, and only there."""
    full = probe("x", facts={"rows": [], "speedup": None, "full_range": True})
    finding = only(benchmark_findings(full, processor("epyc-7003"), limits(2), 0.0))
    assert (finding.code, finding.serious) == ("int8_range", True)
    assert "--precision int8" in finding.repair
    for fine in ("core-i7-1165g7", "raspberry-pi-4"):
        assert benchmark_findings(full, processor(fine), limits(2), 0.0) == []
    reduced = probe("x", facts={"rows": [], "speedup": None, "full_range": False})
    assert benchmark_findings(reduced, processor("epyc-7003"), limits(2), 0.0) == []


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("core-i7-1165g7", "should be faster than fp32 here (VNNI)"),
        ("xeon-platinum-8468", "should be faster than fp32 here (VNNI, AMX)"),
        ("rk3588", "should be faster than fp32 here (dotprod)"),
        ("epyc-7003", "need a reduced range"),
        ("raspberry-pi-4", "gain less without dotprod"),
    ],
)
def test_what_to_expect_of_int8(sample: str, says: str) -> None:
    """Faster where there are instructions for it; a reduced range on x86 without, only there."""
    advice = int8_advice(processor(sample))
    assert says in advice
    assert ("range" in advice) == (sample == "epyc-7003")
    assert int8_advice(parse_cpuinfo("")) == ""
