"""What the doctor found that is not as it should be, and in a sentence what to do about it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from boost_edge.runtime.cpu_features import Processor
from boost_edge.runtime.import_probes import Probe
from boost_edge.runtime.process_limits import Limits

__all__ = [
    "CODES",
    "THREAD_VARIABLES",
    "Finding",
    "benchmark_findings",
    "int8_advice",
    "is_quiet",
    "library_findings",
    "machine_findings",
    "order_findings",
    "start_findings",
]

CODES = (
    "library_absent",
    "library_failed",
    "library_crashed",
    "library_hung",
    "import_order",
    "sqlite_threads",
    "start_failed",
    "benchmark_failed",
    "int8_range",
    "files_unusable",
    "bytecode",
    "threads",
    "threads_no_gain",
    "no_avx2",
)
"""The codes of findings; those up to ``int8_range`` keep boost-edge from working."""
_SERIOUS = frozenset(CODES[: CODES.index("int8_range") + 1])

_PACKAGES = {
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "onnxruntime": "onnxruntime",
    "usearch": "usearch",
}
_NEED_NUMPY = ("opencv", "onnxruntime", "usearch")
THREAD_VARIABLES = ("BOOST_EDGE_INDEX_THREADS", "BOOST_EDGE_QUERY_THREADS")
"""Variables that set how many threads the network has (``--threads``)."""

# A machine is taken for quiet where others keep at most this share of the cores busy.
_QUIET = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to change: one of `CODES`, what is so, and what to do; a command where one will do.

    ``serious`` is whether boost-edge cannot work until then.
    """

    code: str
    serious: bool
    what: str
    repair: str


def library_findings(probes: Iterable[Probe]) -> list[Finding]:
    """Return what is wrong with the libraries themselves."""
    found: list[Finding] = []
    probes = list(probes)
    numpy_fails = any(probe.name == "numpy" and probe.status != "fine" for probe in probes)
    for probe in probes:
        if probe.status == "absent":
            found.append(_finding("library_absent", f"{probe.name} is absent", _install(probe)))
        elif probe.status != "fine":
            what = f"{probe.name} cannot be imported: {probe.detail}"
            repair = _replace(probe)
            if numpy_fails and probe.name in _NEED_NUMPY:
                repair = "mend numpy first, which it imports, and run doctor again"
            found.append(_finding(f"library_{probe.status}", what, repair))
        elif probe.facts.get("threadsafety") == 0:
            what = f"SQLite {probe.version} was built for one thread"
            repair = "use a Python whose SQLite was built with SQLITE_THREADSAFE=1"
            found.append(_finding("sqlite_threads", what, repair))
    return found


def order_findings(probes: Iterable[Probe]) -> list[Finding]:
    """Return which libraries cannot be imported one after the other, though each can alone."""
    repair = f"take releases that get on with each other: {_pip(_PACKAGES.values())}"
    return [
        _finding("import_order", f"importing {probe.name}, in this order: {probe.detail}", repair)
        for probe in probes
        if probe.status != "fine"
    ]


def start_findings(probe: Probe, *, forbidden: bool) -> list[Finding]:
    """Return what makes a start fail or slow.

    ``forbidden`` is whether PYTHONDONTWRITEBYTECODE is set.
    """
    if probe.status != "fine":
        what = f"boost-edge cannot be imported: {probe.detail}"
        return [
            _finding(
                "start_failed",
                what,
                "run pip install --force-reinstall . in the folder of its source",
            )
        ]
    raw: Sequence[str] = probe.facts["uncompiled"]
    if not raw:
        return []
    total = probe.facts["modules"]
    what = f"{len(raw):,} of {total:,} modules are compiled anew at every start"
    folders = " ".join(shlex.quote(str(folder)) for folder in _tops(map(Path, raw)))
    python = shlex.quote(sys.executable)
    cause = ", or unset PYTHONDONTWRITEBYTECODE" if forbidden else ""
    return [
        _finding("bytecode", what, f"compile them once: {python} -m compileall -q {folders}{cause}")
    ]


def machine_findings(
    processor: Processor,
    limits: Limits,
    *,
    opencv_threads: int | None,
    variables: Mapping[str, str],
) -> list[Finding]:
    """Return where more threads run than there are cores, and what the processor lacks."""
    found: list[Finding] = []
    cores = f"{limits.usable} core{'s' if limits.usable > 1 else ''}"
    if opencv_threads is not None and opencv_threads > limits.usable:
        what = f"OpenCV uses {opencv_threads} threads on {cores}"
        repair = f"set OPENCV_FOR_THREADS_NUM={limits.usable} in the environment"
        found.append(_finding("threads", what, repair))
    for name in THREAD_VARIABLES:
        given = variables.get(name, "")
        if given.isdecimal() and int(given) > limits.usable:
            what = f"{name} asks for {given} threads on {cores}"
            found.append(_finding("threads", what, f"unset {name}, or set it to {limits.usable}"))
    if processor.family == "x86" and "avx2" not in processor.instructions:
        repair = "take a small network (train --backbone squeezenet1_1), or another machine"
        found.append(
            _finding("no_avx2", "the processor lacks AVX2: networks run slowly on it", repair)
        )
    return found


def benchmark_findings(
    probe: Probe, processor: Processor, limits: Limits, load: float, *, given: bool = True
) -> list[Finding]:
    """Return what the self-benchmark showed; ``load`` is that of the machine before it.

    ``given`` is whether model or gallery are the user's, and not what is shipped.
    """
    if probe.status != "fine":
        what = f"encoding and searching failed: {probe.detail}"
        repair = _ILLEGAL if probe.signal == "SIGILL" else f"install again: {_reinstall()}"
        return [_finding("benchmark_failed", what, repair)]
    if refusal := probe.facts.get("refused"):
        # The messages of our own errors say what to do.
        if given:
            return [_finding("files_unusable", "model or gallery cannot be used", refusal)]
        return [_finding("benchmark_failed", "the shipped model cannot be used", refusal)]
    found: list[Finding] = []
    if probe.facts.get("full_range") and processor.needs_reduced_range:
        what = (
            "the model's 8-bit weights need VNNI, without which sums overflow: embeddings are wrong"
        )
        repair = "export it on this machine: boost-edge export RUN --out MODEL --precision int8"
        found.append(_finding("int8_range", what, repair))
    speedup: float | None = probe.facts.get("speedup")
    if speedup is None or speedup >= 1 or not is_quiet(load, limits=limits):
        return found
    what = f"{limits.usable} threads encode {speedup:.2f} times as fast as one"
    repair = f"give --threads 1 (or set {' and '.join(f'{name}=1' for name in THREAD_VARIABLES)})"
    return [*found, _finding("threads_no_gain", what, repair)]


def int8_advice(processor: Processor) -> str:
    """Return what to expect of models with 8-bit weights here; nothing where nothing is known."""
    if processor.has_int8_dot:
        names = ("VNNI", "AMX", "dotprod", "i8mm")
        by = ", ".join(name for name in names if processor.features.get(name))
        return f"models with 8-bit weights should be faster than fp32 here ({by}); measure both"
    if processor.needs_reduced_range:
        return (
            "models with 8-bit weights gain less without VNNI, and need a reduced range (7 bits) "
            "lest sums overflow; measure both"
        )
    if processor.family == "arm":
        return "models with 8-bit weights gain less without dotprod; measure both"
    return ""


def is_quiet(load: float, *, limits: Limits) -> bool:
    """Say whether a load (mean of a minute) leaves the cores to a measurement."""
    return load <= _QUIET * limits.usable


_ILLEGAL = (
    "its wheel is for a newer processor than this one: install an older release of it, or one "
    "built here"
)


def _finding(code: str, what: str, repair: str) -> Finding:
    return Finding(code=code, serious=code in _SERIOUS, what=what, repair=repair)


def _install(probe: Probe) -> str:
    if probe.name not in _PACKAGES:
        return "use a Python that was built with SQLite"
    return _pip([_PACKAGES[probe.name]])


def _replace(probe: Probe) -> str:
    if probe.signal == "SIGILL":
        return _ILLEGAL
    if probe.name not in _PACKAGES:
        return "use a Python whose SQLite works"
    return f"install it again: {_reinstall(_PACKAGES[probe.name])}"


def _reinstall(*packages: str) -> str:
    return _pip(packages or _PACKAGES.values(), "--force-reinstall")


def _pip(packages: Iterable[str], *options: str) -> str:
    """Return the command that installs packages in the releases that we require."""
    required = {_name_of(each): each for each in _requirements()}
    wanted = [shlex.quote(required.get(package, package)) for package in packages]
    return " ".join(["pip install", *options, *wanted])


def _requirements() -> list[str]:
    try:
        return [each for each in requires("boost-edge") or [] if ";" not in each]
    except PackageNotFoundError:
        # Run from a checkout that is not installed.
        return []


def _name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _tops(files: Iterable[Path]) -> list[Path]:
    """Return the packages of some modules, or the modules where they are in none.

    ``compileall`` looks below a folder, but follows no links there: those are named themselves.
    """
    places = {file.parent if (file.parent / "__init__.py").exists() else file for file in files}
    tops: list[Path] = []
    for place in sorted(places):
        if not any(
            place.is_relative_to(top) and place.resolve().is_relative_to(top.resolve())
            for top in tops
        ):
            tops.append(place)
    return tops
