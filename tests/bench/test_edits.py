"""Edited photos: still the same photo, the same every time, and cached by what they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from boost_edge.bench.edits import EDITS, edit_pixels, edited_features
from boost_edge.bench.metrics import original_ranks
from boost_edge.bench.subject import Setup, Subject
from boost_edge.runtime.errors import UsageError

SQUARES = st.integers(8, 24).flatmap(lambda size: hnp.arrays(np.uint8, (size, size, 3)))
VECTORS = st.tuples(st.integers(1, 9), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        *2 * (hnp.arrays(np.float32, shape, elements=st.sampled_from([-1, 0, 0, 1, 2])),)
    )
)


@settings(max_examples=30, deadline=None)
@given(SQUARES, st.sampled_from(sorted(EDITS)), st.integers(0, 9))
def test_an_edit_keeps_the_form_and_can_be_repeated(
    pixels: NDArray[np.uint8], name: str, seed: int
) -> None:
    """The square stays one, the original is left alone, and the same edit comes out again."""
    before = pixels.copy()
    found = edit_pixels(name, pixels, digest="ab", seed=seed)
    assert found.shape == pixels.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(found, edit_pixels(name, pixels, digest="ab", seed=seed))


@pytest.mark.parametrize("name", [name for name in EDITS if name != "flip"])
def test_another_image_or_seed_is_edited_otherwise(name: str) -> None:
    """What is random about an edit depends on the image and on the seed."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    found = {
        edit_pixels(name, pixels, digest=digest, seed=seed).tobytes()
        for digest in ("ab", "cd")
        for seed in (0, 1)
    }
    assert len(found) == 4


def test_each_edit_does_what_it_says() -> None:
    """Mirrored, smoother, brighter or darker, enlarged; colours keep their places."""
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[:, :100] = (200, 40, 10)
    edited = {name: edit_pixels(name, pixels, digest="ab", seed=0) for name in EDITS}
    np.testing.assert_array_equal(edited["flip"], pixels[:, ::-1])
    assert 0 < edited["blur"][100, 100, 0] < 200
    factor = edited["brightness"][5, 5, 0] / 200
    assert 0.59 < factor < 0.86 or 1.14 < factor < 1.28
    for name in ("crop", "jpeg", "blur"):
        red, green, blue = (int(value) for value in edited[name][100, 10])
        assert red > 150
        assert green < 90
        assert blue < 60


def test_features_are_cached_by_edit(subject: Callable[[Setup], Subject], setup: Setup) -> None:
    """The features of an edit differ from the original's and from another edit's; found again."""
    found = subject(setup)
    draw = found.draw(0)
    backbone = found.backbone(draw)
    originals = found.features(backbone, draw.test)

    def edited(name: str) -> NDArray[np.float32]:
        return edited_features(found, backbone, draw.test, name, seed=0, resize="crop")

    flipped, blurred = edited("flip"), edited("blur")
    assert not np.allclose(flipped, originals)
    assert not np.allclose(flipped, blurred)
    np.testing.assert_array_equal(flipped, edited("flip"))
    # The original is still the nearest to its mirror image, for most.
    assert np.median(original_ranks(originals, flipped)) <= 2


@settings(max_examples=60, deadline=None)
@given(VECTORS)
def test_ranks_match_naive(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
    """The rank is one more than how many are nearer, and half of those that are as near."""
    originals, copies = pair
    found = original_ranks(originals, copies)

    def cosine(a: list[float], b: list[float]) -> float:
        length = math.hypot(*a) * math.hypot(*b)
        return round(sum(x * y for x, y in zip(a, b, strict=True)) / length, 7) if length else 0.0

    for row, copy in enumerate(copies.tolist()):
        cosines = [cosine(copy, other) for other in originals.tolist()]
        nearer = sum(each > cosines[row] for each in cosines)
        equal = sum(each == cosines[row] for each in cosines) - 1
        assert found[row] == 1 + nearer + equal / 2


def test_guessing_has_the_middle_rank() -> None:
    """The same embedding for every image finds nothing."""
    same = np.ones((11, 4), np.float32)
    np.testing.assert_array_equal(original_ranks(same, same), np.full(11, 6))
    with pytest.raises(UsageError, match="do not match"):
        original_ranks(same, same[:3])
