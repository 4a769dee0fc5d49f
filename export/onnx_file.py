"""Write a graph and its manifest as one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import boost_edge
from boost_edge.runtime.errors import ParityError
from boost_edge.runtime.manifest import METADATA_KEY, Manifest

if TYPE_CHECKING:
    import onnx

__all__ = ["save_model"]

# Left behind by a graph that was not folded or was exported in training mode.
_TRAINING_ONLY = frozenset({"BatchNormalization", "Dropout", "Identity"})


def save_model(model: onnx.ModelProto, manifest: Manifest, path: Path) -> None:
    """Write the graph with its manifest, checked.

    Raises
    ------
    ParityError
        When the graph still holds what only training needs.
    """
    import onnx

    left = sorted({node.op_type for node in model.graph.node} & _TRAINING_ONLY)
    if left:
        raise ParityError(f"the graph still holds {', '.join(left)}: please report this")
    model.producer_name = "boost-edge"
    model.producer_version = boost_edge.__version__
    model.doc_string = ""
    for node in model.graph.node:
        # The exporter notes stack traces here, with paths of the machine it ran on.
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    onnx.save_model(model, os.fspath(path))
    # The bytes, not the path: the checker refuses names that are no UTF-8.
    onnx.checker.check_model(path.read_bytes(), full_check=True)
