"""Files of tensors, and their digests, read and written with errors of one line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boost_edge.runtime.errors import BoostEdgeError, RunError
from boost_edge.runtime.replace import replacing

if TYPE_CHECKING:
    import torch

__all__ = ["file_digest", "make_folder", "read_tensors", "write_tensors", "writing"]


@contextmanager
def writing(path: Path) -> Generator[Path]:
    """Give a temporary path that takes the name ``path`` on success; its folder is made.

    Raises
    ------
    BoostEdgeError
        When the file cannot be written, in one line.
    """
    make_folder(path.parent)
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises
    ------
    BoostEdgeError
        When that is impossible, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BoostEdgeError(f"{folder}: a file is in the way: choose another place") from error
    except OSError as error:
        raise BoostEdgeError(f"{folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise BoostEdgeError(f"{folder}: cannot be written to: choose another place")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file, atomically."""
    from safetensors import torch as safetensors_torch

    contiguous = {name: value.detach().contiguous() for name, value in tensors.items()}
    with writing(path) as temporary:
        safetensors_torch.save_file(contiguous, os.fspath(temporary), metadata=dict(metadata))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises
    ------
    RunError
        When the file is absent or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        header: Any = safe_open(path, framework="pt")
        with header as file:
            names: list[str] = file.keys()
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in names}
            metadata: dict[str, str] = file.metadata() or {}
            return tensors, metadata
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}): train again") from error
