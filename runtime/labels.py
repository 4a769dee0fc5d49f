"""What the user says about images: texts by the names of attributes, whoever hands them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from boost_edge.runtime.crawl import absolute
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.records import NOT_TEXT, is_text

__all__ = ["flaw_of_labels", "labels_by_path"]


def flaw_of_labels(labels: object) -> str:
    """Return what is wrong with the labels of one image; nothing where all is well."""
    if not isinstance(labels, Mapping):
        return "its labels are no mapping"
    for name, value in cast("Mapping[object, object]", labels).items():
        if not isinstance(name, str):
            return f"the name of its label {name!r} is not text"
        if not isinstance(value, str):
            return f"its label {name} is {value!r}, not text"
        if not (is_text(name) and is_text(value)):
            return f"its label {name!r} is {value!r}: it holds {NOT_TEXT}"
    return ""


def labels_by_path(labels: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return a caller's labels by absolute path.

    Raises
    ------
    UsageError
        When they are anything but path -> attribute -> value, all of them text.
    """
    given: Any = labels
    if not isinstance(given, Mapping):
        raise UsageError("labels must be a mapping: path -> attribute -> value")
    by_path: dict[str, dict[str, str]] = {}
    for path, cells in labels.items():
        if flaw := flaw_of_labels(cells):
            raise UsageError(f"labels of {path}: {flaw}")
        by_path[absolute(path)] = dict(cells)
    return by_path
