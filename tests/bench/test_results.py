"""Results as files: read back as written, refused when they are something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from boost_edge.bench.results import make_result, read_result, write_result
from boost_edge.runtime.errors import UsageError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A result comes back as it was, with the machine it was made on."""
    result = make_result("latency", {"rows": [{"p50_ms": 1.5}]})
    write_result(tmp_path / "new" / "result.json", result)
    assert read_result(tmp_path / "new" / "result.json", kind="latency") == result
    machine = result["machine"]
    assert machine["memory_bytes"] > 0
    assert isinstance(machine["instructions"], list)
    assert machine["libraries"]["numpy"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "is no result"),
        ('{"kind": "latency"}', "is no result"),
        ('{"kind": 3, "format_version": 1}', "is no result"),
        ('{"kind": "latency", "format_version": 2}', "format 2 is not known"),
        ('{"kind": "quality", "format_version": 1}', "of bench quality, not of bench latency"),
    ],
)
def test_anything_else_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """What is no result of the wanted kind is refused in one line that names the file."""
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_result(path, kind="latency")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is wrong usage."""
    with pytest.raises(UsageError, match="No such file"):
        read_result(tmp_path / "gone.json")
