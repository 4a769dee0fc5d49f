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
    is gone), ``restored`` (deleted images whose file is there again) and ``unchanged`` count
    images. ``duplicates`` counts those of the added and changed
    whose bytes were known already, so that they were not encoded again; ``labelled`` counts the
    images that labels were given for. ``pruned`` are the paths of images that are deleted because
    their file is gone. ``seconds`` is the time it took. With ``dry_run`` this is what would have
    been done.
    """

    added: int
    changed: int
    renamed: int
    restored: int
    unchanged: int
    duplicates: int
    labelled: int
    pruned: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    seconds: float
    dry_run: bool
