"""Filtered search: what a naive search over the images that pass finds, however few or many."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import GalleryCorruptError, UsageError
from boost_edge.runtime.filtering import Filters
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.search import GRAPH_NAME, Scored, Searcher
from boost_edge.runtime.store import STORE_NAME, Store

Matrix = NDArray[np.float32]
ROWS = 3000
WIDTH = 24
COLOURS = ("Red", "Green", "Blue")


def row_of(number: int, colour: str, **labels: str) -> ImageRow:
    """Return some image's row; ``rank`` is its number."""
    return ImageRow(
        id=None,
        path=f"/{number}.png",
        digest=f"{number:064x}",
        size=1,
        mtime_ns=1,
        width=1,
        height=1,
        predicted={"colour": Prediction(value=colour, p=(number % 8) / 8)},
        labels={"rank": str(number), **labels},
    )


def unit(matrix: Matrix) -> Matrix:
    """Return rows of length 1."""
    rows: Matrix = (matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)).astype(np.float32)
    return rows


@pytest.fixture(scope="module")
def vectors() -> Matrix:
    """Return clustered vectors, a few of which are equal."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, WIDTH))
    matrix = centres[np.arange(ROWS) % 30] + 0.5 * random.normal(size=(ROWS, WIDTH))
    matrix[1000:1040] = matrix[0:40]
    return unit(matrix.astype(np.float32))


@pytest.fixture(scope="module")
def store(vectors: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of those vectors with ids from 1; a cluster has one colour."""
    folder = tmp_path_factory.mktemp("gallery")
    Store.create(folder, model_sha256="0", model_path="/m.onnx", dimensions=WIDTH)
    with closing(Store.open(folder)) as opened:
        rows = [(row_of(n + 1, COLOURS[n % 3]), vector) for n, vector in enumerate(vectors)]
        opened.commit(Changes(encoded=rows))
        yield opened


@pytest.fixture(scope="module")
def hybrid(store: Store, vectors: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Return a searcher with a graph of the rows but the last 200, which have changed since."""
    searcher = Searcher(tmp_path_factory.mktemp("graph") / GRAPH_NAME, exact_limit=600)
    searcher.find(store, vectors[0], 1)
    rows = [(row_of(n + 1, COLOURS[n % 3]), vectors[n]) for n in range(ROWS - 200, ROWS)]
    store.commit(Changes(encoded=rows))
    return searcher


def naive(vectors: Matrix, query: Matrix, among: NDArray[np.int64], k: int) -> list[int]:
    """Sort all that pass by score, then by id."""
    scores = {
        identity: float(np.vecdot(vectors[identity - 1], query)) for identity in among.tolist()
    }
    return sorted(scores, key=lambda identity: (-scores[identity], identity))[:k]


def answer(
    store: Store, searcher: Searcher, text: str, query: Matrix, k: int
) -> tuple[NDArray[np.int64], Scored]:
    """Return the ids that pass, and the hits among them."""
    filters = Filters(["colour"])
    with store.snapshot():
        among = filters.ids(store, filters.read(store, text))
        return among, searcher.find(store, query, k, among=among)


@pytest.mark.parametrize("exact", [True, False])
@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    low=st.integers(0, ROWS + 10),
    size=st.sampled_from([0, 1, 3, 30, 100, 300, 1000, 2000, ROWS]),
    colour=st.sampled_from(["", "colour = Red", "not colour = Red", "p(colour) > 0.5"]),
    k=st.sampled_from([1, 10, 100]),
)
def test_a_filtered_search_is_the_naive_one(
    store: Store,
    hybrid: Searcher,
    vectors: Matrix,
    tmp_path: Path,
    seed: int,
    low: int,
    size: int,
    colour: str,
    k: int,
    *,
    exact: bool,
) -> None:
    """Whatever passes, the nearest of it are found: all in exact search, 99 % through the graph."""
    random = np.random.default_rng(seed)
    query = unit(vectors[random.integers(ROWS)] + random.normal(scale=0.05, size=WIDTH))
    text = f"rank > {low} and rank <= {low + size}" + (f" and {colour}" if colour else "")
    searcher = Searcher(tmp_path / GRAPH_NAME, exact_limit=ROWS) if exact else hybrid
    among, (ids, scores) = answer(store, searcher, text, query, k)
    expected = naive(vectors, query, among, k)
    assert len(ids) == len(expected)
    assert set(ids.tolist()) <= set(among.tolist())
    assert scores.tolist() == np.vecdot(vectors[ids - 1], query).tolist()
    assert list(zip((-scores).tolist(), ids.tolist(), strict=True)) == sorted(
        zip((-scores).tolist(), ids.tolist(), strict=True)
    )
    if exact or len(among) <= k:
        assert ids.tolist() == expected
    else:
        assert len(set(ids.tolist()) & set(expected)) >= 0.99 * len(expected) - (k > 10)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.7, 1.0])
def test_recall_holds_at_every_selectivity(
    store: Store, hybrid: Searcher, vectors: Matrix, share: float
) -> None:
    """Recall@10 through the graph is at least 0.99, whatever share of the images passes."""
    random = np.random.default_rng(1)
    found = 0.0
    for row in vectors[random.choice(ROWS, 60, replace=False)]:
        among = np.sort(random.choice(ROWS, max(1, int(share * ROWS)), replace=False) + 1)
        ids, _ = hybrid.find(store, row, 10, among=among)
        expected = naive(vectors, row, among, 10)
        assert len(ids) == len(expected)
        found += len(set(ids.tolist()) & set(expected)) / len(expected)
    assert found / 60 >= 0.99


def test_what_passes_may_be_far_away(store: Store, hybrid: Searcher, vectors: Matrix) -> None:
    """A filter that leaves out everything near the query loses nothing."""
    for query in vectors[:20]:
        order = np.argsort(np.vecdot(vectors, query))
        for count in (50, 1500, 2500):
            among = np.sort(order[:count] + 1)
            ids, _ = hybrid.find(store, query, 10, among=among)
            assert len(set(ids.tolist()) & set(naive(vectors, query, among, 10))) >= 9


def test_a_filter_reads_no_vectors(store: Store) -> None:
    """SQLite scans the rows of the images, once, and these hold no vectors."""
    plan = store.select(
        "EXPLAIN QUERY PLAN SELECT id FROM images WHERE +state = 'live' "
        "AND coalesce(json_extract(labels, ?), json_extract(predicted, ?)) = ?",
        ("$.a", "$.a.value", "x"),
    )
    assert [step[-1] for step in plan] == ["SCAN images"]
    columns = {name for (name,) in store.select("SELECT name FROM pragma_table_info('images')")}
    assert columns >= {"id", "state", "predicted", "labels"}
    assert "vector" not in columns


def test_an_answer_is_remembered_until_a_commit(tmp_path: Path) -> None:
    """The same filter is not asked twice; another process's commit of a label is seen."""
    Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=2)
    with closing(Store.open(tmp_path)) as reader, closing(Store.open(tmp_path)) as writer:
        rows = [(row_of(n, "Red"), np.ones(2, np.float32)) for n in (1, 2)]
        writer.commit(Changes(encoded=rows))
        filters = Filters(["colour"])
        where = filters.read(reader, "colour = Red")
        first = filters.ids(reader, where)
        assert filters.ids(reader, where) is first
        known = writer.images([1])[1]
        writer.commit(Changes(kept=[dataclasses.replace(known, labels={"colour": "Blue"})]))
        assert (first.tolist(), filters.ids(reader, where).tolist()) == ([1, 2], [2])
        assert filters.ids(reader, filters.read(reader, "colour = Blue")).tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("color = Red", "column 1 (at ^): no attribute is called 'color', did you mean 'colour'?"),
        ("RANK = 1", "no attribute is called 'RANK', did you mean 'rank'?: ^RANK = 1"),
        ("colour = Red and p(rank) > 1", "column 20 (at ^): no predicted attribute is called"),
        ("label.colour = Red", "no label is called 'colour', there is 'rank': ^label"),
        ("predicted.rank = 1", "no predicted attribute is called 'rank', there is 'colour': ^"),
        ("p(foo) > 1", "no predicted attribute is called 'foo', there is 'colour': p(^foo) > 1"),
        ("'in' = 3", "no attribute is called 'in', there is 'colour', 'rank': ^'in' = 3"),
    ],
)
def test_an_unknown_attribute_names_the_nearest(store: Store, text: str, message: str) -> None:
    """A name that no image has is an error, not an empty result."""
    with pytest.raises(UsageError) as caught:
        Filters(["colour"]).read(store, text)
    assert message in str(caught.value)


def test_damaged_attributes_are_corrupt(tmp_path: Path) -> None:
    """A row whose attributes are no JSON is not taken for one without attributes."""
    Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=2)
    with closing(Store.open(tmp_path)) as opened:
        opened.commit(Changes(encoded=[(row_of(1, "Red"), np.ones(2, np.float32))]))
        with closing(sqlite3.connect(tmp_path / STORE_NAME)) as database:
            database.execute("UPDATE images SET predicted = '{'")
            database.commit()
        filters = Filters(["colour"])
        with pytest.raises(GalleryCorruptError, match="malformed JSON"):
            filters.ids(opened, filters.read(opened, "colour = Red"))


@pytest.mark.parametrize("exact_limit", [4, 100])
def test_a_gallery_answers_filters(
    encoder: Encoder, pictures: Path, tmp_path: Path, exact_limit: int
) -> None:
    """Only hits that pass are returned, by image and by vector, best first and ranked from 1."""
    labels = {str(pictures / "blue" / "1.png"): {"season": "Winter", "colour": "navy"}}
    with Gallery.open(tmp_path / "gallery", encoder, exact_limit=exact_limit) as gallery:
        gallery.index([pictures], labels=labels)
        image = pictures / "red" / "0.png"
        everything = [hit.path for hit in gallery.query(image, k=9)]
        tests: list[tuple[str, Callable[[str], bool]]] = [
            ("colour = blue", lambda path: "/blue/" in path and not path.endswith("blue/1.png")),
            ("predicted.colour = blue", lambda path: "/blue/" in path),
            ("colour in (red, navy)", lambda path: "/red/" in path or path.endswith("blue/1.png")),
            ("season = Winter", lambda path: path.endswith("blue/1.png")),
            ("p(colour) > 2", lambda _: False),
            ("p(colour) >= 0", lambda _: True),
        ]
        for text, passes in tests:
            hits = gallery.query(image, k=9, where=text).hits
            assert [hit.path for hit in hits] == [path for path in everything if passes(path)]
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
            vector = encoder.encode([image])[0]
            assert [hit.path for hit in gallery.search(vector, k=9, where=text)] == [
                hit.path for hit in hits
            ]


def test_a_filter_is_read_before_the_image(gallery: Gallery, tmp_path: Path) -> None:
    """A wrong filter is said at once, whatever the image."""
    with pytest.raises(UsageError, match="did you mean 'colour'"):
        gallery.query(tmp_path / "absent.png", where="colou = red")
    with pytest.raises(UsageError, match="expected a value"):
        gallery.search(np.zeros(16, np.float32), where="colour =")


def test_a_model_without_attributes_has_none_to_filter_on(
    build_model: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """A raw readout predicts nothing, and its gallery says so."""
    model = build_model(tmp_path / "raw.onnx", head=False)
    with Encoder.open(model, threads=1) as raw, Gallery.open(tmp_path / "g", raw) as gallery:
        gallery.index([pictures])
        with pytest.raises(UsageError, match="'colour', the gallery has none"):
            gallery.query(pictures / "red" / "0.png", where="colour = red")
