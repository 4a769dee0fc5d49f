"""Recall of the graph on hard data, with filters that few or many images pass, for each dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.runtime.binding import GRAPH_DTYPES, GraphDtype
from boost_edge.runtime.graph_sum import PIECE
from boost_edge.runtime.hnsw import Hnsw
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.search import GRAPH_NAME, Searcher, top
from boost_edge.runtime.store import Store

Matrix = NDArray[np.float32]
ROWS, WIDTH, LIMIT = 6000, 96, 1000
IDS = np.arange(1, ROWS + 1)


def unit(points: NDArray[np.floating]) -> Matrix:
    """Return rows of norm 1."""
    rows: Matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return rows


def clustered(random: np.random.Generator) -> Matrix:
    """Return positive vectors around a centre for each hundred."""
    centres = random.normal(size=(ROWS // 100, WIDTH))[np.arange(ROWS) % (ROWS // 100)]
    return unit(np.maximum(centres + 0.7 * random.normal(size=centres.shape), 0))


def posteriors(random: np.random.Generator) -> Matrix:
    """Return roots of the posteriors of a sure head: a thousand pressed together in each place."""
    centres = random.normal(size=(ROWS // 1000, WIDTH))[np.arange(ROWS) % (ROWS // 1000)]
    logits = 8 * centres + random.normal(size=centres.shape)
    parts = [np.exp(part - part.max(axis=1, keepdims=True)) for part in np.split(logits, 6, axis=1)]
    return unit(
        np.concatenate([np.sqrt(each / each.sum(axis=1, keepdims=True)) for each in parts], 1)
    )


def near_copies(random: np.random.Generator) -> Matrix:
    """Return twenty near copies of each of some vectors."""
    originals = unit(np.maximum(random.normal(size=(ROWS // 20, WIDTH)), 0))
    noise = 0.003 * random.normal(size=(ROWS, WIDTH))
    return unit(originals[np.arange(ROWS) % len(originals)] + noise)


KINDS: dict[str, Callable[[np.random.Generator], Matrix]] = {
    "clustered": clustered,
    "posteriors": posteriors,
    "near_copies": near_copies,
}


def row(number: int) -> ImageRow:
    """Return some image's row."""
    return ImageRow(
        id=None, path=f"/{number}.png", digest=f"{number:064x}", size=1, mtime_ns=1, width=1,
        height=1, predicted={}, labels={},
    )  # fmt: skip


@pytest.fixture(scope="module", params=sorted(KINDS))
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, Matrix, Path]]:
    """Return a store of vectors of one kind, with ids from 1, the vectors, and a folder."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    matrix = KINDS[kind](np.random.default_rng(0))
    Store.create(folder, model_sha256="0", model_path="/m.onnx", dimensions=WIDTH)
    with closing(Store.open(folder)) as store:
        store.commit(Changes(encoded=[(row(n), each) for n, each in enumerate(matrix)]))
        yield store, matrix, folder


def queries(matrix: Matrix, count: int = 40) -> Matrix:
    """Return rows of the matrix with a little noise."""
    random = np.random.default_rng(1)
    chosen = matrix[random.choice(len(matrix), count, replace=False)]
    return unit(chosen + 0.02 * random.normal(size=chosen.shape))


def recall(
    found: NDArray[np.int64], matrix: Matrix, query: Matrix, among: NDArray[np.int64]
) -> float:
    """Return the share of the ten best that was found; equal scores are as good."""
    _, scores = top(among, matrix[among - 1], query, 10)
    assert len(set(found.tolist())) == len(found) == len(scores)
    assert np.isin(found, among).all()
    return np.count_nonzero(matrix[found - 1] @ query >= scores[-1] - 1e-6) / len(found)


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_recall_at_every_selectivity(filled: tuple[Store, Matrix, Path], dtype: GraphDtype) -> None:
    """Recall@10 is at least 0.99 without a filter, and whatever share passes, near or by chance."""
    store, matrix, folder = filled
    searcher = Searcher(folder / GRAPH_NAME, exact_limit=LIMIT, dtype=dtype)
    asked = queries(matrix)
    assert np.mean([recall(searcher.find(store, q, 10)[0], matrix, q, IDS) for q in asked]) >= 0.99
    random = np.random.default_rng(2)
    centre = matrix @ matrix[0]
    for share in (1 / 600, 1 / 100, 1 / 10, 1 / 3, 1 / 2, 0.9):
        count = int(share * ROWS)
        by_chance = np.sort(random.choice(ROWS, count, replace=False) + 1)
        near_one = np.sort(np.argsort(-centre, kind="stable")[:count] + 1)
        far_away = np.sort(np.argsort(centre, kind="stable")[:count] + 1)
        for among in (by_chance, near_one, far_away):
            got = [searcher.find(store, q, 10, among=among)[0] for q in asked]
            each = [recall(ids, matrix, q, among) for ids, q in zip(got, asked, strict=True)]
            assert np.mean(each) >= 0.99, (share, among is by_chance, among is near_one)


def test_scores_do_not_depend_on_the_graph_s_dtype(filled: tuple[Store, Matrix, Path]) -> None:
    """Scores are those of the stored vectors, bit for bit, and equal ones go by the smaller id."""
    store, matrix, folder = filled
    for dtype in GRAPH_DTYPES:
        searcher = Searcher(folder / GRAPH_NAME, exact_limit=LIMIT, dtype=dtype)
        for query in queries(matrix, 10):
            ids, scores = searcher.find(store, query, 25)
            assert scores.tolist() == np.vecdot(matrix[ids - 1], query).tolist()
            pairs = list(zip((-scores).tolist(), ids.tolist(), strict=True))
            assert pairs == sorted(pairs)


def test_another_dtype_is_built_anew(filled: tuple[Store, Matrix, Path]) -> None:
    """A graph whose vectors are held otherwise than wanted is replaced, and the file says how."""
    store, _, folder = filled
    path = folder / GRAPH_NAME
    sizes: list[int] = []
    for dtype in GRAPH_DTYPES:
        Searcher(path, exact_limit=LIMIT, dtype=dtype).prepare(store)
        gallery = store.binding.gallery
        assert Hnsw.open(path, gallery=gallery, dimensions=WIDTH, dtype=dtype) is not None
        sizes.append(path.stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[0] - sizes[1] == 2 * ROWS * WIDTH


def test_a_wider_search_finds_no_less(filled: tuple[Store, Matrix, Path]) -> None:
    """The expansion trades time for recall: a very narrow search finds less than a wide one."""
    store, matrix, folder = filled
    asked = queries(matrix)

    def found(expansion: int) -> float:
        searcher = Searcher(folder / GRAPH_NAME, exact_limit=LIMIT, expansion=expansion)
        return float(
            np.mean([recall(searcher.find(store, q, 10)[0], matrix, q, IDS) for q in asked])
        )

    assert found(512) >= found(1)
    assert found(512) >= 0.995


def test_damaged_vectors_are_found_out_by_searching(filled: tuple[Store, Matrix, Path]) -> None:
    """Vectors of the cache that turned into anything, NaN too, give no wrong score and no error.

    Once they are found out the answers are what they were, and so is the file.
    """
    store, matrix, folder = filled
    path = folder / GRAPH_NAME
    for dtype in GRAPH_DTYPES:
        Searcher(path, exact_limit=LIMIT, dtype=dtype).prepare(store)
        width = WIDTH * {"f32": 4, "f16": 2, "i8": 1}[dtype]
        # With each search a piece of the file is read.
        searches = -(-ROWS * width // PIECE)
        asked = queries(matrix, searches + 19)
        sound = Searcher(path, exact_limit=LIMIT, dtype=dtype)
        expected = [sound.find(store, query, 10)[0].tolist() for query in asked]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for number in range(0, ROWS, 100):
            place = 8 + number * width
            damaged[place : place + width] = b"\xff" * width
        path.write_bytes(damaged)
        searcher = Searcher(path, exact_limit=LIMIT, dtype=dtype)
        for number, query in enumerate(asked, start=1):
            ids, scores = searcher.find(store, query, 10)
            assert scores.tolist() == np.vecdot(matrix[ids - 1], query).tolist()
            if number >= searches:
                assert ids.tolist() == expected[number - 1]
        assert path.read_bytes() == whole
