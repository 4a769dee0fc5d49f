"""A model file of boost-edge as fastembed loads it: a folder with the graph and a configuration.

fastembed (0.9) has no way to add an image model, but takes the folder of a model that it knows. It
hands over pixels as (N, 3, S, S), as most files take them; ours takes (N, S, S, 3), so one node
that turns them stands before the same graph. With neither scaling nor normalising asked for, its
pixels are uint8, as ours are.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boost_edge.runtime.model_file import IMAGE

if TYPE_CHECKING:
    import onnx

__all__ = ["write_for_fastembed"]

_BICUBIC = 3


def write_for_fastembed(model: Path, folder: Path, *, size: int) -> None:
    """Write the folder of a model file whose input has edge ``size``."""
    import onnx

    graph = onnx.load(os.fspath(model))
    _turn_layout(graph, size)
    folder.mkdir()
    onnx.save(graph, os.fspath(folder / "model.onnx"))
    configuration: dict[str, Any] = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": False,
        "do_normalize": False,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(configuration), encoding="utf-8")


def _turn_layout(model: onnx.ModelProto, size: int) -> None:
    """Give a graph the input ``pixels`` ``(N, 3, S, S) uint8`` in place of its own."""
    from onnx import TensorProto, helper

    graph = model.graph
    kept = [each for each in graph.input if each.name != IMAGE]
    del graph.input[:]
    shape: list[str | int | None] = ["N", 3, size, size]
    graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape))
    graph.input.extend(kept)
    node = helper.make_node("Transpose", ["pixels"], [IMAGE], perm=[0, 2, 3, 1])
    graph.node.insert(0, node)
