"""Torchvision's checkpoints: found in torch's cache, else downloaded there, always verified."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import sys
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from torchvision import models

from boost_edge.models.architectures import BackboneSpec
from boost_edge.runtime.errors import UsageError, WeightsError
from boost_edge.runtime.manifest import Weights

__all__ = ["download", "file_sha256", "imagenet_checkpoint"]

_TIMEOUT_SECONDS = 20.0


def imagenet_checkpoint(spec: BackboneSpec) -> tuple[Path, Weights]:
    """Return the file and the description of torchvision's ImageNet weights for a backbone.

    The file is in torch's cache (``torch.hub.get_dir()``, which ``TORCH_HOME`` moves).

    Raises
    ------
    WeightsError
        When torchvision has none, or the file is damaged or cannot be fetched.
    """
    if spec.imagenet is None:
        raise WeightsError(
            f"torchvision has no ImageNet weights for {spec.name}: name a file with "
            "--weights FILE, or take --weights none for random ones"
        )
    url = str(models.get_weight(spec.imagenet).url)
    path = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlsplit(url).path).name)
    expected = path.stem.rpartition("-")[2]  # torch names a checkpoint NAME-SHA256PREFIX.pth
    if not path.exists():
        download(url, path, expected)
    sha256 = file_sha256(path)
    if not sha256.startswith(expected):
        raise WeightsError(
            f"{path} is damaged: its sha256 starts with {sha256[:8]}, not {expected}: delete it "
            "and try again"
        )
    return path, Weights(name=spec.imagenet, source=url, sha256=sha256, licence="BSD-3-Clause")


def download(
    url: str, path: Path, sha256_prefix: str, *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> None:
    """Download a file whole or not at all; progress goes to stderr where that is a terminal.

    Raises
    ------
    WeightsError
        When the file cannot be fetched or stored, has another sha256, or the connection is
        silent for ``timeout_seconds``.
    """
    # Not torchvision's get_state_dict: it prints to stdout, which belongs to results.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(timeout_seconds):
            torch.hub.download_url_to_file(
                url, str(path), sha256_prefix, progress=sys.stderr.isatty()
            )
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"cannot fetch {path.name} ({reason}): download {url} elsewhere and put it in "
            f"{path.parent}, or name a file with --weights FILE"
        ) from error


def file_sha256(path: Path) -> str:
    """Return the sha256 of a weights file in hex.

    Raises
    ------
    UsageError
        When there is no such file.
    WeightsError
        When it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        kind = UsageError if isinstance(error, FileNotFoundError) else WeightsError
        raise kind(
            f"cannot read the weights {path} ({error.strerror}): give imagenet, none or the path "
            "of a .safetensors or .pth file"
        ) from error


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Generator[None, None, None]:
    """Give new sockets a timeout: torch's downloader sets none, and would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
