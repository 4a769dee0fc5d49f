"""Principal components as a backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from boost_edge.models.pca import fit_pca, restore_pca
from boost_edge.runtime.errors import UsageError, WeightsError


def _images(count: int, size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [20, 300])
def test_features_match_an_eigendecomposition(count: int) -> None:
    """Features are the centred pixels on the covariance's leading eigenvectors, up to sign."""
    images = _images(count, 6)
    backbone = fit_pca(images, ["pca7"])
    pixels = images.reshape(count, -1).astype(np.float64) / 255.0
    centred = pixels - pixels.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    expected = centred @ vectors[:, ::-1][:, :7]
    features = backbone(torch.as_tensor(images)).numpy()
    np.testing.assert_allclose(np.abs(features), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-5)
    variances = features.var(axis=0)
    assert list(variances) == sorted(variances, reverse=True)


def test_signs_do_not_depend_on_the_solver() -> None:
    """The largest value of each component is positive."""
    axes = fit_pca(_images(40, 5), ["pca9"]).state_dict()["stages.0.1.weight"].numpy()
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in axes)


@pytest.mark.parametrize(
    ("count", "size", "tap"),
    [(30, 4, "pca29"), (100, 4, "pca48"), (513, 14, "pca512"), (600, 14, "pca512")],
)
def test_default_is_the_largest_tap_that_fits(count: int, size: int, tap: str) -> None:
    """Without a tap named, n and S decide how many components there are."""
    backbone = fit_pca(_images(count, size))
    assert backbone.taps == (tap,)
    assert backbone.width == int(tap.removeprefix("pca"))
    assert backbone.image_size == size
    assert backbone.spec.name == "pca"
    assert backbone.weights.source == "fitted to the training images"


def test_restored_pca_is_the_fitted_one() -> None:
    """A state dictionary is enough to make a fitted backbone again."""
    images = _images(12, 5)
    backbone = fit_pca(images)
    copy = restore_pca(backbone.state_dict())
    assert copy.digest() == backbone.digest()
    assert torch.equal(copy(torch.as_tensor(images)), backbone(torch.as_tensor(images)))


@pytest.mark.parametrize(
    ("images", "taps", "says"),
    [
        (_images(1, 4), None, "at least two images, not 1"),
        (_images(9, 4), ["pca9"], "at most pca8, not pca9"),
        (_images(99, 2), ["pca13"], "at most pca12, not pca13"),
        (_images(9, 4)[:, :3], None, "n, S, S, 3"),
        (_images(9, 4)[..., :1], None, "n, S, S, 3"),
        (_images(9, 4).astype(np.float32), None, "not float32"),
        (_images(9, 4), ["layer4"], "one tap such as pca512"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    images: NDArray[np.uint8], taps: list[str] | None, says: str
) -> None:
    """Too few images, or images of another form, are a usage error with the numbers."""
    with pytest.raises(UsageError, match=says):
        fit_pca(images, taps)


@pytest.mark.parametrize(
    "shapes",
    [{}, {"weight": (3, 12)}, {"weight": (3, 12), "bias": (2,)}, {"weight": (3, 13), "bias": (3,)}],
)
def test_foreign_state_is_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    """Tensors of something else are not taken for a fitted pca."""
    state = {f"stages.0.1.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(WeightsError, match="pca"):
        restore_pca(state)
