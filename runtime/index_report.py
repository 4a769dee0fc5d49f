"""What indexing did, image by image where something went wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["MOST_NAMED", "Copy", "IndexReport", "Skipped", "Tally"]

T = TypeVar("T")

MOST_NAMED = 1000
"""How many images each list of a report names; it counts them all."""


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

    All counts are exact; each list names the first 1,000 of what a count counts. ``added``,
    ``changed`` (other bytes at a known path), ``renamed`` (known bytes whose old path is gone, or
    has other bytes), ``restored`` (deleted images whose file is there again) and ``unchanged``
    count images.
    ``duplicates`` counts those of the added and changed whose bytes were known already, so that
    they were not encoded again, and ``copies`` names them; ``labelled`` counts the images that
    labels were given for. ``outdated_labels_count`` counts those of the changed that keep labels
    which were given for their old bytes, and ``outdated_labels`` are their paths. ``pruned_count``
    counts the images that are deleted because their file is gone, ``pruned`` are their paths, and
    ``gone`` counts those whose file is gone and that are not deleted. ``skipped_count`` counts the
    files that could not be read, and ``skipped`` says why. ``seconds`` is the time it took. With
    ``dry_run`` this is what would have been done.
    """

    added: int
    changed: int
    renamed: int
    restored: int
    unchanged: int
    duplicates: int
    copies: tuple[Copy, ...]
    labelled: int
    outdated_labels_count: int
    outdated_labels: tuple[str, ...]
    pruned_count: int
    pruned: tuple[str, ...]
    gone: int
    skipped_count: int
    skipped: tuple[Skipped, ...]
    seconds: float
    dry_run: bool


class Tally:
    """Counts what a run does, by the names of a report, and names the first of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._copies: list[Copy] = []
        self._outdated: list[str] = []
        self._pruned: list[str] = []
        self._skipped: list[Skipped] = []

    def copy(self, copy: Copy) -> None:
        """Count a copy."""
        self._count("duplicates", self._copies, copy)

    def outdated(self, path: str) -> None:
        """Count labels that were given for other bytes."""
        self._count("outdated_labels_count", self._outdated, path)

    def prune(self, path: str) -> None:
        """Count an image that is deleted."""
        self._count("pruned_count", self._pruned, path)

    def skip(self, skipped: Skipped) -> None:
        """Count a file that cannot be read."""
        self._count("skipped_count", self._skipped, skipped)

    def report(self, *, seconds: float, dry_run: bool) -> IndexReport:
        """Return it all."""
        counts = self.counts
        return IndexReport(
            added=counts["added"],
            changed=counts["changed"],
            renamed=counts["renamed"],
            restored=counts["restored"],
            unchanged=counts["unchanged"],
            duplicates=counts["duplicates"],
            copies=tuple(self._copies),
            labelled=counts["labelled"],
            outdated_labels_count=counts["outdated_labels_count"],
            outdated_labels=tuple(self._outdated),
            pruned_count=counts["pruned_count"],
            pruned=tuple(self._pruned),
            gone=counts["gone"],
            skipped_count=counts["skipped_count"],
            skipped=tuple(self._skipped),
            seconds=seconds,
            dry_run=dry_run,
        )

    def _count(self, name: str, named: list[T], item: T) -> None:
        self.counts[name] += 1
        if len(named) < MOST_NAMED:
            named.append(item)
