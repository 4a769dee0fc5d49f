"""What a process may use: affinity, and cgroups of both versions as containers show them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boost_edge.runtime.process_limits import (
    available_threads,
    cpu_quota,
    memory_limit,
    read_limits,
    usable_cores,
)

GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    """Make files below a root, and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CASES: dict[str, tuple[dict[str, str], float | None, int | None]] = {
    # A container of Docker with its own view of version 2: --cpus 1.5 --memory 1g.
    "version 2": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": "1073741824\n",
        },
        1.5,
        GIB,
    ),
    # A service of systemd: the limit is the slice's, above it.
    "a limit above": (
        {
            "proc/self/cgroup": "0::/shop.slice/search.service\n",
            "sys/fs/cgroup/shop.slice/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/shop.slice/memory.max": "2147483648\n",
            "sys/fs/cgroup/shop.slice/search.service/cpu.max": "max 100000\n",
            "sys/fs/cgroup/shop.slice/search.service/memory.max": "max\n",
        },
        2.0,
        2 * GIB,
    ),
    # The least counts.
    "limits in two places": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
        },
        1.0,
        None,
    ),
    # A container of version 1 is told the host's path, and has its own files at the root.
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/docker/4f3a\n4:cpu,cpuacct:/docker/4f3a\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
        },
        0.5,
        GIB,
    ),
    "version 1 without a limit": (
        {
            "proc/self/cgroup": "2:cpu:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
        None,
    ),
    "a path outside": (
        {"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"},
        3.0,
        None,
    ),
    "no limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        None,
        None,
    ),
    "no cgroups": ({}, None, None),
    "nonsense": (
        {
            "proc/self/cgroup": "?\n0::/\n",
            "sys/fs/cgroup/cpu.max": "1 0\n",
            "sys/fs/cgroup/memory.max": "much\n",
        },
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_limits_of_cgroups(case: str, tmp_path: Path) -> None:
    """Quota and memory, in whichever version and wherever above the process they stand."""
    files, quota, memory = CASES[case]
    root = write(tmp_path, files)
    assert cpu_quota(root) == quota
    allowed = len(os.sched_getaffinity(0))
    assert available_threads(root) == usable_cores(allowed=allowed, quota=quota)
    assert memory_limit(root) == memory


@pytest.mark.parametrize(
    ("allowed", "quota", "usable"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.1, 1), (2, 16.0, 2), (1, None, 1)],
)
def test_usable_cores(allowed: int, quota: float | None, usable: int) -> None:
    """The smaller of what is allowed and what the quota keeps busy, and one at least."""
    assert usable_cores(allowed=allowed, quota=quota) == usable


def test_this_process(tmp_path: Path) -> None:
    """Affinity counts, a limit of memory that no machine reaches is none, and sizes are bytes."""
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n",
            "proc/meminfo": "MemTotal:       24064440 kB\nMemAvailable:    1048576 kB\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    found = read_limits(root)
    assert (found.memory_limit, found.memory_available) == (None, GIB)
    assert found.cores == os.cpu_count()
    assert found.usable == found.allowed == len(os.sched_getaffinity(0))
    real = read_limits()
    assert real.memory_available is not None
    assert real.memory > real.memory_available > 0


def test_affinity_is_seen() -> None:
    """A process that is kept to one processor may use one."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from boost_edge.runtime.process_limits import read_limits; print(read_limits().usable)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
