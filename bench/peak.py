"""The most memory that this process has held so far."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["peak_bytes"]

# Linux counts memory in this.
_KIB = 1024


def peak_bytes() -> int:
    """Return the most memory that this process held, mapped pages of files among it."""
    # On Linux ``ru_maxrss`` begins with what the process held that started this one.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
