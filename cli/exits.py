"""What each ending of a command means to the shell; the one place where errors become codes."""

from __future__ import annotations

from enum import IntEnum

from boost_edge.runtime.errors import BoostEdgeError, GateError, IntegrityError, UsageError

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(IntEnum):
    """The exit codes of ``boost-edge``."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 3
    INTEGRITY = 4
    GATE = 5
    INTERRUPTED = 130


_CODES: tuple[tuple[type[BoostEdgeError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (IntegrityError, ExitCode.INTEGRITY),
    (GateError, ExitCode.GATE),
)


def exit_code_of(error: BoostEdgeError) -> ExitCode:
    """Return the exit code of an error that ended a command."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED
