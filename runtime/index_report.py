"""What indexing did, image by image where something went wrong."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IndexReport", "Skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An image that was not indexed; ``reason`` is one of ``images.REASONS``."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What one call of ``Gallery.index`` did.

    ``added``, ``changed`` (other bytes at a known path), ``renamed`` (known bytes whose old path
    is gone) and ``unchanged`` count images. ``duplicates`` counts those of the added and changed
    whose bytes were known already, so that they were not encoded again; ``labelled`` counts the
    images that labels were given for. ``seconds`` is the time it took.
    """

    added: int
    changed: int
    renamed: int
    unchanged: int
    duplicates: int
    labelled: int
    skipped: tuple[Skipped, ...]
    seconds: float
