"""Which layers suffer from 8 bits, and so are the first to stay in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from boost_edge.export.quantise import Calibrated, quantise
from boost_edge.runtime.model_file import EMBEDDING, IMAGE

__all__ = ["most_sensitive_first"]


def most_sensitive_first(
    calibrated: Calibrated,
    images: NDArray[np.uint8],
    *,
    reduce_range: bool,
) -> list[str]:
    """Return the layers, first those that alone in 8 bits turn the embeddings farthest away.

    What counts is the mean cosine to the embeddings of the model in float32 on ``images``
    ``(n, S, S, 3)``. It sees what the network makes of an error, which the size of the error in a
    layer's own weights and inputs (``onnxruntime.quantization.qdq_loss_debug``) does not tell:
    docs/decisions/0010-int8-gate.md.
    """
    expected = _embed(calibrated.model, images)
    cosines: dict[str, float] = {}
    for layer in calibrated.layers:
        alone = quantise(calibrated, [layer], reduce_range=reduce_range, between=False)
        cosines[layer] = float((_embed(alone, images) * expected).sum(axis=1).mean())
    return sorted(calibrated.layers, key=cosines.__getitem__)


def _embed(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import onnxruntime

    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    embeddings: NDArray[np.float32] = session.run([EMBEDDING], {IMAGE: images})[0]
    return embeddings
