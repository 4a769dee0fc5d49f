"""Options that belong together, given to a command as one argument."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["option_group"]

_Command = Callable[..., int]


def option_group(
    argument: str, kind: type[Any], options: Sequence[Callable[[_Command], _Command]]
) -> Callable[[_Command], _Command]:
    """Return what gives a command these options, in ``--help`` in this order.

    Parameters
    ----------
    argument
        The name of the command's argument that takes them all.
    kind
        The dataclass of that argument; its fields are named as the options are.
    """

    def give(command: _Command) -> _Command:
        @functools.wraps(command)
        def with_group(**values: Any) -> int:
            own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}
            return command(**{argument: kind(**own)}, **values)

        given: _Command = with_group
        for option in reversed(options):
            given = option(given)
        return given

    return give
