"""Turn the absence of an optional dependency into the pip command that mends it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from boost_edge.runtime.errors import MissingExtraError

__all__ = ["need_train_extra"]

_TRAIN_MODULES = frozenset({"onnx", "onnxscript", "pyarrow", "safetensors", "torch", "torchvision"})


@contextmanager
def need_train_extra(feature: str) -> Generator[None]:
    """Raise `MissingExtraError` when an import inside fails for want of the extra ``train``."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _TRAIN_MODULES:
            raise
        raise MissingExtraError(feature, "train", module) from error
