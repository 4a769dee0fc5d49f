"""Replacing a file: the old one or the new one, never half of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boost_edge.runtime.replace import replacing


def write(path: Path, text: str, *, fail: bool = False) -> None:
    """Replace a file's text, or fail half way."""
    with replacing(path) as temporary:
        temporary.write_text(text)
        if fail:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["file", os.fsdecode(b"f\xffle")])
def test_success_replaces_and_leaves_nothing_else(tmp_path: Path, name: str) -> None:
    """The new content stands under the name; the temporary file is gone."""
    for text in ("old", "new"):
        write(tmp_path / name, text)
        assert (tmp_path / name).read_text() == text
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    """When the block raises, even by Ctrl-C, everything is as it was."""
    write(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", "new", fail=True)
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_appears_when_nothing_was_written(tmp_path: Path) -> None:
    """A block that writes no file is an error, not an empty file."""
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file"):
        pass
    assert list(tmp_path.iterdir()) == []
