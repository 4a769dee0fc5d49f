"""Which of the images below a folder are wanted: patterns, and hidden names or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.images import IMAGE_SUFFIXES

__all__ = ["EVERYTHING", "Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Patterns for paths relative to the folder that is searched, in the manner of ``fnmatch``.

    ``*`` stands for any characters, slashes too (``**`` is the same), ``?`` for one, ``[ab]`` for
    one of some, ``[!ab]`` for one of all others. A pattern is for the whole path, and upper and
    lower case are different: ``*.jpg`` is in any subfolder, ``thumbs/*`` is all that lies below
    the folder ``thumbs``. An image is wanted when a pattern of ``include`` matches, or there is
    none, and no pattern of ``exclude`` does. Without ``hidden`` names that begin with a dot are
    left out, and what lies below them.

    Raises
    ------
    UsageError
        When the patterns are not a list, or one is empty.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    hidden: bool = False

    def __post_init__(self) -> None:
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            if isinstance(patterns, str):
                raise UsageError(f"{name} is a list of patterns, not {patterns!r} alone")
            if not all(patterns):
                raise UsageError(f"a pattern of {name} is empty: give one such as '*.jpg'")

    def passes(self, relative: str) -> bool:
        """Return whether the patterns let a relative path pass."""
        if self.include and not any(fnmatchcase(relative, each) for each in self.include):
            return False
        return not any(fnmatchcase(relative, each) for each in self.exclude)

    def shows(self, name: str) -> bool:
        """Return whether a name is looked at, be it of a file or a folder."""
        return self.hidden or not name.startswith(".")

    def takes(self, relative: str) -> bool:
        """Return whether a file with a relative path is wanted, if a search gets there."""
        name = relative.rpartition("/")[2]
        stem, dot, end = name.rpartition(".")
        is_image = bool(stem) and f"{dot}{end}".lower() in IMAGE_SUFFIXES
        return is_image and self.shows(name) and self.passes(relative)

    def enters(self, relative: str) -> bool:
        """Return whether anything below a folder can be wanted."""
        # What ends in a star and matches the folder with its slash matches all that is below it.
        return not any(
            each.endswith("*") and fnmatchcase(f"{relative}/", each) for each in self.exclude
        )


EVERYTHING = Selection()
"""All images that are not hidden."""
