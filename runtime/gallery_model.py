"""Where the model of a gallery is: at the path where it last was, or as a copy in the gallery."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from boost_edge.runtime.binding import Binding
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.replace import replacing

__all__ = ["MODEL_NAME", "has_model", "keep_model", "keep_one_of", "model_digest", "model_path"]

MODEL_NAME = "model.onnx"


def keep_model(folder: Path, model: Path) -> None:
    """Copy a gallery's model into its folder, so that it is there whatever becomes of the file.

    Raises
    ------
    GalleryError
        When it cannot be copied.
    """
    copy = folder / MODEL_NAME
    try:
        with replacing(copy) as temporary:
            shutil.copyfile(model, temporary)
    except OSError as error:
        said = error.strerror or error
        raise GalleryError(f"{copy}: the model cannot be copied there: {said}") from error


def has_model(folder: Path) -> bool:
    """Return whether a gallery has a copy of its model."""
    return (folder / MODEL_NAME).exists()


def model_digest(path: Path) -> str:
    """Return the sha256 of a model file, in hexadecimal; an OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_one_of(folder: Path, model: Path, sha256: str, files: Iterable[Path]) -> None:
    """Copy a gallery's model into its folder where it is one of some files, and not there yet.

    Those are files that may be replaced or deleted, such as a model that comes with a package. One
    that is gone, or has another in its place by now, is left alone.

    Raises
    ------
    GalleryError
        When it cannot be copied.
    """
    if has_model(folder) or model.resolve() not in {each.resolve() for each in files}:
        return
    with suppress(OSError):
        if model_digest(model) == sha256:
            keep_model(folder, model)


def model_path(folder: Path, binding: Binding) -> Path:
    """Return the path of a gallery's own copy of the model, or else where the model last was."""
    return (folder / MODEL_NAME).absolute() if has_model(folder) else Path(binding.model_path)
