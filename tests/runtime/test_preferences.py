"""Preferences: what a naive sort of all images by cosine and bonus gives, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.filtering import Filters
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.preferences import (
    DEFAULT_WEIGHT,
    Preference,
    best_preferred,
    bonuses_of,
    greatest_bonus,
    parse_preference,
)
from boost_edge.runtime.search import GRAPH_NAME, Scored, Searcher
from boost_edge.runtime.store import Store, Vectors

Matrix = NDArray[np.float32]
ROWS = 400
WIDTH = 8
COLOURS = ("Red", "Navy Blue", "green", "10", "10.0", "")


def colour_of(number: int) -> tuple[dict[str, str], dict[str, Prediction]]:
    """Return some labels and some predictions, in every combination."""
    labels = {"colour": COLOURS[number % 6]} if number % 3 == 0 else {}
    if number % 7 == 0:
        labels["season"] = "Winter"
    p = float(np.float32((number % 9) / 8))
    predicted = {"colour": Prediction(value=COLOURS[number % 5], p=p)} if number % 4 else {}
    return labels, predicted


@pytest.fixture(scope="module")
def vectors() -> Matrix:
    """Return vectors of few directions, so that many cosines are equal."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(ROWS, WIDTH))
    matrix[ROWS // 2 :] = matrix[random.integers(0, 20, ROWS // 2)]
    unit: Matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def store(vectors: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of those vectors with ids from 1."""
    folder = tmp_path_factory.mktemp("gallery")
    Store.create(folder, model_sha256="0", model_path="/m.onnx", dimensions=WIDTH)
    with closing(Store.open(folder)) as opened:
        rows: list[tuple[ImageRow, Matrix]] = []
        for number, vector in enumerate(vectors, start=1):
            labels, predicted = colour_of(number)
            row = ImageRow(
                id=None, path=f"/{number}.png", digest=f"{number:064x}", size=1, mtime_ns=1,
                width=1, height=1, predicted=predicted, labels=labels,
            )  # fmt: skip
            rows.append((row, vector))
        opened.commit(Changes(encoded=rows))
        yield opened


def equal(found: str, wanted: str | float) -> bool:
    """Compare as filters do: with a number as a number, with a text as text."""
    if isinstance(wanted, str):
        return found == wanted
    return found in ("10", "10.0") and float(found) == wanted


def bonus_of(number: int, preferences: list[Preference]) -> float:
    """Return the bonus of an image, as docs/queries.md says."""
    labels, predicted = colour_of(number)
    total = 0.0
    for each in preferences:
        if each.name in labels:
            total += each.weight * equal(labels[each.name], each.value)
        elif each.name in predicted and equal(predicted[each.name].value, each.value):
            total += each.weight * min(1.0, predicted[each.name].p)
    return total


def quote(text: str) -> str:
    """Write a value so that it is text."""
    return "'" + text.replace("'", "''") + "'"


weights = st.integers(-8, 8).map(lambda each: each / 8) | st.floats(-1, 1).map(
    lambda each: float(f"{each:.6f}")
)
wishes = st.lists(
    st.tuples(
        st.sampled_from(["colour", "season"]),
        st.sampled_from([*map(quote, COLOURS), "10", "1e1", "Red", "'Winter'"]),
        weights,
    ),
    min_size=1,
    max_size=4,
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    wishes=wishes,
    place=st.integers(0, ROWS - 1),
    k=st.sampled_from([1, 2, 5, 30, ROWS, 3 * ROWS]),
    least=st.none() | st.floats(-1, 1),
    where=st.none() | st.sampled_from(["colour = Red", "known(season)", "p(colour) > 0.5"]),
    exact=st.booleans(),
    reach=st.none() | st.sampled_from([0, 7, 50]),
)
def test_the_answer_is_the_naive_one(
    store: Store,
    vectors: Matrix,
    tmp_path: Path,
    wishes: list[tuple[str, str, float]],
    place: int,
    k: int,
    least: float | None,
    where: str | None,
    reach: int | None,
    *,
    exact: bool,
) -> None:
    """In order, bit for bit, it is the sort of all images by cosine and bonus, then by id.

    Through the graph no hit has a wrong cosine or bonus, and the order is right.
    """
    filters = Filters(["colour"])
    texts = [f"{name} = {value}:{weight}" for name, value, weight in wishes]
    preferences = list(filters.preferences(store, texts))
    query = vectors[place]
    searcher = Searcher(tmp_path / GRAPH_NAME, exact_limit=ROWS if exact else 100)
    with store.snapshot():
        among = filters.ids(store, filters.read(store, where)) if where else None
        (ids, cosines), bonuses = best_preferred(
            lambda count: searcher.find(store, query, count, among=among),
            bonuses_of(store, preferences),
            k,
            most=greatest_bonus(preferences),
            least=least,
            scores=None if reach is None else lambda: searcher.scores(store, query, among),
            reach=reach or 0,
        )
    scores = np.vecdot(vectors, query)
    allowed = np.arange(1, ROWS + 1) if among is None else among
    naive = sorted(
        (-(float(scores[number - 1]) + bonus_of(number, preferences)), number)
        for number in allowed.tolist()
        if least is None or float(scores[number - 1]) >= least
    )[:k]
    assert cosines.tolist() == scores[ids - 1].tolist()
    assert bonuses.tolist() == [bonus_of(number, preferences) for number in ids.tolist()]
    found = list(zip((-(cosines.astype(float) + bonuses)).tolist(), ids.tolist(), strict=True))
    if exact or reach == 0:
        assert found == naive
    else:
        assert found == sorted(found)
        assert len(found) == len(naive)


def test_an_image_that_ties_with_the_last_hit_is_not_missed() -> None:
    """Where an unseen image can only tie, it is looked at: its id may be the smaller one."""
    cosines = np.array([0.5, 0.25, 0.25, 0.25, 0.25, 0.25], np.float32)
    ids = np.array([9, 1, 2, 3, 4, 5], np.int64)
    asked: list[int] = []

    def find(count: int) -> Scored:
        asked.append(count)
        return ids[:count], cosines[:count]

    def bonuses(some: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(some == 5, 0.25, 0.0)

    (found, _), _ = best_preferred(find, bonuses, 1, most=0.25)
    assert found.tolist() == [5]
    assert asked == [4, 8]


def test_all_images_are_gone_through_once(
    store: Store, vectors: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preference that only a look at all images settles scans the gallery once, in pieces."""
    searcher = Searcher(tmp_path / GRAPH_NAME, exact_limit=100, most_candidates=100)
    preferences = [parse_preference("colour=green:1")]
    scans: list[int] = []
    chunks = Store.vector_chunks

    def counted(self: Store, **keywords: Any) -> Iterator[Vectors]:
        scans.append(0)
        for piece in chunks(self, **keywords):
            scans[-1] += len(piece[0])
            yield piece

    with store.snapshot():
        searcher.find(store, vectors[3], 1)
        monkeypatch.setattr(Store, "vector_chunks", counted)
        (ids, _), bonuses = best_preferred(
            lambda count: searcher.find(store, vectors[3], count),
            bonuses_of(store, preferences),
            20,
            most=1.0,
            scores=lambda: searcher.scores(store, vectors[3]),
            reach=searcher.reach(store),
        )
    scored = np.vecdot(vectors, vectors[3]).astype(float)
    wanted = sorted(
        range(1, ROWS + 1), key=lambda n: (-scored[n - 1] - bonus_of(n, preferences), n)
    )
    assert ids.tolist() == wanted[:20]
    assert bonuses.tolist() == [bonus_of(number, preferences) for number in wanted[:20]]
    assert scans == [ROWS]


def test_no_hit_within_reach_takes_a_scan(
    store: Store, vectors: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many hits as the searcher says come from the graph, filtered or not, and one more not."""
    searcher = Searcher(tmp_path / GRAPH_NAME, exact_limit=300, most_candidates=300)
    scans: list[str] = []
    for name in ("vector_chunks", "chunks_of"):
        chunks = getattr(Store, name)

        def counted(*given: Any, chunks: Any = chunks, name: str = name, **more: Any) -> Any:
            scans.append(name)
            return chunks(*given, **more)

        monkeypatch.setattr(Store, name, counted)
    every = np.arange(1, ROWS + 1, dtype=np.int64)
    with store.snapshot():
        searcher.find(store, vectors[0], 1)
        scans.clear()
        for among, scan in ((None, "vector_chunks"), (every, "chunks_of")):
            reach = searcher.reach(store, among)
            assert reach > 0
            searcher.find(store, vectors[0], reach, among=among)
            assert scans == []
            searcher.find(store, vectors[0], reach + 1, among=among)
            assert scans == [scan]
            scans.clear()


def test_no_more_is_looked_at_than_can_matter(store: Store, vectors: Matrix) -> None:
    """A small bonus needs few candidates, and no image's bonus is asked for twice."""
    seen: list[int] = []
    searcher = Searcher(Path("unused"), exact_limit=ROWS)
    preferences = [parse_preference("colour=Red:0.05")]
    bonuses = bonuses_of(store, preferences)

    def noting(some: NDArray[np.int64]) -> NDArray[np.float64]:
        seen.extend(some.tolist())
        return bonuses(some)

    query = vectors[3]
    with store.snapshot():
        best_preferred(lambda count: searcher.find(store, query, count), noting, 3, most=0.05)
    assert len(seen) == len(set(seen)) < ROWS / 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour=Red", ("colour", "Red", DEFAULT_WEIGHT)),
        ("colour=Red:0.3", ("colour", "Red", 0.3)),
        ("colour = Red :-1", ("colour", "Red", -1.0)),
        ("'base colour'='Navy Blue':.5", ("base colour", "Navy Blue", 0.5)),
        ('colour="it\'s":1', ("colour", "it's", 1.0)),
        ("ratio='16:9'", ("ratio", "16:9", DEFAULT_WEIGHT)),
        ("ratio=a:b:0.2", ("ratio", "a:b", 0.2)),
        ("year=2012:0.2", ("year", 2012, 0.2)),
        ("year='2012':+1e-1", ("year", "2012", 0.1)),
        ("'label.x'=y", ("label.x", "y", DEFAULT_WEIGHT)),
        ("colour='':0", ("colour", "", 0.0)),
    ],
)
def test_a_preference_is_read(text: str, expected: tuple[str, str | int, float]) -> None:
    """Names and values are quoted as in filters; the weight follows a colon."""
    found = parse_preference(text)
    assert (found.name, found.value, found.weight) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "preference, column 1 (at ^): expected the name of an attribute, found the end: ^"),
        ("''=x", "column 1 (at ^): expected the name of an attribute, found ''"),
        ("colour", "column 7 (at ^): expected =, found the end: colour^"),
        ("colour>=1", "column 7 (at ^): expected =, found '>='"),
        ("colour=", "column 8 (at ^): expected a value, found the end"),
        ("colour=:0.3", "column 8 (at ^): expected a value, found ''"),
        ("colour=Red:", "column 12 (at ^): expected a weight in [-1, 1]"),
        ("colour=Red:2", "column 12 (at ^): expected a weight in [-1, 1] (a value with a colon"),
        ("colour=Red:nan", "column 12 (at ^): expected a weight in [-1, 1]"),
        (
            "ratio=16:9",
            "column 10 (at ^): expected a weight in [-1, 1] (a value with a colon needs",
        ),
        ("colour=Red:0.1 x", "column 16 (at ^): expected the end, found 'x'"),
        ("colour=Navy Blue", "column 13 (at ^): expected a colon and a weight, or the end"),
        ("colour='Red", "preference, column 8 (at ^): expected a closing quote"),
        ("colour=a;b", "preference, column 9 (at ^): expected a word, a quote or an operator"),
        ("label.colour=x", "column 1 (at ^): a preference looks at the label, then at the"),
        ("'a\"b'=x", "column 1 (at ^): an attribute with a quotation mark in its name"),
        ("year=1e999", "column 6 (at ^): expected a number that is not so large"),
    ],
)
def test_an_error_points_at_its_place(text: str, message: str) -> None:
    """The message is one line with the column, what was expected, and the preference."""
    with pytest.raises(UsageError) as caught:
        parse_preference(text)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


fragments = st.sampled_from([*"()=<>,'\": ", "colour", "0.3", ":0.3", "label.", "-1", "\n", "\0"])


@settings(deadline=None)
@given(text=st.text() | st.lists(fragments, max_size=8).map("".join))
def test_any_text_is_a_preference_or_a_usage_error(text: str) -> None:
    """No text breaks the parser, and what it reads has a weight in range."""
    try:
        assert -1 <= parse_preference(text).weight <= 1
    except UsageError as error:
        said = str(error)
    else:
        return
    assert said.isprintable()


@pytest.mark.parametrize(
    ("prefer", "message"),
    [
        (["color=Red"], "column 1 (at ^): no attribute is called 'color', did you mean 'colour'?"),
        (["colour=Red"] * 101, "101 preferences are too many"),
        ("colour=Red", r"give [preference]"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    gallery: Gallery, tmp_path: Path, prefer: list[str], message: str
) -> None:
    """A wrong preference is said before any image is read."""
    for call in (
        lambda: gallery.query(tmp_path / "absent.png", prefer=prefer),
        lambda: gallery.search(np.zeros(16, np.float32), prefer=prefer),
        lambda: gallery.query_examples([tmp_path / "absent.png"], prefer=prefer),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert message in str(caught.value)


def test_a_hundred_preferences_are_fine(gallery: Gallery, pictures: Path) -> None:
    """As many as are allowed are no trouble for SQLite, and add up."""
    gallery.index([pictures])
    image = pictures / "red" / "0.png"
    many = gallery.query(image, k=9, prefer=["light=dark:0.5"] * 100)
    once = {hit.id: hit for hit in gallery.query(image, k=9, prefer=["light=dark:0.5"])}
    for hit in many:
        assert hit.preference == pytest.approx(100 * once[hit.id].preference)


@pytest.mark.parametrize("exact_limit", [4, 100])
def test_a_gallery_prefers(
    encoder: Encoder, pictures: Path, tmp_path: Path, exact_limit: int
) -> None:
    """A preference lifts what it should, the score stays the cosine, and labels come first."""
    labels = {str(pictures / "blue" / "1.png"): {"colour": "navy"}}
    with Gallery.open(tmp_path / "gallery", encoder, exact_limit=exact_limit) as gallery:
        gallery.index([pictures], labels=labels)
        image = pictures / "red" / "0.png"
        plain = {hit.path: hit for hit in gallery.query(image, k=9)}
        assert {hit.preference for hit in plain.values()} == {0.0}
        for weight in (1.0, -1.0, 0.0):
            prefer = ["colour = navy:1", f"colour = blue:{weight}"]
            hits = gallery.query(image, k=9, prefer=prefer).hits
            assert {hit.path: hit.score for hit in hits} == {p: h.score for p, h in plain.items()}
            assert [hit.rank for hit in hits] == list(range(1, 10))
            sums = [hit.score + hit.preference for hit in hits]
            assert sums == sorted(sums, reverse=True)
            bonus = {hit.path: hit.preference for hit in hits}
            assert bonus[str(pictures / "blue" / "1.png")] == 1.0
            assert bonus[str(pictures / "red" / "0.png")] == 0.0
            p = gallery.query(pictures / "blue" / "0.png").attributes["colour"].p
            assert bonus[str(pictures / "blue" / "0.png")] == pytest.approx(weight * p)
            assert [hit.path for hit in gallery.query(image, k=2, prefer=prefer)] == [
                hit.path for hit in hits[:2]
            ]


def test_min_score_is_the_cosine_s(gallery: Gallery, pictures: Path) -> None:
    """What is too unlike is no hit however preferred, and others take its place."""
    gallery.index([pictures])
    image = pictures / "red" / "0.png"
    every = gallery.query(image, k=9).hits
    bar = every[4].score
    hits = gallery.query(image, k=5, min_score=bar, prefer=["light=dark:1", "colour=red:-1"]).hits
    assert {hit.path for hit in hits} == {hit.path for hit in every[:5]}
    assert all(hit.score >= bar for hit in hits)
    with pytest.raises(UsageError, match="min_score is not a number"):
        gallery.query(image, min_score=float("nan"))
