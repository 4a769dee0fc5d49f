"""Progress on stderr, shown where that is a terminal: bars, or the names of steps."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import click

from boost_edge.cli.render import warn

__all__ = ["Bars", "show_step"]


def show_step(step: str) -> None:
    """Name a step of work that cannot be counted as it begins."""
    if sys.stderr and sys.stderr.isatty():
        click.echo(f"{step} ...", err=True)


class Bars:
    """Shows (stage, done, total) as bars; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of a stage are finished."""
        bar = self._bar
        if bar is None or stage != self._stage:
            if bar is not None:
                bar.close()
            # Most queries show nothing, and start sooner without it.
            from tqdm import tqdm

            # disable=None asks tqdm to look whether stderr is a terminal.
            bar = tqdm(total=total, desc=stage, disable=None)
            self._stage, self._bar = stage, bar
        bar.total = total
        bar.update(done - bar.n)

    def warn(self, message: str) -> None:
        """Print one line to stderr, above the bar where there is one."""
        if self._bar is not None:
            self._bar.clear()
        warn(message)
