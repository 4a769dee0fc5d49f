"""Plain data classes to JSON and back, strictly: nothing missing, nothing unknown.

A field whose default is ``None`` or ``()`` came to a record later. It may be missing, as files from
before do not have it; where it is empty it is not written, so that earlier versions read the rest.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, cast

__all__ = ["NOT_TEXT", "format_version_of", "is_text", "record_from_json", "record_to_json"]

T = TypeVar("T")

NOT_TEXT = "NUL or half of a surrogate pair, which no text has"
"""What there is in a text that `is_text` refuses."""

_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Return whether a string is text: JSON can hold others, but SQLite cuts or refuses them."""
    return not _NOT_TEXT.search(value)


def record_to_json(record: Any) -> str:
    """Return a data class as JSON text with sorted keys, the same for equal records."""
    return json.dumps(_plain(record), sort_keys=True, ensure_ascii=False)


def format_version_of(raw: Any) -> Any:
    """Return the ``format_version`` of decoded JSON; ``None`` where there is none."""
    return cast("dict[str, Any]", raw).get("format_version") if isinstance(raw, dict) else None


def record_from_json(kind: type[T], raw: Any, where: str) -> T:
    """Build a data class from decoded JSON; ``where`` names it in errors.

    Raises
    ------
    ValueError
        When a key is missing or unknown, or a value is not of the annotated type.
    """
    try:
        record: T = _build(kind, raw, where)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return record


def _plain(value: Any) -> Any:
    """Return what JSON can write, records within records too."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        absent = {name for name, empty in _later(value).items() if found[name] == empty}
        return {name: _plain(each) for name, each in found.items() if name not in absent}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    return value


def _build(annotation: Any, value: Any, where: str) -> Any:
    """Turn decoded JSON into the annotated type, refusing anything that does not fit exactly."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        fields = _object(value, where)
        hints = typing.get_type_hints(annotation)
        if wrong := sorted((set(fields) ^ set(hints)) - (set(_later(annotation)) - set(fields))):
            raise ValueError(f"{where} has missing or unknown keys: {', '.join(wrong)}")
        return annotation(
            **{
                name: _build(hints[name], value, f"{where}.{name}")
                for name, value in fields.items()
            }
        )
    # What has a Literal in it is the older kind.
    if origin in (types.UnionType, typing.Union):
        if type(value) in arguments:
            # Before any conversion: 1 of ``float | int`` stays an int.
            return value
        for option in arguments:
            try:
                return _build(option, value, where)
            except (TypeError, ValueError):
                continue
        raise TypeError(f"{where} is {value!r}")
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {value!r}, not one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{where} is not a list")
        entries = cast("Sequence[Any]", value)
        return tuple(_build(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(entries))
    if origin is dict:
        items = _object(value, where)
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in items.items()}
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not annotation and not (annotation is types.NoneType and value is None):
        raise TypeError(f"{where} is {value!r}")
    return value


def _later(record: Any) -> dict[str, Any]:
    """Return the fields that may be missing, and what they are then."""
    return {
        field.name: field.default
        for field in dataclasses.fields(record)
        if field.default is None or field.default == ()
    }


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{where} is not an object")
    return cast("dict[str, Any]", value)
