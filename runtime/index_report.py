"""What indexing did, image by image where something went wrong."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_COPIES", "Copy", "IndexReport", "Skipped"]

MOST_COPIES = 1000
"""How many copies a report names; it counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An image that was not indexed; ``reason`` is one of ``images.REASONS``."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """An image whose bytes are exactly those of an image that was there before, ``original``."""

    path: str
    original: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What one call of ``Gallery.index`` did.

    ``added``, ``changed`` (other bytes at a known path), ``renamed`` (known bytes whose old path
    is gone), ``restored`` (deleted images whose file is there again) and ``unchanged`` count
    images. ``duplicates`` counts those of the added and changed
    whose bytes were known already, so that they were not encoded again, and ``copies`` names the
    first 1,000 of them; ``labelled`` counts the images that labels were given for. ``pruned`` are
    the paths of images that are deleted because their file is gone, ``gone`` counts those whose
    file is gone and that are not deleted. ``seconds`` is the time it took. With ``dry_run`` this is
    what would have been done.
    """

    added: int
    changed: int
    renamed: int
    restored: int
    unchanged: int
    duplicates: int
    copies: tuple[Copy, ...]
    labelled: int
    pruned: tuple[str, ...]
    gone: int
    skipped: tuple[Skipped, ...]
    seconds: float
    dry_run: bool
