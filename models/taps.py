"""Taps: where features are taken from a backbone, and on how fine a grid they are pooled.

A tap is written as the name of a stage, ``layer3``, or with a grid, ``layer3:4x4``: then the
stage's map is averaged over each of 4 x 4 cells instead of over the whole image, so that the
features say what is where. Of a vision transformer a plain tap is the class token; the map
that a grid is laid on are the tokens of the patches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn.functional import avg_pool2d

from boost_edge.runtime.errors import UsageError

__all__ = ["Tap", "pool_grid"]

# Beyond this a cell is hardly larger than a value of the map.
_FINEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """One tap: the stage's name, and the number of cells along each edge (1: no grid)."""

    stage: str
    grid: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``layer3`` or ``layer3:4x4``.

        Raises
        ------
        UsageError
            When the grid is not square, or not of 1 to 8 cells along an edge.
        """
        stage, colon, grid = text.strip().partition(":")
        if not colon:
            return cls(stage=stage)
        match = re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", grid)
        if not match or match[1] != match[2] or not 1 <= int(match[1]) <= _FINEST:
            raise UsageError(
                f"tap {text.strip()!r}: {grid!r} is no grid: write 2x2, 3x3 and so on up to "
                f"{_FINEST}x{_FINEST}"
            )
        return cls(stage=stage, grid=int(match[1]))

    @property
    def name(self) -> str:
        """Return the tap as it is written; a grid of one cell is not."""
        return self.stage if self.grid == 1 else f"{self.stage}:{self.grid}x{self.grid}"

    @property
    def cells(self) -> int:
        """Return the number of cells."""
        return self.grid * self.grid


def pool_grid(values: Tensor, grid: int) -> Tensor:
    """Average a map ``(N, C, H, W)`` over each cell: ``(N, C grid^2)``, by channel, row, column.

    All cells are of one size, the smallest with which they cover the map, so they overlap where
    ``grid`` does not divide its edge. H and W must be at least ``grid``.
    """
    if grid == 1:
        return values.mean(dim=(2, 3))
    steps = [edge // grid for edge in values.shape[2:]]
    sizes = [edge - (grid - 1) * step for edge, step in zip(values.shape[2:], steps, strict=True)]
    return avg_pool2d(values, sizes, steps).flatten(1)
