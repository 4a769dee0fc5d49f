"""The table of prices: ours is whole, and one that is not is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boost_edge.bench.prices import PRICES, find_machine, own_price, read_prices
from boost_edge.runtime.errors import UsageError


def test_our_table() -> None:
    """Names are unique, every price is dated, and the note says to check them."""
    table = read_prices()
    names = [machine.name for machine in table.machines]
    assert len(set(names)) == len(names)
    assert "check them" in table.note
    for machine in table.machines:
        year, month = machine.as_of.split("-")
        assert 2024 <= int(year) <= 2030
        assert 1 <= int(month) <= 12
        assert 0 < machine.usd_per_hour < 10
        assert find_machine(table, machine.name) == machine


def test_an_unknown_machine_lists_the_known() -> None:
    """A name that is not in the table is refused with those that are."""
    with pytest.raises(UsageError, match=r"'z80' is not one of aws-c7i\.large, "):
        find_machine(read_prices(), "z80")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 2}, "no table of prices of format 1"),
        ({"extra": 1}, "extra"),
        ({"machines": [{"name": "x"}]}, "missing or unknown keys"),
        ({"machines": 3}, "is no table of prices"),
    ],
)
def test_a_damaged_table_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    """Unknown keys, missing keys and other formats are refused, with the file's name."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(json.loads(PRICES.read_text(encoding="utf-8")) | change))
    with pytest.raises(UsageError, match=said) as caught:
        read_prices(path)
    assert str(path) in str(caught.value)


def test_prices_are_above_zero(tmp_path: Path) -> None:
    """No machine is free, given or in a table; a file that is gone or no JSON is named."""
    for price in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="above 0"):
            own_price(price)
    assert own_price(0.5) == {"name": "given", "usd_per_hour": 0.5}
    path = tmp_path / "prices.json"
    table = json.loads(PRICES.read_text(encoding="utf-8"))
    table["machines"][0]["usd_per_hour"] = 0.0
    path.write_text(json.dumps(table))
    with pytest.raises(UsageError, match="above 0"):
        read_prices(path)
    path.write_text("{")
    with pytest.raises(UsageError, match="is no table of prices"):
        read_prices(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_prices(tmp_path / "gone.json")
