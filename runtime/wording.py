"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number and what it counts: ``1 image``, ``1,000 images``.

    ``plural`` is for nouns that take more than an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
