"""Numbers in a range as options take them, named in errors as a person would name them."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["RealNumber", "WholeNumber"]


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class RealNumber(click.FloatRange):
    """A finite number in a range: NaN and infinity, which click's ranges let pass, are none."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with a line that says what is wrong with it."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number
