"""Energy counters, where a folder looks like Linux's."""

from __future__ import annotations

from pathlib import Path

import pytest

from boost_edge.bench.energy import open_meter


def write_counter(folder: Path, name: str, microjoules: int) -> None:
    """Write one counter that starts over at 1,000 J."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text("1000000000\n")


def test_packages_are_added_up(tmp_path: Path) -> None:
    """Packages count, their parts and other zones do not."""
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl-mmio:0"):
        write_counter(tmp_path, name, 5_000_000)
    meter = open_meter(tmp_path)
    assert meter is not None
    assert meter() == 0.0
    write_counter(tmp_path, "intel-rapl:0", 7_000_000)
    write_counter(tmp_path, "intel-rapl:1", 5_500_000)
    write_counter(tmp_path, "intel-rapl:0:0", 99_000_000)
    assert meter() == pytest.approx(2.5)
    assert meter() == pytest.approx(2.5)


def test_a_counter_that_starts_over(tmp_path: Path) -> None:
    """A counter below its last value has passed its range."""
    write_counter(tmp_path, "intel-rapl:0", 999_000_000)
    meter = open_meter(tmp_path)
    assert meter is not None
    write_counter(tmp_path, "intel-rapl:0", 2_000_000)
    assert meter() == pytest.approx(3.0)


def test_what_is_not_exposed(tmp_path: Path) -> None:
    """No folder, no package, a counter that is gone or says no number: there is no meter."""
    assert open_meter(tmp_path / "gone") is None
    assert open_meter(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert open_meter(tmp_path) is None
    write_counter(tmp_path, "intel-rapl:0", 1)
    assert open_meter(tmp_path) is not None
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    assert open_meter(tmp_path) is None
