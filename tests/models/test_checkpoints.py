"""Fetching torchvision's checkpoints, with and without a network."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import pytest

from boost_edge.models.backbones import BACKBONES
from boost_edge.models.checkpoints import download, file_sha256, imagenet_checkpoint
from boost_edge.runtime.errors import UsageError, WeightsError


def test_download_stores_a_file_whose_sha256_fits(tmp_path: Path) -> None:
    """What has the expected sha256 is stored under its name, in a folder made for it."""
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    target = tmp_path / "cache" / "net.pth"
    sha256 = hashlib.sha256(b"weights").hexdigest()
    download(source.as_uri(), target, sha256[:8])
    assert target.read_bytes() == b"weights"
    assert file_sha256(target) == sha256


def test_download_with_another_sha256_leaves_nothing(tmp_path: Path) -> None:
    """A file that is not the expected one is refused and not kept, in part or whole."""
    source = tmp_path / "source"
    source.write_bytes(b"a captive portal's login page")
    target = tmp_path / "cache" / "net.pth"
    with pytest.raises(WeightsError, match=r"^cannot fetch net\.pth \(invalid hash value"):
        download(source.as_uri(), target, "0123abcd")
    assert list(target.parent.iterdir()) == []


def test_silent_server_ends_in_an_error(tmp_path: Path) -> None:
    """A server that accepts and says nothing must not hang us; the default timeout comes back."""
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/net.pth"
        start = time.monotonic()
        with pytest.raises(WeightsError, match="timed out"):
            download(url, tmp_path / "net.pth", "0123abcd", timeout_seconds=0.2)
        assert time.monotonic() - start < 5.0
    assert socket.getdefaulttimeout() == before
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A cache that cannot be written to is an error of the same form."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"cannot fetch net\.pth .*put it in"):
        download("file:///nowhere", tmp_path / "file" / "net.pth", "0123abcd")


@pytest.mark.parametrize(
    ("name", "file"),
    [("resnet18", "resnet18-f37072fd.pth"), ("vit_b_16", "vit_b_16-c867db91.pth")],
)
def test_without_network_one_line_says_what_to_do(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, its address, the folder for it, and the other way."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # A proxy that refuses: a real failure, the same on a machine with network and without.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(WeightsError) as caught:
        imagenet_checkpoint(BACKBONES[name])
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"cannot fetch {file} (")
    assert f"https://download.pytorch.org/models/{file}" in message
    assert str(tmp_path / "hub" / "checkpoints") in message
    assert "--weights FILE" in message


def test_damaged_checkpoint_in_the_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truncated or foreign file in torch's cache is found by its sha256, not loaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a checkpoint")
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd\.pth is damaged.*delete it"):
        imagenet_checkpoint(BACKBONES["resnet18"])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "pca"])
def test_backbone_without_a_checkpoint_says_so(name: str) -> None:
    """Where torchvision offers nothing, the error says so and names the ways out."""
    with pytest.raises(WeightsError, match="torchvision has no ImageNet weights"):
        imagenet_checkpoint(BACKBONES[name])


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A path that does not exist is wrong usage, and the error says what may stand there."""
    with pytest.raises(UsageError, match=r"No such file or directory.*give imagenet, none"):
        file_sha256(tmp_path / "imagenett")
