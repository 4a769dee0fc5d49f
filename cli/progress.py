"""Progress bars on stderr, one per stage."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tqdm import tqdm

__all__ = ["Bars"]


class Bars:
    """Shows (stage, done, total) as bars; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[None] | None = None

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
        if self._bar is None or stage != self._stage:
            if self._bar is not None:
                self._bar.close()
            self._stage = stage
            # disable=None asks tqdm to look whether stderr is a terminal.
            self._bar = tqdm(total=total, desc=stage, disable=None, leave=True)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
