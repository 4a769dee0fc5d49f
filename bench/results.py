"""Measurements as JSON files: versioned, with the machine beside the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from boost_edge.bench.machine import describe_machine
from boost_edge.runtime.errors import BoostEdgeError, UsageError
from boost_edge.runtime.replace import replacing

__all__ = ["RESULT_FORMAT_VERSION", "make_result", "read_result", "write_result"]

RESULT_FORMAT_VERSION = 1


def make_result(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of a kind (``quality``, ``latency``) with date and machine."""
    return {
        "format_version": RESULT_FORMAT_VERSION,
        "kind": kind,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        **content,
    }


def read_result(path: Path, *, kind: str | None = None) -> dict[str, Any]:
    """Read a result that ``write_result`` wrote; ``kind`` is what it must be of.

    Raises
    ------
    UsageError
        When the file cannot be read, is no result, or of another format or kind.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: is no JSON ({error}): give a file of bench --out") from error
    result = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    if not isinstance(result.get("kind"), str) or "format_version" not in result:
        raise UsageError(f"{path}: is no result: give a file that bench --out wrote")
    if result["format_version"] != RESULT_FORMAT_VERSION:
        raise UsageError(
            f"{path}: result format {result['format_version']!r} is not known to this version, "
            f"which reads format {RESULT_FORMAT_VERSION}: measure again"
        )
    if kind is not None and result["kind"] != kind:
        raise UsageError(f"{path}: is a result of bench {result['kind']}, not of bench {kind}")
    return result


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result, atomically, its folder made where it is absent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error
