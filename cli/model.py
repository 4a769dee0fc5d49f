"""The model that is shipped with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from boost_edge.cli.render import warn
from boost_edge.runtime.errors import UsageError

__all__ = ["shipped_model", "shipped_model_with_warning", "shipped_models"]

_PHOTOS = "fashion"


def shipped_model(name: str = _PHOTOS) -> Path:
    """Return the path of an ONNX file in ``models/zoo``: by default the one for photos.

    Raises
    ------
    UsageError
        When this build of the package ships none.
    """
    path = _zoo() / f"{name}.onnx"
    if not path.is_file():
        raise UsageError("no model is shipped with this build: name one with --model FILE")
    return path


def shipped_models() -> list[Path]:
    """Return the paths of all ONNX files in ``models/zoo``; none where this build ships none."""
    return sorted(_zoo().glob("*.onnx"))


def shipped_model_with_warning() -> Path:
    """Return `shipped_model`, and say on stderr what it is good for."""
    model = shipped_model()
    warn(
        f"no --model given: using the shipped {model.stem}, which knows photos of clothes, "
        "shoes and bags; for anything else, train one with boost-edge train"
    )
    return model


def _zoo() -> Path:
    # The package is always installed as plain files: onnxruntime and SQLite need real paths.
    return Path(str(files("boost_edge"))) / "models" / "zoo"
