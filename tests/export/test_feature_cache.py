"""The feature cache: what goes in comes out, between processes too; where it stands."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from boost_edge.export.feature_cache import FeatureCache, cache_dir
from boost_edge.runtime.errors import UsageError

_WRITER = """
import hashlib, sys
import numpy as np
from pathlib import Path
from boost_edge.export.feature_cache import FeatureCache

with FeatureCache(Path(sys.argv[1]), width=3) as cache:
    for start in range(0, 200, 5):
        numbers = range(start, start + 5)
        digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in numbers]
        cache.put(digests, np.array([[n, n / 3, -n] for n in numbers], dtype=np.float32))
    found = [cache.get(hashlib.sha256(b"%d" % number).hexdigest()) for number in range(200)]
    print(sum(vector is not None for vector in found))
"""


def _digest(number: int) -> str:
    return f"{number:064x}"


def test_what_is_put_comes_out_bit_by_bit(tmp_path: Path) -> None:
    """Vectors come back equal in every bit, special values included; others are absent."""
    vectors = np.array([[0.1, -0.0], [np.inf, 1e-45], [3.4e38, np.nan]], dtype=np.float32)
    path = tmp_path / "new" / "folder" / "cache.sqlite"
    with FeatureCache(path, width=2) as cache:
        cache.put([_digest(number) for number in range(3)], vectors)
    with FeatureCache(path, width=2) as cache:
        for number, vector in enumerate(vectors):
            found = cache.get(_digest(number))
            assert found is not None
            assert found.tobytes() == vector.tobytes()
        assert cache.get(_digest(3)) is None


def test_a_vector_of_another_width_is_absent(tmp_path: Path) -> None:
    """A row that does not fit is not there, and may be put again."""
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, width=2) as cache:
        cache.put([_digest(0)], np.ones((1, 2), dtype=np.float32))
    with FeatureCache(path, width=3) as cache:
        assert cache.get(_digest(0)) is None
        cache.put([_digest(0)], np.ones((1, 3), dtype=np.float32))
        assert cache.get(_digest(0)) is not None


def test_a_closed_cache_holds_nothing(tmp_path: Path) -> None:
    """After closing, nothing is found or kept, and closing again does no harm."""
    cache = FeatureCache(tmp_path / "cache.sqlite", width=1)
    cache.put([_digest(0)], np.ones((1, 1), dtype=np.float32))
    cache.close()
    cache.close()
    assert cache.get(_digest(0)) is None
    cache.put([_digest(1)], np.ones((1, 1), dtype=np.float32))
    with FeatureCache(tmp_path / "cache.sqlite", width=1) as again:
        assert again.get(_digest(1)) is None


@pytest.mark.parametrize("reading_first", [False, True])
def test_trouble_in_the_middle_ends_the_caching_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reading_first: bool
) -> None:
    """A table that vanishes while it is used is one warning; later calls find nothing."""
    path = tmp_path / "cache.sqlite"
    with FeatureCache(path, width=1) as cache:
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE feature")
        other.close()
        if reading_first:
            assert cache.get(_digest(0)) is None
        cache.put([_digest(0)], np.ones((1, 1), dtype=np.float32))
        assert cache.get(_digest(0)) is None
    assert caplog.text.count("going on without this feature cache") == 1


def test_what_is_no_damage_is_not_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the file cannot be opened for another reason than damage, it is left alone."""
    path = tmp_path / "cache.sqlite"
    path.mkdir()
    with FeatureCache(path, width=1) as cache:
        assert cache.get(_digest(0)) is None
    assert path.is_dir()
    assert "going on without a feature cache" in caplog.text


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_share_a_file(tmp_path: Path, damaged: bool) -> None:
    """Processes that write one file at once, even a damaged one, all find all vectors."""
    path = tmp_path / "cache.sqlite"
    if damaged:
        path.write_bytes(b"no database " * 1000)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    results = [writer.communicate(timeout=120) for writer in writers]
    assert [out.strip() for out, _ in results] == ["200"] * 3
    warnings = "".join(err for _, err in results)
    assert warnings.count("built anew") == (1 if damaged else 0)
    assert warnings.count("going on without") == 0


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BOOST_EDGE_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/boost-edge"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/boost-edge"),
        ({"XDG_CACHE_HOME": ""}, "/home/someone/.cache/boost-edge"),
        ({"BOOST_EDGE_CACHE_DIR": ""}, "/home/someone/.cache/boost-edge"),
    ],
)
def test_where_the_cache_stands(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """Our own variable goes before XDG's, which must be absolute, and that before the home."""
    for name in ("BOOST_EDGE_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container with a made-up user there is no home: the message names the variable."""
    for name in ("BOOST_EDGE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)
    with pytest.raises(UsageError, match="BOOST_EDGE_CACHE_DIR"):
        cache_dir()
