"""Up to how many images search is exact: beyond, the graph is faster (docs/decisions/0006)."""

from __future__ import annotations

__all__ = ["EXACT_BYTES", "EXACT_IMAGES", "exact_limit_for"]

EXACT_IMAGES = 20_000
EXACT_BYTES = 40 * 2**20
"""No more images, and no more bytes of their embeddings, are searched exactly."""

_FLOAT_BYTES = 4


def exact_limit_for(dimensions: int, limit: int | None = None) -> int:
    """Return up to how many images search is exact: ``limit``, unless that is None."""
    if limit is not None:
        return limit
    return min(EXACT_IMAGES, EXACT_BYTES // (_FLOAT_BYTES * dimensions))
