"""How many processors and how much memory this process may use: affinity, and Linux's cgroups.

A container's limit stands in its cgroup or in one above it; the least of them counts. Both versions
of cgroups are read, which may be mounted side by side (man 7 cgroups).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = [
    "Limits",
    "available_threads",
    "cpu_quota",
    "memory_limit",
    "read_limits",
    "usable_cores",
]

_ROOT = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this process may use of the machine.

    ``cores`` the machine has, ``allowed`` are those that the scheduler may put this process on, and
    ``quota`` is how many of them a container may keep busy at once, None without a limit. What
    follows is ``usable``: so many threads make sense. Memory is in bytes: what there is, what is
    free for new work now (None where it is not told), and the container's limit (None without one).
    """

    cores: int
    allowed: int
    quota: float | None
    usable: int
    memory: int
    memory_available: int | None
    memory_limit: int | None


def usable_cores(*, allowed: int, quota: float | None) -> int:
    """Return how many threads have a processor each; a part of one counts as one."""
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def available_threads(root: Path = _ROOT) -> int:
    """Return how many threads this process may keep busy at once."""
    return usable_cores(allowed=len(os.sched_getaffinity(0)), quota=cpu_quota(root))


def read_limits(root: Path = _ROOT) -> Limits:
    """Return the limits of this process; ``root`` is where ``proc`` and ``sys`` are."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = memory_limit(root)
    return Limits(
        cores=os.cpu_count() or allowed,
        allowed=allowed,
        quota=quota,
        usable=usable_cores(allowed=allowed, quota=quota),
        memory=memory,
        memory_available=_available(root),
        # Version 1 says a number that no machine has where there is no limit.
        memory_limit=None if limit is None or limit >= memory else limit,
    )


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many processors' time the cgroup may use, such as 1.5; None without a limit."""
    quotas: list[float] = []
    for folder in _groups(root, "cpu"):
        text = _read(folder / "cpu.max") or " ".join(
            filter(None, (_read(folder / f"cpu.cfs_{each}_us") for each in ("quota", "period")))
        )
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return how many bytes the cgroup may use; None without a limit."""
    limits: list[int] = []
    for folder in _groups(root, "memory"):
        text = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        if text.isdecimal():
            limits.append(int(text))
    return min(limits, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroups that may limit it, and those above them."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            bases = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            bases = [mounted / controllers, mounted / controller]
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        # A process that sees but its own part of the tree may be told a path outside of it.
        inside = [] if ".." in group.parts else [group, *group.parents]
        yield from (base / each for base in bases for each in [*inside, PurePosixPath()])


def _available(root: Path) -> int | None:
    for line in _read(root / "proc" / "meminfo").splitlines():
        key, _, value = line.partition(":")
        number = value.removesuffix("kB").strip()
        if key == "MemAvailable" and number.isdecimal():
            return int(number) * 1024
    return None


def _read(path: Path) -> str:
    """Return a file's text without its last newline; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
