"""Run a part of a measurement in a process of its own, so that its time and memory are its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from boost_edge.runtime.errors import BoostEdgeError

__all__ = ["run_python"]


def run_python(
    arguments: Sequence[str], *, what: str, environment: Mapping[str, str] | None = None
) -> str:
    """Return what this interpreter prints when it is started with the arguments.

    Parameters
    ----------
    what
        What is done there, for an error.
    environment
        All of its environment; ``None`` for this process's.

    Raises
    ------
    BoostEdgeError
        When it fails; with the last line that it said.
    """
    done = subprocess.run(  # noqa: S603 - this interpreter, with arguments of our own
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BoostEdgeError(f"{what} failed: {last}")
    return done.stdout
