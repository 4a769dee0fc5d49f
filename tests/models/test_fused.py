"""The fused encoder: readouts against naive references, folding, and export."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from boost_edge.models.backbones import BACKBONES, Backbone, build_backbone
from boost_edge.models.fused import FusedEncoder, fold
from boost_edge.models.head import BoostHead
from boost_edge.models.pca import fit_pca
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import READOUTS, Readout

CLASSES = (2, 5, 3)
BLEND = 0.3
COMBINATIONS = ((0, 0, 2), (0, 3, 1), (1, 0, 0), (1, 4, 2))
DEEP = ("resnet34", "resnet50", "resnet101", "vit_b_16")


def _images(count: int, size: int) -> Tensor:
    """Draw images that differ from each other as a whole, not only by noise."""
    generator = torch.Generator().manual_seed(count)
    colours = torch.rand(count, 1, 1, 3, generator=generator)
    noise = torch.rand(count, size, size, 3, generator=generator)
    share = torch.rand(count, 1, 1, 1, generator=generator)
    return (255 * (share * colours + (1 - share) * noise)).to(torch.uint8)


def _head(features: int, *, standardise: bool = False, components: int | None = None) -> BoostHead:
    torch.default_generator.manual_seed(4)
    head = BoostHead(features, 16, CLASSES, standardise=standardise, components=components)
    head.temperature.copy_(torch.tensor([0.5, 1.0, 3.0]))
    head.importance.copy_(torch.tensor([0.2, 1.3, 0.5]))
    head.combinations = torch.tensor(COMBINATIONS)
    return head.requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Return a backbone of 128 features that takes no time."""
    return build_backbone("squeezenet1_1", weights="none", taps=("features.4",), image_size=32)


def _naive(hidden: NDArray[np.float64], logits: list[NDArray[np.float64]]) -> dict[str, float]:
    """Compute the similarity of two images per readout, straight from its definition.

    ``hidden`` is ``(2, W)``; ``logits`` are ``(2, K_a)`` with the temperature applied.
    """
    coefficients: list[float] = []
    for part in logits:
        first, second = (np.exp(row) / np.exp(row).sum() for row in part)
        coefficients.append(math.fsum(math.sqrt(p * q) for p, q in zip(first, second, strict=True)))
    bhattacharyya = math.fsum(coefficients) / len(coefficients)
    norms = np.linalg.norm(hidden, axis=1)
    cosine = float(hidden[0] @ hidden[1] / (norms[0] * norms[1]))
    return {
        "hidden": cosine,
        "attributes": bhattacharyya,
        "blend": BLEND * bhattacharyya + (1 - BLEND) * cosine,
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 30.0))
def test_inner_products_are_the_similarities_promised(
    backbone: Backbone, seed: int, scale: float
) -> None:
    """Inner products are cosine, mean Bhattacharyya coefficient, and their weighted mean."""
    head = _head(backbone.width)
    generator = torch.Generator().manual_seed(seed)
    features = scale * torch.rand(2, backbone.width, generator=generator)
    hidden, logits = head(features)
    reference = _naive(
        hidden.double().numpy(),
        [
            part.double().numpy() / float(temperature)
            for part, temperature in zip(logits, head.temperature, strict=True)
        ],
    )
    for readout in ("hidden", "attributes", "blend"):
        embedding, _ = FusedEncoder(backbone, head, readout, blend=BLEND).read(features)
        np.testing.assert_allclose(
            float(embedding[0] @ embedding[1]), reference[readout], atol=2e-5
        )
        np.testing.assert_allclose(embedding.square().sum(dim=1).numpy(), 1.0, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 30.0))
def test_match_is_the_probability_to_agree_and_the_look(
    backbone: Backbone, seed: int, scale: float
) -> None:
    """The inner product is the chance of equal labels, and doubt times the cosine of looks."""
    torch.default_generator.manual_seed(4)
    head = BoostHead(backbone.width, 16, CLASSES, standardise=True, components=9)
    head.importance.copy_(torch.tensor([0.2, 1.3, 0.5]))
    generator = torch.Generator().manual_seed(seed)
    features = scale * torch.rand(40, backbone.width, generator=generator)
    head.fit_standardisation(features)
    head.requires_grad_(requires_grad=False)
    pair = features[:2]
    embedding, posteriors = FusedEncoder(backbone, head, "match").read(pair)
    parts = np.split(posteriors.double().numpy(), np.cumsum(CLASSES)[:-1], axis=1)
    agree, doubt = 0.0, np.ones(2)
    for share, part in zip((0.1, 0.65, 0.25), parts, strict=True):
        agree += share * float(part[0] @ part[1])
        doubt -= share * (part**2).sum(axis=1)
    look = head.look(pair).double().numpy()
    norms = np.linalg.norm(look, axis=1)
    cosine = float(look[0] @ look[1] / (norms[0] * norms[1]))
    expected = agree + math.sqrt(max(doubt.prod(), 0.0)) * cosine
    np.testing.assert_allclose(float(embedding[0] @ embedding[1]), expected, atol=1e-4)
    np.testing.assert_allclose(embedding.square().sum(dim=1).numpy(), 1.0, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 30.0))
def test_together_is_the_probability_of_one_combination_and_the_look(
    backbone: Backbone, seed: int, scale: float
) -> None:
    """The inner product is the chance of one combination, and doubt times the cosine of looks."""
    head = _head(backbone.width)
    generator = torch.Generator().manual_seed(seed)
    pair = scale * torch.rand(2, backbone.width, generator=generator)
    embedding, _ = FusedEncoder(backbone, head, "together", blend=BLEND).read(pair)
    _, logits = head(pair)
    parts: list[NDArray[np.float64]] = [
        (part.double() / float(temperature)).softmax(dim=1).numpy()
        for part, temperature in zip(logits, head.temperature, strict=True)
    ]
    known = np.ones((2, len(COMBINATIONS)))
    for column, each in enumerate(COMBINATIONS):
        for part, value in zip(parts, each, strict=True):
            known[:, column] *= part[:, value]
    known /= known.sum(axis=1, keepdims=True)
    doubt = 1 - BLEND * (known**2).sum(axis=1)
    look = pair.double().numpy()
    cosine = float(look[0] @ look[1] / np.linalg.norm(look, axis=1).prod())
    expected = BLEND * float(known[0] @ known[1]) + math.sqrt(max(doubt.prod(), 0.0)) * cosine
    np.testing.assert_allclose(float(embedding[0] @ embedding[1]), expected, atol=2e-3)
    np.testing.assert_allclose(embedding.square().sum(dim=1).numpy(), 1.0, atol=1e-5)


def test_attributes_are_calibrated_posteriors(backbone: Backbone) -> None:
    """The second output is the softmax of each attribute's logits over its temperature."""
    head = _head(backbone.width)
    images = _images(4, 32)
    _, attributes = FusedEncoder(backbone, head, "hidden")(images)
    _, logits = head(backbone(images))
    for part, temperature, found in zip(
        logits, head.temperature, attributes.split(CLASSES, dim=1), strict=True
    ):
        scaled = np.exp(part.double().numpy() / float(temperature))
        expected = scaled / scaled.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_raw_readout_is_the_unit_features(backbone: Backbone) -> None:
    """Without a head there is one output, the features at norm 1."""
    images = _images(3, 32)
    outputs = FusedEncoder(backbone, None, "raw")(images)
    assert len(outputs) == 1
    features = backbone(images)
    torch.testing.assert_close(outputs[0], features / features.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("readout", READOUTS)
def test_dimensions_are_the_embeddings_width(backbone: Backbone, readout: Readout) -> None:
    """The width that is announced is the width that comes out."""
    encoder = FusedEncoder(backbone, None if readout == "raw" else _head(128), readout)
    assert encoder(_images(2, 32))[0].shape == (2, encoder.dimensions)


@pytest.mark.parametrize("readout", ["hidden", "blend"])
def test_dead_hidden_vector_gives_no_nan(backbone: Backbone, readout: Readout) -> None:
    """An image that excites no hidden value has a finite embedding, of norm 1 in the blend."""
    head = _head(backbone.width)
    head.hidden.bias.fill_(-1e6)
    embedding, attributes = FusedEncoder(backbone, head, readout, blend=BLEND)(_images(2, 32))
    assert bool(torch.isfinite(embedding).all())
    expected = 0.0 if readout == "hidden" else 1.0
    np.testing.assert_allclose(embedding.norm(dim=1).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(attributes.sum(dim=1).numpy(), len(CLASSES), atol=1e-5)


def test_parts_that_do_not_go_together_are_refused(backbone: Backbone) -> None:
    """A readout without its head, a head of another width or a wild blend is a usage error."""
    with pytest.raises(UsageError, match="needs a head"):
        FusedEncoder(backbone, None, "hidden")
    with pytest.raises(UsageError, match="takes no head"):
        FusedEncoder(backbone, _head(128), "raw")
    with pytest.raises(UsageError, match="takes 99 features, but the backbone makes 128"):
        FusedEncoder(backbone, _head(99), "hidden")
    one = _head(128)
    one.combinations = one.combinations[:1]
    with pytest.raises(UsageError, match=r"needs two combinations.*this head knows 1"):
        FusedEncoder(backbone, one, "together")
    with pytest.raises(UsageError, match=r"blend is 1\.5"):
        FusedEncoder(backbone, _head(128), "blend", blend=1.5)
    with pytest.raises(UsageError, match="is not one of raw, hidden"):
        FusedEncoder(backbone, _head(128), "best")  # type: ignore[arg-type]  # what must fail
    with pytest.raises(UsageError, match="no attributes to read"):
        FusedEncoder(backbone, None, "raw").read(torch.zeros(1, 128))


def _randomise_batch_norms(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(9)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in (
                (norm.weight, 0.7, 1.3),
                (norm.bias, -0.2, 0.2),
                (norm.running_mean, -0.2, 0.2),
            ):
                assert tensor is not None
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.detach().copy_(low + (high - low) * drawn)
            assert norm.running_var is not None
            norm.running_var.mul_(
                0.7 + 0.6 * torch.rand(norm.running_var.shape, generator=generator)
            )


def _any_backbone(name: str, size: int) -> Backbone:
    if name == "pca":
        return fit_pca(_images(60, 12).numpy())
    # The deeper ones of a family repeat the same blocks: their first two stages will do.
    tap = BACKBONES[name].taps[1 if name in DEEP else -1]
    backbone = build_backbone(name, weights="none", taps=(tap,), image_size=size)
    _randomise_batch_norms(backbone)
    return backbone


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("readout", ["blend", "match", "together"])
def test_folding_changes_no_output(name: str, readout: Readout) -> None:
    """With random batch-norm statistics, standardisation and temperatures, folding is exact."""
    backbone = _any_backbone(name, 32)
    # Fewer hidden units than features, so that the components come first.
    head = _head(backbone.width, standardise=True, components=None if readout == "blend" else 12)
    images = _images(4, backbone.image_size)
    # Not fitted to random features, whose tiny variances would magnify every rounding.
    scale = float(backbone(images).std())
    head.mean.copy_(scale * (torch.rand(backbone.width) - 0.5))
    head.std.copy_(scale * (torch.rand(backbone.width) + 0.5))
    encoder = FusedEncoder(backbone, head, readout, blend=BLEND)
    before = encoder(images)
    folded = fold(encoder)
    for found, expected in zip(folded(images), before, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    kinds = {type(module) for module in folded.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.MultiheadAttention}
    assert folded.backbone.normalise.scale is None
    assert folded.head is not None
    assert not folded.head.standardise
    assert torch.equal(encoder(images)[0], before[0])


@pytest.mark.parametrize("readout", ["match", "together"])
@pytest.mark.parametrize("components", [None, 12, 500])
@pytest.mark.parametrize("standardise", [True, False])
def test_folding_keeps_the_look(
    backbone: Backbone, standardise: bool, components: int | None, readout: Readout
) -> None:
    """A readout with a look folds alike with some components, with all, or with none."""
    if components and not standardise:
        components = None
    head = _head(backbone.width, standardise=standardise, components=components)
    images = _images(6, 32)
    head.mean.copy_(torch.rand(backbone.width))
    head.std.copy_(torch.rand(backbone.width) + 0.5)
    encoder = FusedEncoder(backbone, head, readout)
    torch.testing.assert_close(fold(encoder)(images), encoder(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("readout", [each for each in READOUTS if each != "raw"])
@pytest.mark.parametrize("components", [None, 12, 500])
def test_unfamiliar_images_are_doubted_and_found_as_before(
    backbone: Backbone, components: int | None, readout: Readout
) -> None:
    """What is said of an image far out tends to even odds; no embedding changes, nor the order."""
    head = _head(backbone.width, standardise=True, components=components)
    images = _images(6, 32)
    features = backbone(images)
    head.fit_standardisation(features)
    # Three images are typical, one is far out, two are in between.
    distances = torch.tensor([0.2, 0.9, 1.0, 1.3, 1.9, 40.0])
    axes = head.look(features)
    scale = (distances / axes.square().mean(dim=1)).sqrt()
    placed = head.mean + scale[:, None] * (features - head.mean)
    encoder = FusedEncoder(backbone, head, readout)
    before, sure = encoder.read(placed)
    head.typical = torch.tensor(1.0)
    after, said = encoder.read(placed)
    assert torch.equal(after, before)
    believed = [1.0, 1.0, 1.0, 0.7, 0.1, 0.01]
    for first, part, count in (
        (0, sure[:, :2], 2), (2, sure[:, 2:7], 5), (7, sure[:, 7:], 3),
    ):  # fmt: skip
        for row, share in enumerate(believed):
            expected = share * part[row] + (1 - share) / count
            found = said[row, first : first + count]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
            assert found.argmax() == part[row].argmax()
    embedding, posteriors = fold(encoder).read(placed)
    torch.testing.assert_close(embedding, after, rtol=0, atol=1e-4)
    torch.testing.assert_close(posteriors, said, rtol=0, atol=1e-3)


def test_folding_twice_is_folding_once(backbone: Backbone) -> None:
    """A folded encoder can be folded again, and nothing happens."""
    folded = fold(FusedEncoder(backbone, _head(backbone.width), "hidden"))
    assert torch.equal(fold(folded)(_images(2, 32))[0], folded(_images(2, 32))[0])


@pytest.mark.parametrize(
    ("name", "whole"),
    [("resnet18", False), ("mobilenet_v2", False), ("squeezenet1_1", True), ("pca", True)],
)
def test_mean_is_folded_only_where_nothing_is_padded(name: str, whole: bool) -> None:
    """A first layer with padding keeps the subtraction, or its border would see a wrong zero."""
    folded = fold(FusedEncoder(_any_backbone(name, 32), None, "raw"))
    assert (folded.backbone.normalise.offset is None) == whole


@pytest.mark.parametrize(
    ("name", "tap"),
    [
        ("resnet18", "layer2"),
        ("vit_tiny_patch16_224", "encoder_layer_1"),
        ("pca", None),
    ],
)
def test_exported_graph_takes_any_batch(name: str, tap: str | None) -> None:
    """Torch's exporter neither breaks nor fixes the batch, and onnxruntime computes the same."""
    backbone = (
        _any_backbone(name, 32)
        if tap is None
        else build_backbone(name, weights="none", taps=(tap,), image_size=32)
    )
    encoder = FusedEncoder(backbone, _head(backbone.width), "blend", blend=BLEND)
    images = _images(5, backbone.image_size)
    exporter: Any = torch.onnx
    program = exporter.export(
        fold(encoder),
        (images[:2],),
        dynamo=True,
        input_names=["image"],
        output_names=["embedding", "attributes"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    session: Any = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for count in (1, 2, 5):
        outputs = session.run(None, {"image": images[:count].numpy()})
        for found, expected in zip(outputs, encoder(images[:count]), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
