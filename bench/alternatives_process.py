"""The processes of ``bench alternatives``: a contender's interpreter, what it says, its size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from boost_edge.bench import contender as contender_script
from boost_edge.runtime.errors import BoostEdgeError

__all__ = [
    "Contender",
    "ContenderAbsentError",
    "describe_environment",
    "run_contender",
    "usable",
]

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "boost-edge": ("boost_edge",),
    "torch-numpy": ("torch", "torchvision", "PIL"),
    "torch-faiss": ("torch", "torchvision", "PIL", "faiss"),
    "fastembed": ("fastembed",),
}
_FIND = (
    "import importlib.util,sys; print([m for m in sys.argv[1:] if not importlib.util.find_spec(m)])"
)
_DESCRIBE = """
import json, sysconfig, pathlib
from importlib.metadata import distributions
place = pathlib.Path(sysconfig.get_paths()["purelib"])
size = sum(p.stat().st_size for p in place.rglob("*") if p.is_file() and not p.is_symlink())
print(json.dumps({"bytes": size, "packages": sum(1 for _ in distributions(path=[str(place)]))}))
"""


class ContenderAbsentError(Exception):
    """A contender cannot run here; the message says why, and becomes the row's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A contender's name and the interpreter of its environment; ``None`` is this one."""

    name: str
    python: Path | None

    @property
    def interpreter(self) -> str:
        """Return the interpreter's path. It is not resolved: it is what finds the environment."""
        return sys.executable if self.python is None else os.fspath(self.python.absolute())


def usable(contender: Contender, task: Mapping[str, Any], folder: Path) -> None:
    """Index a little with a contender, which fills its bytecode cache too.

    Raises
    ------
    ContenderAbsentError
        When what it needs is not installed, or it fails.
    """
    done = _start(contender, ("-c", _FIND, *_NEEDS[contender.name]), folder)
    missing = done.stdout.strip().strip("[]").replace("'", "")
    if done.returncode != 0:
        raise ContenderAbsentError(f"{contender.interpreter} cannot be run")
    if missing:
        raise ContenderAbsentError(
            f"not installed: {missing}; install them, or name the Python of an environment that "
            f"has them with --python {contender.name}=PATH"
        )
    try:
        for measure in ("index", "cold"):
            run_contender(contender, {**task, "store": os.fspath(folder), "do": measure}, folder)
    except BoostEdgeError as error:
        raise ContenderAbsentError(str(error)) from error


def run_contender(contender: Contender, task: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run one task in a new process; what it says, and ``wall_ms`` from start to exit.

    Raises
    ------
    BoostEdgeError
        When it fails.
    """
    # -P: its own folder has modules named as others' packages are.
    script = os.fspath(Path(contender_script.__file__).resolve())
    given = json.dumps({**task, "contender": contender.name})
    started = time.perf_counter_ns()
    done = _start(contender, ("-P", script, given), folder)
    wall = (time.perf_counter_ns() - started) / 1e6
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BoostEdgeError(f"{contender.name} ended with code {done.returncode}: {said[-1]}")
    answer = cast("dict[str, Any]", json.loads(done.stdout.strip().splitlines()[-1]))
    return {**answer, "wall_ms": wall}


def describe_environment(contender: Contender) -> dict[str, Any]:
    """Return the bytes and the number of packages of its environment, where it is its own.

    The environment of this process has what all of boost-edge's extras need, and says nothing.
    """
    if contender.python is None:
        return {"own": False, "installed_bytes": None, "packages": None}
    done = subprocess.run(  # noqa: S603 - an interpreter that the user named
        [contender.interpreter, "-c", _DESCRIBE], capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return {
        "own": True,
        "installed_bytes": found.get("bytes"),
        "packages": found.get("packages"),
    }


def _start(
    contender: Contender, arguments: Sequence[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key != "PYTHONDONTWRITEBYTECODE" and not key.startswith("BOOST_EDGE_")
    }
    if contender.python is not None:
        # Its own packages only.
        environment.pop("PYTHONPATH", None)
    # fastembed's library for downloads would otherwise look for a network.
    environment["HF_HUB_OFFLINE"] = "1"
    environment["PYTHONPYCACHEPREFIX"] = os.fspath(folder / "bytecode")
    try:
        return subprocess.run(  # noqa: S603 - an interpreter with a script of this package
            [contender.interpreter, *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise ContenderAbsentError(f"{contender.interpreter}: {error.strerror}") from error
