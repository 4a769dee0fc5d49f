"""What the processor uses, where Linux exposes Intel's and AMD's RAPL counters.

``/sys/class/powercap/intel-rapl:N/energy_uj`` counts the microjoules of package N and starts over
at ``max_energy_range_uj`` (Documentation/power/powercap/powercap.rst in Linux). Since 2020 only
root may read it, and virtual machines rarely have it.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["POWERCAP", "EnergyMeter", "open_meter"]

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")


class EnergyMeter:
    """Adds up the energy of all processor packages since it was made; call it for the joules.

    It must be called more often than the counters start over, which takes about an hour.
    """

    def __init__(self, packages: list[Path]) -> None:
        self._ranges = {path: _read(path / "max_energy_range_uj") for path in packages}
        self._last = {path: _read(path / "energy_uj") for path in packages}
        self._total = 0

    def __call__(self) -> float:
        """Return the joules used since the meter was made."""
        for path, last in self._last.items():
            now = _read(path / "energy_uj")
            self._total += now - last if now >= last else now + self._ranges[path] - last
            self._last[path] = now
        return self._total / 1e6


def open_meter(folder: Path = POWERCAP) -> EnergyMeter | None:
    """Return a meter of all packages; ``None`` where a counter is absent or may not be read."""
    try:
        # Sub-zones such as intel-rapl:0:1 are parts of their package.
        packages = sorted(each for each in folder.iterdir() if _PACKAGE.fullmatch(each.name))
        return EnergyMeter(packages) if packages else None
    except (OSError, ValueError):
        return None


def _read(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
