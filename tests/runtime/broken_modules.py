"""Modules that break in the ways in which a wheel for another machine does."""

from __future__ import annotations

from pathlib import Path

__all__ = ["KILLED", "break_module"]

# What an instruction that the processor does not know does to a process.
KILLED = "import os, signal\nos.kill(os.getpid(), signal.{signal})\n"


def break_module(folder: Path, name: str, code: str) -> Path:
    """Make a package whose import runs some code, and return its file."""
    package = folder / name
    package.mkdir(parents=True)
    file = package / "__init__.py"
    file.write_text(code, encoding="utf-8")
    return file
