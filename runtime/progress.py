"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total), ``done`` rising to ``total`` within a stage."""


def silent(stage: str, done: int, total: int) -> None:
    """Take no notice: the progress of callers that want none."""
