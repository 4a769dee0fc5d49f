"""Search: exact against a naive reference, HNSW against exact."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.exact_limit import EXACT_BYTES, EXACT_IMAGES, exact_limit_for
from boost_edge.runtime.hnsw import Hnsw
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.search import GRAPH_NAME, Scored, Searcher, scan, top
from boost_edge.runtime.store import Store

Matrix = NDArray[np.float32]


def naive_top(ids: list[int], matrix: Matrix, query: Matrix, k: int) -> list[tuple[int, float]]:
    """Score every row with plain sums and sort by score, then by id."""
    scores = [sum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in matrix]
    return sorted(zip(ids, scores, strict=True), key=lambda each: (-each[1], each[0]))[:k]


def as_pairs(scored: Scored) -> list[tuple[int, float]]:
    """Return ids and scores as pairs."""
    ids, scores = scored
    assert ids.dtype == np.int64
    assert scores.dtype == np.float32
    return list(zip(ids.tolist(), scores.tolist(), strict=True))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], Matrix, Matrix]:
    """Draw ids, rows and a query of few different values: many ties, and no rounding."""
    width = draw(st.integers(1, 4))
    halves = st.integers(-2, 2).map(lambda each: each / 2)
    row = st.lists(halves, min_size=width, max_size=width)
    rows = draw(st.lists(row, max_size=40))
    ids = draw(st.permutations(range(1, len(rows) + 1)))
    query = np.array(draw(row), np.float32)
    return list(ids), np.array(rows, np.float32).reshape(len(rows), width), query


@given(st.integers(1, 100_000))
def test_the_limit_of_exact_search_is_one_of_bytes(dimensions: int) -> None:
    """As many images as have so many bytes of float32, but no more than so many images."""
    limit = exact_limit_for(dimensions)
    assert limit * dimensions * 4 <= EXACT_BYTES
    assert limit == EXACT_IMAGES or (limit + 1) * dimensions * 4 > EXACT_BYTES
    assert limit <= EXACT_IMAGES
    assert exact_limit_for(dimensions, 0) == 0


@settings(deadline=None)
@given(table=tables(), k=st.integers(1, 50))
def test_top_is_the_naive_sort(table: tuple[list[int], Matrix, Matrix], k: int) -> None:
    """The best k by score, ties by id, whatever the order and number of rows."""
    ids, matrix, query = table
    assert as_pairs(top(np.array(ids, np.int64), matrix, query, k)) == naive_top(
        ids, matrix, query, k
    )


@settings(deadline=None)
@given(table=tables(), k=st.integers(1, 50), piece=st.integers(1, 7))
def test_scan_is_top_in_pieces(table: tuple[list[int], Matrix, Matrix], k: int, piece: int) -> None:
    """Rows that come in pieces give what they give at once."""
    ids, matrix, query = table
    keys = np.array(ids, np.int64)
    starts = range(0, len(ids), piece)
    pieces = [(keys[start : start + piece], matrix[start : start + piece]) for start in starts]
    assert as_pairs(scan(pieces, query, k)) == as_pairs(top(keys, matrix, query, k))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 70), width=st.integers(1, 600))
def test_equal_vectors_have_equal_scores(seed: int, rows: int, width: int) -> None:
    """Where a row stands in the matrix does not change its score by a single bit."""
    random = np.random.default_rng(seed)
    vector = random.normal(size=width).astype(np.float32)
    query = random.normal(size=width).astype(np.float32)
    ids, scores = top(np.arange(rows), np.tile(vector, (rows, 1)), query, rows)
    assert ids.tolist() == list(range(rows))
    assert len(set(scores.tolist())) == 1
    assert scores[0] == np.vecdot(vector[None].copy(), query)[0]


def clustered(rows: int, width: int, *, seed: int = 0) -> Matrix:
    """Return unit vectors as a network makes them: positive, in clusters of about a hundred."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(2, rows // 100), width))
    spread = 0.7 * random.normal(size=(rows, width))
    points = np.maximum(centres[random.integers(len(centres), size=rows)] + spread, 0)
    unit: Matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return unit


def image_row(number: int) -> ImageRow:
    """Return some image's row."""
    return ImageRow(
        id=None,
        path=f"/pictures/{number}.png",
        digest=f"{number:064x}",
        size=1,
        mtime_ns=1,
        width=1,
        height=1,
        predicted={},
        labels={},
    )


def put(store: Store, matrix: Matrix, *, first: int = 1) -> None:
    """Commit rows with the numbers ``first`` and up, which become or are their ids."""
    pairs = [(image_row(first + index), vector) for index, vector in enumerate(matrix)]
    store.commit(Changes(encoded=pairs))


@pytest.fixture
def make_store(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Matrix], Store]:
    """Return a function that makes a store of some vectors, with ids from 1."""

    def make(matrix: Matrix) -> Store:
        width = matrix.shape[1]
        Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=width)
        store = Store.open(tmp_path)
        request.addfinalizer(store.close)
        put(store, matrix)
        return store

    return make


def searcher(folder: Path, *, exact_limit: int) -> Searcher:
    """Return a searcher that keeps its graph in a folder."""
    return Searcher(folder / GRAPH_NAME, exact_limit=exact_limit, most_candidates=exact_limit)


def recall(found: Scored, matrix: Matrix, query: Matrix, k: int) -> float:
    """Return the share of the true k best that was found; check every score on the way."""
    truth = top(np.arange(1, len(matrix) + 1), matrix, query, k)
    for identity, score in as_pairs(found):
        assert score == np.vecdot(matrix[identity - 1], query)
    assert found[1].tolist() == sorted(found[1].tolist(), reverse=True)
    assert len(set(found[0].tolist())) == len(found[0]) == len(truth[0])
    return len(set(found[0].tolist()) & set(truth[0].tolist())) / len(truth[0])


def test_small_galleries_are_searched_exactly(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Up to the limit the answer is the naive one, and no graph is made."""
    matrix = clustered(300, 32)
    store = make_store(matrix)
    exact = searcher(tmp_path, exact_limit=300)
    for query in matrix[:20]:
        assert recall(exact.find(store, query, 10), matrix, query, 10) == 1
    exact.prepare(store)
    assert not (tmp_path / GRAPH_NAME).exists()


def test_an_empty_gallery_has_no_neighbours(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Nothing is found in nothing."""
    store = make_store(np.empty((0, 8), np.float32))
    assert as_pairs(searcher(tmp_path, exact_limit=5).find(store, np.ones(8, np.float32), 3)) == []


def test_hnsw_finds_what_exact_search_finds(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Above the limit recall@k is at least 0.99 on clustered vectors of 512 dimensions."""
    matrix = clustered(3000, 512)
    store = make_store(matrix)
    approximate = searcher(tmp_path, exact_limit=500)
    random = np.random.default_rng(1)
    recalls: dict[int, list[float]] = {1: [], 10: [], 100: []}
    for row in matrix[random.choice(len(matrix), 100, replace=False)]:
        query = row + random.normal(scale=0.02, size=512).astype(np.float32)
        query /= np.linalg.norm(query)
        for k, each in recalls.items():
            each.append(recall(approximate.find(store, query, k), matrix, query, k))
    assert all(np.mean(each) >= 0.99 for each in recalls.values())
    assert (tmp_path / GRAPH_NAME).exists()


@pytest.mark.parametrize("k", [499, 501, 1200, 5000])
def test_many_hits_are_all_there(
    make_store: Callable[[Matrix], Store], tmp_path: Path, k: int
) -> None:
    """Asking for more than the graph is good for still gives k hits, or all there are."""
    matrix = clustered(1200, 16)
    store = make_store(matrix)
    found = searcher(tmp_path, exact_limit=500).find(store, matrix[0], k)
    assert recall(found, matrix, matrix[0], k) >= 0.99


def test_new_and_changed_images_are_found_at_once(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Rows that are newer than the graph count at once, their old vectors no longer."""
    matrix = clustered(1000, 32)
    store = make_store(matrix)
    hybrid = searcher(tmp_path, exact_limit=400)
    hybrid.find(store, matrix[0], 10)
    graph = (tmp_path / GRAPH_NAME).read_bytes()
    # 150 rows change, among them the neighbours of the query, and 50 are added.
    old_neighbours = top(np.arange(1, 1001), matrix, matrix[0], 100)[0]
    fresh = clustered(200, 32, seed=5)
    put(store, fresh[150:], first=1001)
    for number, identity in enumerate([*old_neighbours.tolist(), *range(951, 1001)]):
        put(store, fresh[number : number + 1], first=identity)
        matrix[identity - 1] = fresh[number]
    matrix = np.concatenate([matrix, fresh[150:]])
    for query in np.concatenate([matrix[:40], fresh[::5]]):
        assert recall(hybrid.find(store, query, 10), matrix, query, 10) >= 0.9
    assert (tmp_path / GRAPH_NAME).read_bytes() == graph
    # Once too much is missing from the graph it is built again.
    put(store, clustered(401, 32, seed=6), first=2000)
    hybrid.find(store, matrix[0], 10)
    assert (tmp_path / GRAPH_NAME).read_bytes() != graph


def test_equal_vectors_are_found_through_the_graph(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """A catalogue full of copies does not hide what is not a copy."""
    different = clustered(400, 64)
    copies = np.tile(clustered(1, 64, seed=9), (800, 1))
    matrix = np.concatenate([copies, different])
    store = make_store(matrix)
    approximate = searcher(tmp_path, exact_limit=300)
    for identity in range(801, 1201, 20):
        found = approximate.find(store, matrix[identity - 1], 1)
        assert found[0].tolist() == [identity]
    ids, scores = approximate.find(store, copies[0], 10)
    assert set(ids.tolist()) <= set(range(1, 801))
    assert len(set(scores.tolist())) == 1


def damage(path: Path, how: str) -> None:
    """Damage the graph's file."""
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "empty": b"",
            "short": data[:50],
            "cut": data[:-1],
            "half": data[:middle],
            "garbage": b"usearch?" * 100,
            "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "short", "cut", "half", "garbage", "flipped", "absent"])
def test_a_damaged_graph_is_built_again(
    make_store: Callable[[Matrix], Store], tmp_path: Path, how: str
) -> None:
    """The graph is a cache: without it the answer is as good, and the file is whole again."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    searcher(tmp_path, exact_limit=100).prepare(store)
    path = tmp_path / GRAPH_NAME
    whole = path.stat().st_size
    if how == "absent":
        path.unlink()
    else:
        damage(path, how)
    found = searcher(tmp_path, exact_limit=100).find(store, matrix[3], 10)
    assert recall(found, matrix, matrix[3], 10) >= 0.9
    assert path.stat().st_size == whole
    gallery = store.binding.gallery
    assert Hnsw.open(path, gallery=gallery, dimensions=16) is not None
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".tmp")] == []


def test_a_graph_of_another_gallery_is_not_used(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """A graph that was copied here from elsewhere, or is of a future generation, is replaced."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    path = tmp_path / GRAPH_NAME
    other = [(np.arange(1, 11), matrix[:10])]
    for gallery, generation in (("f" * 32, 1), (store.binding.gallery, 99)):
        graph = Hnsw.build(lambda: other, dimensions=16, gallery=gallery, generation=generation)
        graph.save(path)
        found = searcher(tmp_path, exact_limit=100).find(store, matrix[500], 10)
        assert recall(found, matrix, matrix[500], 10) >= 0.9
    kept = Hnsw.open(path, gallery=store.binding.gallery, dimensions=16)
    assert kept is not None
    assert (len(kept), kept.generation) == (600, 1)


def test_a_graph_that_cannot_be_kept_still_serves(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Where the cache cannot be written, search works all the same."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    nowhere = Searcher(tmp_path / "absent" / GRAPH_NAME, exact_limit=100)
    assert recall(nowhere.find(store, matrix[0], 10), matrix, matrix[0], 10) >= 0.9


@pytest.fixture
def no_building(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make building a graph an error."""

    def refuse(*_: object, **__: object) -> Hnsw:
        raise AssertionError("a graph was built")

    monkeypatch.setattr(Hnsw, "build", refuse)


def test_a_filter_goes_through_the_graph_however_wide_vectors_are(
    make_store: Callable[[Matrix], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is scanned at most does not say how many candidates the graph is asked for."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    wide = Searcher(tmp_path / GRAPH_NAME, exact_limit=20)
    wide.find(store, matrix[0], 1)
    among = np.arange(1, 601, 2)

    def never(*_: object, **__: object) -> object:
        raise AssertionError("the rows that pass were scanned")

    monkeypatch.setattr(Store, "chunks_of", never)
    monkeypatch.setattr(Store, "vector_chunks", never)
    found = wide.find(store, matrix[0], 1, among=among)
    assert as_pairs(found) == as_pairs(top(among, matrix[::2], matrix[0], 1))
    assert as_pairs(wide.find(store, matrix[1], 200))[0][0] == 2


@pytest.mark.parametrize("how", ["absent", "half", "flipped", "foreign", "future", "old"])
def test_what_cannot_be_written_is_scanned_without_a_graph(
    make_store: Callable[[Matrix], Store], tmp_path: Path, how: str, request: pytest.FixtureRequest
) -> None:
    """Read-only, a gallery whose cache does not serve is searched exactly, and builds nothing."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    path = tmp_path / GRAPH_NAME
    searcher(tmp_path, exact_limit=100).prepare(store)
    if how == "absent":
        path.unlink()
    elif how == "old":
        put(store, clustered(101, 16, seed=1), first=601)
        matrix = np.concatenate([matrix, clustered(101, 16, seed=1)])
    elif how in ("foreign", "future"):
        gallery = store.binding.gallery if how == "future" else "f" * 32
        rows = [(np.arange(1, 11), matrix[:10])]
        Hnsw.build(lambda: rows, dimensions=16, gallery=gallery, generation=9).save(path)
    else:
        damage(path, how)
    before = path.read_bytes() if path.exists() else None
    request.getfixturevalue("no_building")
    with closing(Store.open(tmp_path, read_only=True)) as reader:
        reading = searcher(tmp_path, exact_limit=100)
        reading.prepare(reader)
        ids = np.arange(1, len(matrix) + 1)
        for query in matrix[::50]:
            assert as_pairs(reading.find(reader, query, 7)) == as_pairs(top(ids, matrix, query, 7))
            among = ids[::3]
            found = reading.find(reader, query, 7, among=among)
            assert as_pairs(found) == as_pairs(top(among, matrix[::3], query, 7))
        assert reading.reach(reader) == 0
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_reader_takes_up_a_graph_that_a_writer_makes(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """Who scans for want of a graph uses the one that another process writes, at once."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    with closing(Store.open(tmp_path, read_only=True)) as reader:
        reading = searcher(tmp_path, exact_limit=100)
        reading.find(reader, matrix[0], 5)
        assert reading.reach(reader) == 0
        searcher(tmp_path, exact_limit=100).prepare(store)
        assert reading.reach(reader) == 50
        assert recall(reading.find(reader, matrix[0], 10), matrix, matrix[0], 10) >= 0.9


def test_a_graph_of_another_dtype_serves(
    make_store: Callable[[Matrix], Store], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What the gallery says of the next graph does not throw away the one there is."""
    matrix = clustered(600, 16)
    store = make_store(matrix)
    searcher(tmp_path, exact_limit=100).prepare(store)
    store.set_graph_dtype("f32")
    request.getfixturevalue("no_building")
    found = searcher(tmp_path, exact_limit=100).find(store, matrix[0], 10)
    assert recall(found, matrix, matrix[0], 10) >= 0.9


def test_building_tells_how_far_it_is(
    make_store: Callable[[Matrix], Store], tmp_path: Path
) -> None:
    """While a graph is built the numbers rise to that of all embeddings; else nothing is told."""
    store = make_store(clustered(5000, 16))
    told: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    for limit, calls in ((5000, []), (100, [0, 4096, 5000, 5000]), (100, [])):
        told.clear()
        Searcher(tmp_path / GRAPH_NAME, exact_limit=limit, progress=note).prepare(store)
        assert [done for _, done, _ in told] == calls
        assert {(stage, total) for stage, _, total in told} <= {("building the search cache", 5000)}
