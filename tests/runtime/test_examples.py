"""Queries by several examples: Rocchio's formula, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.examples import UNLIKE_WEIGHT, combine, in_common
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import load_image

Matrix = NDArray[np.float32]
Some = list[list[float]]

vectors = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3)


@settings(deadline=None)
@given(
    like=st.lists(vectors, min_size=1, max_size=5),
    unlike=st.lists(vectors, max_size=5),
    weight=st.floats(0, 3),
)
def test_the_query_is_rocchio_s(like: Some, unlike: Some, weight: float) -> None:
    """It is the mean of the wanted less a share of that of the unwanted, or an error."""
    expected = [
        sum(each[axis] for each in like) / len(like)
        - (weight * sum(each[axis] for each in unlike) / len(unlike) if unlike else 0.0)
        for axis in range(3)
    ]
    wanted, unwanted = np.array(like, np.float32), np.array(unlike, np.float32)
    length = float(np.linalg.norm(expected))
    if length < 0.9e-6:
        with pytest.raises(UsageError, match="cancel each other out"):
            combine(wanted, unwanted, weight)
    elif length > 1.1e-6:
        np.testing.assert_allclose(combine(wanted, unwanted, weight), expected, atol=1e-6)


@given(one=vectors, copies=st.integers(1, 4), weight=st.floats(0, 1))
def test_an_example_alone_is_itself(one: list[float], copies: int, weight: float) -> None:
    """One example, also given several times, is taken as it is, whatever the weight."""
    vector = np.array(one, np.float32)
    if np.linalg.norm(vector) > 1e-5:
        found = combine(np.array([vector] * copies), np.empty((0, 3), np.float32), weight)
        assert found.tolist() == vector.tolist()


predictions = st.dictionaries(
    st.sampled_from("abc"),
    st.builds(Prediction, value=st.sampled_from("xy"), p=st.integers(0, 8).map(lambda n: n / 8)),
)


@given(examples=st.lists(predictions, min_size=1, max_size=4))
def test_what_examples_have_in_common(examples: list[dict[str, Prediction]]) -> None:
    """Exactly the values that all share are there, with the mean probability."""
    found = in_common(examples)
    for name in "abc":
        values = {each[name].value if name in each else None for each in examples}
        shared = len(values) == 1 and values != {None}
        assert (name in found) == shared
        if shared:
            assert {found[name].value} == values
            mean = sum(each[name].p for each in examples) / len(examples)
            assert found[name].p == pytest.approx(mean)


def test_one_example_finds_what_its_image_finds(gallery: Gallery, pictures: Path) -> None:
    """A path, its pixels and a plain query have the same hits, scores and attributes."""
    gallery.index([pictures])
    path = pictures / "green" / "1.png"
    expected = gallery.query(path, k=9)
    for example in (path, str(path), load_image(path, gallery.encoder.manifest.image)):
        found = gallery.query_examples([example], k=9)
        assert (found.hits, found.attributes) == (expected.hits, expected.attributes)
    assert (found.query, found.like, found.unlike) == ("<examples>", ("<array>",), ())
    assert set(found.took_ms) == {"decode", "encode", "search"}
    assert all(each > 0 for each in found.took_ms.values())


@pytest.mark.parametrize("weight", [UNLIKE_WEIGHT, 0.0, 0.75])
def test_the_answer_is_the_naive_one(
    gallery: Gallery, encoder: Encoder, pictures: Path, weight: float
) -> None:
    """Hits are those of the formula over all embeddings, and agree with what is in common."""
    gallery.index([pictures])
    paths = sorted(pictures.rglob("*.png"))
    embeddings = encoder.encode(paths).astype(float)
    place = {path: number for number, path in enumerate(paths)}
    like = [pictures / "red" / "0.png", pictures / "blue" / "1.png"]
    unlike = [pictures / "green" / "2.png"]
    found = gallery.query_examples(like, unlike, k=9, unlike_weight=weight)
    query = (embeddings[place[like[0]]] + embeddings[place[like[1]]]) / 2
    query -= weight * embeddings[place[unlike[0]]]
    scores = embeddings @ (query / np.linalg.norm(query))
    order: list[int] = np.argsort(-scores).tolist()
    assert [hit.path for hit in found] == [str(paths[number]) for number in order]
    np.testing.assert_allclose([hit.score for hit in found], scores[order], atol=1e-5)
    # One is red and one is blue, but both are dark.
    assert {name: each.value for name, each in found.attributes.items()} == {"light": "dark"}
    assert all(hit.agrees == ("light",) for hit in found)
    assert (found.like, found.unlike) == (tuple(map(str, like)), tuple(map(str, unlike)))


def test_an_id_stands_for_the_stored_embedding(gallery: Gallery, pictures: Path) -> None:
    """An indexed image is an example by its id, also when its file is gone; nothing is decoded."""
    gallery.index([pictures])
    path = pictures / "red" / "2.png"
    expected = gallery.query(path, k=9)
    path.unlink()
    found = gallery.query_examples([expected.hits[0].id], k=9)
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected])
    assert found.like == (str(path),)
    assert found.attributes.keys() == expected.attributes.keys()
    assert (found.took_ms["decode"], found.took_ms["encode"]) == (0, 0)
    others = {"where": "colour = red", "min_score": 0.5, "k": 2, "prefer": ["light=dark:0.5"]}
    limited = gallery.query_examples([expected.hits[0].id], **others)  # type: ignore[arg-type]
    assert len(limited) == 2
    assert all(hit.attributes["colour"] == "red" and hit.preference > 0 for hit in limited)


# Any: types that a checker would refuse are asked for too.
REFUSED: list[tuple[Callable[[Any, Path], object], str]] = [
    (lambda g, _: g.query_examples([]), "there is no example to be like"),
    (lambda g, p: g.query_examples([], [p]), "there is no example to be like"),
    (lambda g, p: g.query_examples(p), r"like must be a list: for one example, give"),
    (lambda g, p: g.query_examples([p], str(p)), "unlike must be a list"),
    (lambda g, p: g.query_examples([p], [p], unlike_weight=1.0), "cancel each other out"),
    (lambda g, p: g.query_examples([p], [p], unlike_weight=-1.0), "must be at least 0"),
    (lambda g, p: g.query_examples([p], unlike_weight=float("nan")), "must be at least 0"),
    (lambda g, p: g.query_examples([p, 99]), "id 99: the gallery has no such image"),
    (lambda g, p: g.query_examples([p], [-1]), "id -1: the gallery has no such image"),
    (lambda g, p: g.query_examples([p, 2**70]), "the gallery has no such image"),
    (
        lambda g, p: g.query_examples([p], unlike_weight="1"),
        "weight of unlike is '1', but must",
    ),
    (lambda g, _: g.query_examples(None), "like must be a list: for one example, give"),
    (lambda g, p: g.query_examples([p], 5), "unlike must be a list"),
    (lambda g, _: g.query_examples([None]), "an image is a path or an array, not NoneType"),
    (lambda g, p: g.query_examples([p], k=0), "k is 0"),
    (lambda g, p: g.query_examples([p], where="colour ="), "expected a value"),
]


@pytest.mark.parametrize(("ask", "message"), REFUSED)
def test_what_makes_no_query_is_refused(
    gallery: Gallery, pictures: Path, ask: Callable[[Gallery, Path], object], message: str
) -> None:
    """Each is a usage error of one line."""
    gallery.index([pictures])
    with pytest.raises(UsageError, match=message):
        ask(gallery, pictures / "red" / "0.png")


def test_an_example_that_cannot_be_read_raises(gallery: Gallery, pictures: Path) -> None:
    """Its own error is raised: a query of the others would be another query."""
    with pytest.raises(ImageError, match="absent"):
        gallery.query_examples([pictures / "red" / "0.png"], [pictures / "absent.png"])


def test_a_deleted_image_is_no_example(gallery: Gallery, pictures: Path) -> None:
    """What was pruned cannot be asked for by its id."""
    gallery.index([pictures])
    path = pictures / "red" / "2.png"
    identity = gallery.query(path, k=1).hits[0].id
    path.unlink()
    gallery.index([pictures], prune=True)
    with pytest.raises(UsageError, match=f"id {identity}: the gallery has no such image"):
        gallery.query_examples([identity])
