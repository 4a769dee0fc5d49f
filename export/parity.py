"""Does the exported file compute what was trained? Asked with the runtime that will serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.models.fused import FusedEncoder
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ImageError, ParityError, RunError
from boost_edge.runtime.images import load_image
from boost_edge.runtime.manifest import ImageSpec, Parity, Precision

__all__ = ["LIMITS", "Limits", "check_parity", "measure_parity", "top_overlap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The least that an exported file must reach: see `boost_edge.runtime.manifest.Parity`."""

    min_cosine: float
    top10_overlap: float


LIMITS: Mapping[Precision, Limits] = MappingProxyType(
    {
        # The same computation in another order: float32 itself is the limit.
        "fp32": Limits(min_cosine=0.9999, top10_overlap=0.99),
        # Rounding to 11 bits moves each weight by about 2^-12 of itself, independently of the
        # others; over the layers of a network this adds up to less than 1e-3 of the features, which
        # is a cosine of 1 - 5e-7. A head on an untrained network makes that up to a hundred times
        # more. Neighbours that are as close to one another as this may swap places; more than a few
        # in a hundred would be a fault.
        "fp16": Limits(min_cosine=0.9995, top10_overlap=0.97),
    }
)
_NEIGHBOURS = 10
_BATCH = 16
# Two neighbours closer than this to one another are the same distance away in float32.
_TIE = 1e-5


def measure_parity(
    network: FusedEncoder, model: Path, images: Sequence[Path], spec: ImageSpec
) -> Parity:
    """Compare torch with the runtime on real image files.

    Parameters
    ----------
    network
        The trained network, as it was trained.
    model
        The exported file.
    images
        Image files; at least two must be readable.

    Raises
    ------
    RunError
        When fewer than two images can be read.
    ParityError
        When the outputs differ in shape.
    """
    readable, pixels = _decode(images, spec)
    if len(readable) < 2:
        folder = images[0].parent if images else "the run's samples"
        raise RunError(f"{folder}: fewer than two images can be read: train again")
    expected = _run_torch(network, pixels)
    with Encoder.open(model) as encoder:
        actual = encoder.predict(readable)
    outputs = [actual.embeddings]
    if actual.attributes is not None:
        outputs.append(actual.attributes)
    if [each.shape for each in outputs] != [each.shape for each in expected]:
        raise ParityError(f"{model}: its outputs have other shapes than the trained network's")
    difference = max(float(np.abs(a - b).max()) for a, b in zip(outputs, expected, strict=True))
    return Parity(
        images=len(readable),
        max_abs_difference=difference,
        min_cosine=float((actual.embeddings * expected[0]).sum(axis=1).min()),
        top10_overlap=top_overlap(expected[0], actual.embeddings, k=_NEIGHBOURS),
    )


def check_parity(parity: Parity, model: Path, precision: Precision) -> None:
    """Raise `ParityError` unless cosine and neighbours agree as far as the precision allows."""
    least = LIMITS[precision]
    if not (parity.min_cosine >= least.min_cosine and parity.top10_overlap >= least.top10_overlap):
        raise ParityError(
            f"{model}: not written: the exported graph differs from torch on {parity.images} "
            f"images (min cosine {parity.min_cosine:.6f}, needs {least.min_cosine}; top-10 overlap "
            f"{parity.top10_overlap:.3f}, needs {least.top10_overlap}): please report this"
        )


def top_overlap(expected: NDArray[np.float32], actual: NDArray[np.float32], *, k: int) -> float:
    """Return the mean share of the k nearest others that both agree on, in [0, 1].

    Both are ``(n, D) float32`` with unit rows. A neighbour that ``actual`` brings in counts as
    agreed when ``expected`` has it no farther than its own last one, ties included.
    """
    k = min(k, len(expected) - 1)
    truth, found = expected @ expected.T, actual @ actual.T
    np.fill_diagonal(truth, -np.inf)
    np.fill_diagonal(found, -np.inf)
    bar = -np.partition(-truth, k - 1, axis=1)[:, k - 1 : k] - _TIE
    nearest = np.argsort(-found, axis=1, kind="stable")[:, :k]
    return float((np.take_along_axis(truth, nearest, axis=1) >= bar).mean())


def _decode(images: Sequence[Path], spec: ImageSpec) -> tuple[list[Path], list[NDArray[np.uint8]]]:
    readable: list[Path] = []
    pixels: list[NDArray[np.uint8]] = []
    for path in images:
        try:
            pixels.append(load_image(path, spec))
        except ImageError:
            continue
        readable.append(path)
    return readable, pixels


def _run_torch(
    network: FusedEncoder, pixels: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.float32]]:
    batches: list[tuple[NDArray[np.float32], ...]] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            batch = torch.from_numpy(np.stack(pixels[start : start + _BATCH]))
            batches.append(tuple(output.numpy() for output in network(batch)))
    return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]
