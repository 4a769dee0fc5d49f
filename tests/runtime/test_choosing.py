"""Which images to label next: doubtful, unlike each other, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.choosing import choose_images, choose_rows, doubts
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError

WritePicture = Callable[..., Path]
BuildModel = Callable[..., Path]


def units(count: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return random rows of norm 1."""
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / lengths, np.float32)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 1000))
def test_rows_are_different_and_as_many_as_there_are(rows: int, count: int, seed: int) -> None:
    """Every choice is one of different rows; the same seed draws them again."""
    embeddings = units(rows, 3, seed)
    # Some are sure, and some are copies of others.
    embeddings[rows // 2 :] = embeddings[0]
    doubt = np.random.default_rng(seed).random(rows).round(1)
    chosen = choose_rows(embeddings, doubt, count, seed=seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(rows, count)
    assert chosen.dtype == np.int64
    np.testing.assert_array_equal(chosen, choose_rows(embeddings, doubt, count, seed=seed))


@given(st.integers(0, 1000))
def test_what_is_sure_comes_last(seed: int) -> None:
    """A row without doubt is drawn only when no other is left."""
    doubt = np.zeros(20)
    doubt[5:9] = 0.5
    chosen = choose_rows(units(20, 4, seed), doubt, 6, seed=seed).tolist()
    assert sorted(chosen[:4]) == [5, 6, 7, 8]


@given(st.integers(0, 1000))
def test_no_two_are_alike_while_there_are_others(seed: int) -> None:
    """Of five groups of copies, five draws take one of each."""
    embeddings = np.repeat(np.eye(5, dtype=np.float32), 8, axis=0)
    chosen = choose_rows(embeddings, np.ones(40), 5, seed=seed)
    assert sorted((chosen // 8).tolist()) == [0, 1, 2, 3, 4]


def test_draws_follow_doubt_squared_and_distance_squared() -> None:
    """The first row is drawn by squared doubt, the second by that times the squared distance."""
    embeddings = np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32)
    doubt = np.array([0.9, 0.3, 0.6])
    first, second = np.zeros(3), np.zeros(3)
    draws = 4000
    for seed in range(draws):
        chosen = choose_rows(embeddings, doubt, 2, seed=seed)
        first[chosen[0]] += 1
        if chosen[0] == 0:
            second[chosen[1]] += 1
    np.testing.assert_allclose(first / draws, doubt**2 / (doubt**2).sum(), atol=0.03)
    # |a - b|^2 of the other two to the first: 0.4 and 4.
    weights = np.array([0.0, 0.3**2 * 0.4, 0.6**2 * 4])
    np.testing.assert_allclose(second / second.sum(), weights / weights.sum(), atol=0.03)


def test_doubts_weigh_attributes_by_squared_entropy() -> None:
    """Written out: how likely the likeliest value is wrong, by the mean posteriors' entropies."""
    rng = np.random.default_rng(0)
    many, few = (rng.dirichlet(np.full(size, 0.5), 50) for size in (12, 2))
    weights = [
        sum(-p * np.log(p) for p in posteriors.mean(axis=0)) ** 2 for posteriors in (many, few)
    ]
    expected = [
        (weights[0] * (1 - max(a)) + weights[1] * (1 - max(b))) / sum(weights)
        for a, b in zip(many, few, strict=True)
    ]
    np.testing.assert_allclose(doubts([many, few]), expected)
    assert weights[0] > 4 * weights[1]
    np.testing.assert_allclose(doubts([few]), 1 - few.max(axis=1))


def test_doubts_of_a_model_that_always_says_the_same() -> None:
    """A sure model has no doubts, and no attribute tells more than another."""
    sure = np.tile([1.0, 0.0], (3, 1))
    np.testing.assert_array_equal(doubts([sure, sure]), np.zeros(3))


def test_images_are_chosen_with_the_model_s_guesses(pictures: Path, encoder: Encoder) -> None:
    """Those that have labels are left out; rows are drawn as `choose_rows` draws them."""
    done = {str(pictures / "red" / "0.png"), "/nowhere.png"}
    choice = choose_images(encoder, [pictures], count=3, done=done, seed=4)
    assert (choice.candidates, choice.labelled, choice.skipped) == (8, 1, ())
    rest = sorted(str(path) for path in pictures.rglob("*.png") if str(path) not in done)
    found = encoder.predict(rest)
    assert found.attributes is not None
    sizes = [len(attribute.values) for attribute in encoder.manifest.attributes]
    doubt = doubts(np.split(found.attributes, np.cumsum(sizes)[:-1], axis=1))
    labelled = encoder.encode([pictures / "red" / "0.png"])
    expected = choose_rows(found.embeddings, doubt, 3, labelled=labelled, seed=4)
    assert [each.path for each in choice.images] == [rest[row] for row in expected]
    for each in choice.images:
        assert list(each.attributes) == ["colour", "light"]


def test_doubts_of_one_attribute(pictures: Path, encoder: Encoder) -> None:
    """Only what was asked for counts; a name that is none is an error that says which there are."""
    files = sorted(str(path) for path in pictures.rglob("*.png"))
    found = encoder.predict(files)
    assert found.attributes is not None
    sizes = [len(attribute.values) for attribute in encoder.manifest.attributes]
    _, light = np.split(found.attributes, np.cumsum(sizes)[:-1], axis=1)
    choice = choose_images(encoder, [pictures], count=4, doubts_of=["light"])
    expected = choose_rows(found.embeddings, doubts([light]), 4, seed=0)
    assert [each.path for each in choice.images] == [files[row] for row in expected]
    with pytest.raises(UsageError, match=r"'size' is no attribute of .*: it has colour, light"):
        choose_images(encoder, [pictures], count=4, doubts_of=["size"])


def test_a_model_without_attributes_chooses_by_look(
    pictures: Path, build_model: BuildModel, tmp_path: Path
) -> None:
    """There are no doubts and no guesses then, and every image is worth the same."""
    with Encoder.open(build_model(tmp_path / "raw.onnx", head=False), threads=1) as raw:
        choice = choose_images(raw, [pictures], count=4)
        files = sorted(str(path) for path in pictures.rglob("*.png"))
        expected = choose_rows(raw.encode(files), np.ones(len(files)), 4, seed=0)
        assert [each.path for each in choice.images] == [files[row] for row in expected]
        assert not any(each.attributes or each.labels for each in choice.images)
        with pytest.raises(UsageError, match=r"'colour' is no attribute of .*: it has none"):
            choose_images(raw, [pictures], count=4, doubts_of=["colour"])


def test_what_cannot_be_read_is_told(pictures: Path, encoder: Encoder) -> None:
    """A damaged file is no candidate; all others are chosen where more are asked for."""
    (pictures / "bad.png").write_bytes(b"no picture")
    calls: list[tuple[str, int, int]] = []

    def progress(name: str, done: int, total: int) -> None:
        calls.append((name, done, total))

    choice = choose_images(encoder, [pictures], count=50, progress=progress)
    assert [Path(error.path).name for error in choice.skipped] == ["bad.png"]
    assert len(choice.images) == choice.candidates == 9
    assert calls[-1] == ("encode", 10, 10)
    (pictures / "empty").mkdir()
    nothing = choose_images(encoder, [pictures / "empty"], count=1)
    assert (nothing.images, nothing.candidates) == ((), 0)
    with pytest.raises(UsageError, match="count is 0, but must be at least 1"):
        choose_images(encoder, [pictures], count=0)
