"""Measurements as JSON files: versioned, with the machine beside the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boost_edge.bench.machine import describe_machine
from boost_edge.runtime.errors import BoostEdgeError
from boost_edge.runtime.replace import replacing

__all__ = ["RESULT_FORMAT_VERSION", "make_result", "write_result"]

RESULT_FORMAT_VERSION = 1


def make_result(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of a kind (``quality``, ``agreement``) with date and machine."""
    return {
        "format_version": RESULT_FORMAT_VERSION,
        "kind": kind,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        **content,
    }


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result, atomically, its folder made where it is absent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error
