"""The model that is shipped with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from boost_edge.cli.render import warn
from boost_edge.runtime.errors import UsageError

__all__ = ["shipped_model", "shipped_model_with_warning"]


def shipped_model() -> Path:
    """Return the path of the ONNX file in ``models/zoo``.

    Raises
    ------
    UsageError
        When this build of the package ships none.
    """
    # The package is always installed as plain files: onnxruntime and SQLite need real paths.
    zoo = Path(str(files("boost_edge"))) / "models" / "zoo"
    found = sorted(zoo.glob("*.onnx"))
    if not found:
        raise UsageError("no model is shipped with this build: name one with --model FILE")
    return found[0]


def shipped_model_with_warning() -> Path:
    """Return `shipped_model`, and say on stderr what it is good for."""
    model = shipped_model()
    warn(
        f"no --model given: using the shipped {model.stem}, which knows photos of clothes, "
        "shoes and bags; for anything else, train one with boost-edge train"
    )
    return model
