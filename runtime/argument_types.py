"""Arguments of the wrong type are refused at the door, in one line, and not from deep inside."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import TypeVar, cast

import numpy as np

from boost_edge.runtime.errors import UsageError

__all__ = ["as_list", "optional_text", "real_number", "texts", "whole_number"]

T = TypeVar("T")


def whole_number(name: str, value: object, *, least: int) -> int:
    """Return an integer of any kind, NumPy's too, that is at least ``least``.

    Raises
    ------
    UsageError
        When it is something else, or less.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    except TypeError:
        raise UsageError(f"{name} is {value!r}, but must be a whole number") from None
    if number < least:
        raise UsageError(f"{name} is {number}, but must be at least {least}")
    return number


def real_number(name: str, value: object) -> float:
    """Return a number of any kind; UsageError when it is something else."""
    if not isinstance(value, Real):
        raise UsageError(f"{name} is {value!r}, but must be a number")
    return float(value)


def optional_text(name: str, value: object) -> str | None:
    """Return text, or None; UsageError when it is something else."""
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}, but must be text")
    return value


def as_list(name: str, values: Iterable[T], *, one: str) -> list[T]:
    """Return what a list or another collection holds; ``one`` is what to call one of these.

    Raises
    ------
    UsageError
        When it is one thing instead, also one that can be gone through, such as text or an image.
    """
    given = cast("object", values)
    if isinstance(given, str | bytes | np.ndarray) or not isinstance(given, Iterable):
        raise UsageError(f"{name} must be a list: for one {one}, give [{one}]")
    return list(values)


def texts(name: str, values: Iterable[object], *, one: str) -> list[str]:
    """Return the texts of a list; UsageError when it is none, or holds something else."""
    found: list[str] = []
    for each in as_list(name, values, one=one):
        if not isinstance(each, str):
            raise UsageError(f"{name} has {each!r} in it, but must be a list of texts")
        found.append(each)
    return found
