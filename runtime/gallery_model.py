"""Where the model of a gallery is: at the path where it last was, or as a copy in the gallery."""

from __future__ import annotations

import shutil
from pathlib import Path

from boost_edge.runtime.binding import Binding
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.replace import replacing

__all__ = ["MODEL_NAME", "keep_model", "model_path", "pass_on_model"]

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


def pass_on_model(source: Path, folder: Path) -> None:
    """Copy a gallery's own copy of the model, if it has one, into the folder of another gallery.

    Raises
    ------
    GalleryError
        When it cannot be copied.
    """
    copy = source / MODEL_NAME
    if copy.exists():
        keep_model(folder, copy)


def model_path(folder: Path, binding: Binding) -> Path:
    """Return the path of a gallery's own copy of the model, or else where the model last was."""
    copy = folder / MODEL_NAME
    return copy.absolute() if copy.exists() else Path(binding.model_path)
