"""What a machine costs an hour: a table to edit, in ``bench/prices.json`` or a file like it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.records import format_version_of, record_from_json

__all__ = [
    "PRICES",
    "Machine",
    "PriceTable",
    "describe_price",
    "find_machine",
    "own_price",
    "read_prices",
]

PRICES = Path(__file__).with_name("prices.json")
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine's price in US dollars an hour, and the month (``YYYY-MM``) it was noted in."""

    name: str
    provider: str
    cpus: int
    memory_gib: int
    usd_per_hour: float
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """A file of prices; ``note`` says what they are."""

    format_version: int
    note: str
    machines: tuple[Machine, ...]


def read_prices(path: Path = PRICES) -> PriceTable:
    """Read a table of prices.

    Raises
    ------
    UsageError
        When the file cannot be read, or is not of the form of ``bench/prices.json``.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if format_version_of(raw) != _FORMAT_VERSION:
            raise UsageError(f"{path}: is no table of prices of format {_FORMAT_VERSION}")
        table = record_from_json(PriceTable, raw, "prices")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: is no table of prices ({error})") from error
    for machine in table.machines:
        _check(machine.usd_per_hour, f"{path}: {machine.name}")
    return table


def find_machine(table: PriceTable, name: str) -> Machine:
    """Return the machine of a name; `UsageError` when there is none."""
    for machine in table.machines:
        if machine.name == name:
            return machine
    known = ", ".join(machine.name for machine in table.machines)
    raise UsageError(f"machine {name!r} is not one of {known}")


def describe_price(price: Mapping[str, Any]) -> str:
    """Return in words how old the price of a result of ``bench cost`` is; empty: a user's own."""
    return f" (list price of {price['as_of']}: check it)" if "as_of" in price else ""


def own_price(usd_per_hour: float) -> dict[str, Any]:
    """Return a price that the user gave, as results hold it; `UsageError` unless above 0."""
    _check(usd_per_hour, "the price")
    return {"name": "given", "usd_per_hour": usd_per_hour}


def _check(usd_per_hour: float, what: str) -> None:
    if not 0 < usd_per_hour < float("inf"):
        raise UsageError(f"{what} is {usd_per_hour} dollars an hour, but must be above 0")
