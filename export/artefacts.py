"""Files of tensors, and their digests, read and written with errors of one line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boost_edge.runtime.errors import BoostEdgeError, RunError
from boost_edge.runtime.replace import replacing

if TYPE_CHECKING:
    import torch

__all__ = ["file_digest", "read_tensors", "write_tensors", "writing"]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the name ``path`` on success; its folder is made.

    Raises
    ------
    BoostEdgeError
        When the file cannot be written, in one line.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file, atomically."""
    from safetensors.torch import save_file

    contiguous = {name: value.detach().contiguous() for name, value in tensors.items()}
    with writing(path) as temporary:
        save_file(contiguous, temporary, metadata=dict(metadata))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises
    ------
    RunError
        When the file is absent or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            return tensors, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}): train again") from error
