"""Options that are numbers: what is none is refused in a line that a person understands."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from boost_edge.cli.ranges import RealNumber, WholeNumber
from boost_edge.cli.reference import commands

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("-k", "x"), "'-k': 'x' is not a valid whole number"),
        (("-k", "1.5"), "'-k': '1.5' is not a valid whole number"),
        (("-k", "0"), "'-k': 0 is not in the range x>=1"),
        (("--min-score", "high"), "'--min-score': 'high' is not a valid number"),
        (("--min-score", "nan"), "'--min-score': 'nan' is not a finite number"),
        (("--unlike-weight", "NaN"), "'--unlike-weight': 'NaN' is not a finite number"),
        (("--unlike-weight", "inf"), "'--unlike-weight': 'inf' is not a finite number"),
        (("--min-score", "2"), "'--min-score': 2.0 is not in the range -1.0<=x<=1.0"),
    ],
)
def test_what_is_no_number_in_range(option: tuple[str, str], said: str, refused: Refused) -> None:
    """The option, what was given and what is wrong, with exit code 2."""
    assert said in refused(2, "query", "img.jpg", *option)


def test_every_option_that_is_a_number_is_one_of_ours() -> None:
    """Click's own types let NaN and infinity pass, and name themselves after its classes."""
    numbers = [
        (context.command_path, parameter.name, parameter.type)
        for context in commands()
        for parameter in context.command.params
        if isinstance(parameter.type, type(click.INT) | type(click.FLOAT))
    ]
    assert len(numbers) > 50
    assert [each for each in numbers if not isinstance(each[2], RealNumber | WholeNumber)] == []
