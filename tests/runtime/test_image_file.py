"""Reading bytes: any name works, nothing blocks, and every failure has its reason."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.image_file import MAX_BYTES, content_digest, read_bytes
from boost_edge.runtime.images import REASONS


@contextlib.contextmanager
def unprivileged() -> Generator[None]:
    """Give up root's rights for a while: root may read everything."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def reason(path: str | Path) -> str:
    """Return the reason why a path cannot be read."""
    with pytest.raises(ImageError) as caught:
        read_bytes(path)
    assert caught.value.path == os.fspath(path)
    assert caught.value.reason in REASONS
    return caught.value.reason


@pytest.mark.parametrize(
    "name",
    [b"plain.jpg", b"two\nlines.jpg", b"caf\xe9 latin-1.jpg", b"\xff\xfe", b"-rf", "ü".encode()],
)
def test_any_name_can_be_read(tmp_path: Path, name: bytes) -> None:
    """Names with line breaks, leading dashes and bytes that are not UTF-8 are names."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"content")
    assert read_bytes(path) == b"content"
    assert read_bytes(str(path)) == b"content"


def test_link_to_a_file_is_read(tmp_path: Path) -> None:
    """A symbolic link is followed."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b"content"


def test_missing_files(tmp_path: Path) -> None:
    """No such name, a link to nothing and a file used as a folder are all missing."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("absent", "link", "file/below"):
        assert reason(tmp_path / name) == "missing"


def test_fifo_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO without a writer does not block."""
    os.mkfifo(tmp_path / "fifo.jpg")
    assert reason(tmp_path / "fifo.jpg") == "not_a_file"


def test_folder_socket_and_device_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no regular file is refused without being opened."""
    monkeypatch.chdir(tmp_path)  # a socket's name has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        assert reason("socket.jpg") == "not_a_file"
    assert reason(tmp_path) == "not_a_file"
    assert reason("/dev/zero") == "not_a_file"


def test_empty_file(tmp_path: Path) -> None:
    """A file without bytes is empty."""
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "empty"


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file over the limit, sparse or not, is too large."""
    with (tmp_path / "huge.tif").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert reason(tmp_path / "huge.tif") == "too_large"


def test_impossible_names(tmp_path: Path) -> None:
    """A zero byte, links in a circle and an endless name are unreadable, not a crash."""
    (tmp_path / "circle").symlink_to("circle")
    for path in (str(tmp_path / "a\0b"), tmp_path / "circle", tmp_path / ("x" * 300)):
        assert reason(path) == "unreadable"


def test_forbidden_file(tmp_path: Path) -> None:
    """A file that may not be read says permission."""
    (tmp_path / "secret.jpg").write_bytes(b"content")
    (tmp_path / "secret.jpg").chmod(0)
    with unprivileged():
        assert reason(tmp_path / "secret.jpg") == "permission"


def test_error_can_be_rebuilt(tmp_path: Path) -> None:
    """An ImageError is copied, and so crosses process borders, with its reason."""
    with pytest.raises(ImageError) as caught:
        read_bytes(tmp_path / "absent")
    copied = copy.copy(caught.value)
    assert (copied.path, copied.reason) == (str(tmp_path / "absent"), "missing")


@given(st.binary())
def test_digest_is_sha256(data: bytes) -> None:
    """The digest is sha256 in hexadecimal, of exactly these bytes."""
    assert content_digest(data) == hashlib.sha256(data).hexdigest()
    assert len(content_digest(data)) == 64
