"""The description that travels inside ``model.onnx``.

It stands as JSON in ``metadata_props["boost_edge.manifest"]``: enough to use the model, and to
trace it to the weights, labels and settings it came from, with nothing beside it. Every class
here is plain data; an unknown key or a ``format_version`` that this version does not know is an
error, never ignored.
"""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass
from typing import Literal

from boost_edge.runtime.errors import ModelFileError
from boost_edge.runtime.records import (
    NOT_TEXT,
    format_version_of,
    is_text,
    record_from_json,
    record_to_json,
)

__all__ = [
    "DEFAULT_DECODE",
    "DEFAULT_MAX_LOSS",
    "DEFAULT_READOUT",
    "DEFAULT_RECIPE",
    "DEFAULT_RESIZE",
    "FORMAT_VERSION",
    "METADATA_KEY",
    "PRECISIONS",
    "READOUTS",
    "RESIZE_POLICIES",
    "Attribute",
    "AttributeQuality",
    "ImageSpec",
    "Manifest",
    "Parity",
    "Quantisation",
    "Training",
    "Weights",
]

FORMAT_VERSION = 1
METADATA_KEY = "boost_edge.manifest"

Readout = Literal["raw", "hidden", "attributes", "blend", "match", "together"]
Precision = Literal["fp32", "fp16", "int8"]
ResizePolicy = Literal["squash", "crop", "letterbox"]
Decode = Literal["reduced"]

READOUTS: tuple[Readout, ...] = typing.get_args(Readout)
PRECISIONS: tuple[Precision, ...] = typing.get_args(Precision)
RESIZE_POLICIES: tuple[ResizePolicy, ...] = typing.get_args(ResizePolicy)

DEFAULT_RESIZE: ResizePolicy = "crop"
"""Chosen by measured mAP: docs/decisions/0001-resize-policy.md."""
DEFAULT_DECODE: Decode = "reduced"
"""Chosen by measured time and embeddings: docs/decisions/0012-reduced-decode.md."""
DEFAULT_READOUT: Readout = "match"
"""Chosen by measured mAP and size: docs/decisions/0009-default-readout-match.md."""
DEFAULT_RECIPE = "boost"
"""Chosen by measured mAP: docs/decisions/0016-recipe-by-ablation.md."""
# Of a recipe's settings, those that an option of ``train`` can change.
_CHOSEN = ("width", "components", "contrast")
DEFAULT_MAX_LOSS = 1.0
"""Most points of mAP@10 that 8 bits may lose: docs/decisions/0010-int8-gate.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One labelled attribute: its name and the values a head can predict, in output order."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """How an image becomes the network's input.

    ``size`` is the edge S of the square input in pixels. ``resize`` is ``squash`` (both edges to
    S), ``crop`` (short edge to S, centre cut) or ``letterbox`` (long edge to S, padded). With
    ``decode`` ``reduced`` a JPEG that is much larger is decoded at half or a quarter of its size;
    None, as in files from before, is all of it.
    """

    size: int
    resize: ResizePolicy
    decode: Decode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where the backbone's weights come from; ``sha256`` is of the source file, if any."""

    name: str
    source: str
    sha256: str | None
    licence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the head was trained on, and how.

    ``labels_sha256`` is of the label file's bytes, ``images_sha256`` of the sorted content
    hashes of all images used; ``images`` counts them by part (``train``, ``val``, ``test``).
    ``settings`` are the recipe's resolved values.
    """

    labels_sha256: str
    images_sha256: str
    images: dict[str, int]
    recipe: str
    settings: dict[str, float | int | str | bool | None]
    seed: int
    epochs: int

    @property
    def refit(self) -> bool:
        """Tell whether the head was trained once more, on the validation part too."""
        return bool(self.settings.get("refit"))

    @property
    def described(self) -> str:
        """Return the recipe and what can be chosen beside it: ``boost (width 2048, ...)``."""
        given = {name: self.settings.get(name) for name in _CHOSEN}
        chosen = [f"{name} {value:g}" for name, value in given.items() if value is not None]
        if self.refit:
            chosen.append("refit")
        return f"{self.recipe} ({', '.join(chosen)})" if chosen else self.recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How closely onnxruntime reproduces torch on ``images`` real images.

    ``max_abs_difference`` is over all values of both outputs, ``min_cosine`` over embeddings,
    ``top10_overlap`` the mean share of ten nearest neighbours that agree, in [0, 1].
    """

    images: int
    max_abs_difference: float
    min_cosine: float
    top10_overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """What a model in 8 bits loses and gains against itself in float32, where it was exported.

    ``fp32_layers`` of the ``layers`` that can be quantised stayed in float32; ``reduce_range`` says
    that weights keep to 7 bits, for processors without VNNI. The ranges of activations are those of
    ``calibration_images`` training images. ``map10_fp32`` and ``map10_int8`` are mAP@10 in points
    (times 100) on ``images`` others, held out, and from ``loss_low`` to ``loss_high`` is the 95%
    paired bootstrap interval of the difference; more than ``max_loss`` was not allowed. ``fp32_ms``
    and ``int8_ms`` are the medians for one image on one thread of ``processor``, timed in turns.
    """

    layers: int
    fp32_layers: int
    reduce_range: bool
    calibration_images: int
    images: int
    map10_fp32: float
    map10_int8: float
    loss_low: float
    loss_high: float
    max_loss: float
    fp32_ms: float
    int8_ms: float
    processor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeQuality:
    """One attribute on the held-out part.

    ``images`` had the label; ``accuracy`` is top-1 in [0, 1], ``majority`` the accuracy of always
    answering the commonest training value, ``calibration_error`` the expected calibration error
    with 15 equal-width bins (Guo et al., 2017), ``temperature`` the divisor applied to the logits.
    """

    name: str
    images: int
    accuracy: float
    majority: float
    calibration_error: float
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a reader needs to know about one model file.

    ``taps`` are the pooled stages that make the features, in order, such as ``layer3`` or, over a
    grid of cells, ``layer3:4x4``; ``features`` is their total width, ``dimensions`` the width D of
    the output ``embedding``. ``run_sha256`` names the training run it was exported from.
    ``attributes`` and ``quality`` are empty where no head was trained (readout ``raw``);
    ``training`` is ``None`` where there was no label table at all, ``quantisation`` unless
    ``precision`` is ``int8``.
    """

    format_version: int
    created_with: str
    backbone: str
    taps: tuple[str, ...]
    weights: Weights
    image: ImageSpec
    features: int
    readout: Readout
    dimensions: int
    attributes: tuple[Attribute, ...]
    training: Training | None
    run_sha256: str | None
    precision: Precision
    parity: Parity | None
    quality: tuple[AttributeQuality, ...]
    quantisation: Quantisation | None = None

    def to_json(self) -> str:
        """Return the manifest as JSON text with sorted keys, the same for equal manifests."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Manifest:
        """Read a manifest; ``source`` is the file to name in an error.

        Raises
        ------
        ModelFileError
            When the text is not a manifest of a known format version.
        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise ModelFileError(f"{source}: its manifest is not JSON ({error})") from error
        version = format_version_of(raw)
        if type(version) is not int or version != FORMAT_VERSION:
            raise ModelFileError(
                f"{source}: manifest format {version!r} is not known to this version, which reads "
                f"format {FORMAT_VERSION}: update boost-edge, or export the model again"
            )
        try:
            manifest = record_from_json(cls, raw, "manifest")
            for each in manifest.attributes:
                if not all(map(is_text, (each.name, *each.values))):
                    raise ValueError(f"the attribute {each.name!r} holds {NOT_TEXT}")
            return manifest
        except ValueError as error:
            raise ModelFileError(
                f"{source}: its manifest is damaged ({error}): export the model again"
            ) from error
