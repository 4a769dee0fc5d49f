"""Import a library in a process of its own, where a crash is an answer.

A wheel that was built for another processor kills the process that imports it. So nothing of what
is probed is imported here: a fresh interpreter with the same search path does it, and tells what it
found in one line of JSON.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, cast

__all__ = [
    "LIBRARIES",
    "ORDERS",
    "Probe",
    "Status",
    "ask_process",
    "probe_library",
    "probe_order",
    "probe_start",
]

Status = Literal["fine", "absent", "failed", "crashed", "hung"]

# How long an import may take: a slow disk and no compiled bytecode are no reason to give up.
_SECONDS = 120

# The module, how it is imported, and what it is asked then.
LIBRARIES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "numpy": ("numpy", "import numpy", "{'version': numpy.__version__}"),
        "opencv": (
            "cv2",
            "import cv2",
            "{'version': cv2.__version__, 'threads': cv2.getNumThreads()}",
        ),
        "onnxruntime": (
            "onnxruntime",
            "import onnxruntime",
            "{'version': onnxruntime.__version__}",
        ),
        "usearch": ("usearch", "import usearch.index", "{'version': usearch.__version__}"),
        "sqlite": (
            "sqlite3",
            "import sqlite3",
            "{'version': sqlite3.sqlite_version, 'threadsafety': sqlite3.threadsafety}",
        ),
    }
)
ORDERS: tuple[tuple[str, str], ...] = (("usearch", "onnxruntime"), ("onnxruntime", "usearch"))
"""Libraries that must be importable one after the other, in both orders (docs/decisions/0002)."""

# A crash leaves no core file. faulthandler says where it was.
_BEGIN = """
import faulthandler, json, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
faulthandler.enable()
sys.path[:] = json.loads(sys.argv.pop(1))
def tell(**said):
    sys.stdout.flush()
    print("\\n" + json.dumps(said), flush=True)
try:
"""
_END = """
except BaseException as error:
    tell(error=type(error).__name__, said=" ".join(str(error).split()),
         missing=getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None)
"""
# What a query imports, and how many of these modules Python compiles anew at each start.
_START = """
import time
started, before = time.perf_counter(), set(sys.modules)
import click, tqdm
import boost_edge.runtime.encoder, boost_edge.runtime.gallery, boost_edge.runtime.hnsw
took = time.perf_counter() - started
import os
specs = [getattr(sys.modules[name], "__spec__", None) for name in sorted(set(sys.modules) - before)]
sources = [each for each in specs if each and each.cached and str(each.origin).endswith(".py")]
raw = [each.origin for each in sources if not os.path.exists(each.cached)]
tell(facts={"seconds": took, "modules": len(sources), "uncompiled": raw,
            "writes": not sys.dont_write_bytecode})
"""
# Of the frames that faulthandler prints, those of a file.
_PLACE = re.compile(r'^  File "(?P<file>(?!<frozen)[^"]*)", line (?P<line>\d+)', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a process ended that did what ``name`` says, and what it told.

    ``status`` is ``fine`` where it told ``facts``, ``absent`` where it lacks the module itself,
    ``failed`` where it told an error or nothing, ``crashed`` where ``signal`` (such as ``SIGILL``)
    killed it, and ``hung`` where it had to be stopped. ``detail`` says so in one line, nothing when
    fine; ``seconds`` is how long it took.
    """

    name: str
    status: Status
    detail: str
    signal: str | None
    facts: Mapping[str, Any]
    seconds: float

    @property
    def version(self) -> str | None:
        """The version that the library told."""
        return self.facts.get("version")


def probe_library(name: str) -> Probe:
    """Import one of `LIBRARIES`; its version is part of the answer."""
    module, statement, question = LIBRARIES[name]
    return ask_process(name, f"{statement}\ntell(facts={question})", module=module)


def probe_order(names: Sequence[str]) -> Probe:
    """Import some of `LIBRARIES` one after the other."""
    statements = [LIBRARIES[name][1] for name in names]
    return ask_process(", ".join(names), "\n".join([*statements, "tell(facts={})"]))


def probe_start() -> Probe:
    """Import what a query does.

    The facts are ``seconds`` of importing, the number of ``modules`` in Python, the files of those
    that are ``uncompiled``, and whether Python ``writes`` what it compiled.
    """
    return ask_process("boost_edge", _START)


def ask_process(
    name: str,
    code: str,
    arguments: Sequence[str] = (),
    *,
    module: str | None = None,
    seconds: float = _SECONDS,
) -> Probe:
    """Run Python code in a fresh process that has this one's search path.

    Parameters
    ----------
    name
        What to call it.
    code
        It calls ``tell(facts={...})`` with what JSON can hold.
    arguments
        What it finds in ``sys.argv[1:]``.
    module
        What it imports: it is ``absent`` where that is what cannot be found.
    seconds
        After so long it is stopped.
    """
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    command = [sys.executable, "-c", _BEGIN + indented + _END, json.dumps(sys.path), *arguments]
    ended = partial(_ended, name, started=time.perf_counter())
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and the code above
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ended("hung", f"it did not end within {seconds:.0f} seconds")
    errors = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0:
        by = _signal_name(-done.returncode)
        return ended("crashed", _crash(by, -done.returncode, errors), signal=by)
    told = _told(done.stdout)
    if told is None:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        return ended("failed", f"it ended with exit code {done.returncode}: {last}")
    if "facts" in told:
        return ended("fine", "", facts=told["facts"])
    # The C part of a module of the standard library has its name with an underscore.
    missing = str(told["missing"]).removeprefix("_")
    return ended("absent" if missing == module else "failed", f"{told['error']}: {told['said']}")


def _ended(
    name: str,
    status: Status,
    detail: str,
    *,
    started: float,
    signal: str | None = None,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Probe:
    took = time.perf_counter() - started
    return Probe(name=name, status=status, detail=detail, signal=signal, facts=facts, seconds=took)


def _told(output: bytes) -> dict[str, Any] | None:
    """Return what a process told; it may have printed other things before."""
    lines = output.splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    said = cast("dict[str, Any]", told)
    return said if said.keys() & {"facts", "error"} else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # The real-time signals have none.
        return f"signal {number}"


def _crash(name: str, number: int, errors: str) -> str:
    """Return what killed a process, and where it was then, as far as that is known."""
    meaning = signal.strsignal(number) or "unknown"
    place = _PLACE.search(errors.partition("Fatal Python error")[2])
    where = f" at {place['file']}:{place['line']}" if place else ""
    return f"killed by {name} ({meaning.lower()}){where}"
