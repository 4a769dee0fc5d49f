"""A cache whose vectors are damaged: who finds it out, when, and what is found then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge import Encoder, Gallery
from boost_edge.runtime import graph_sum
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.duplicates import near_copies
from boost_edge.runtime.hnsw import Hnsw
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.search import GRAPH_NAME, Searcher, top
from boost_edge.runtime.store import Store
from boost_edge.runtime.verify import verify_gallery

Matrix = NDArray[np.float32]

ROWS, WIDTH, LIMIT = 2000, 64, 500
IDS = np.arange(1, ROWS + 1)
# Of the vectors, which are ROWS * WIDTH bytes from the eighth on.
PLACE = 8 + 1000 * WIDTH


Damage = Callable[[bytearray, int], None]


def zeros(data: bytearray, place: int) -> None:
    """Lose a page of the disk: it reads as zeros."""
    data[place : place + 4096] = bytes(4096)


def noise(data: bytearray, place: int) -> None:
    """Read a page of something else."""
    data[place : place + 4096] = np.random.default_rng(5).bytes(4096)


def one_bit(data: bytearray, place: int) -> None:
    """Flip a bit, the one that weighs most."""
    data[place] ^= 0x40


HOW = pytest.mark.parametrize("how", [zeros, noise, one_bit])


def spoil(path: Path, how: Damage, place: int = PLACE) -> bytes:
    """Damage a file; return what it was."""
    whole = path.read_bytes()
    data = bytearray(whole)
    how(data, place)
    assert data != whole
    path.write_bytes(data)
    return whole


def clustered(width: int = WIDTH) -> Matrix:
    """Return unit vectors in clusters of about a hundred."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(ROWS // 100, width))
    points = centres[random.integers(len(centres), size=ROWS)]
    points += 0.7 * random.normal(size=points.shape)
    unit: Matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return unit


def row(number: int, folder: str = "") -> ImageRow:
    """Return some image's row."""
    return ImageRow(
        id=None, path=f"{folder}/{number}.png", digest=f"{number:064x}", size=1, mtime_ns=1,
        width=1, height=1, predicted={}, labels={},
    )  # fmt: skip


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Store, Matrix, Path]]:
    """Return a store with ids from 1, its vectors, and its cache's path."""
    matrix = clustered()
    Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=WIDTH)
    with closing(Store.open(tmp_path)) as store:
        store.commit(Changes(encoded=[(row(n), each) for n, each in enumerate(matrix)]))
        searcher(tmp_path / GRAPH_NAME).prepare(store)
        yield store, matrix, tmp_path / GRAPH_NAME


def searcher(path: Path) -> Searcher:
    """Return a searcher that uses the graph."""
    return Searcher(path, exact_limit=LIMIT)


def lost(searching: Searcher, store: Store, matrix: Matrix) -> list[int]:
    """Return the ids of the images that do not find themselves."""
    return [
        identity
        for identity, vector in zip(IDS.tolist(), matrix, strict=True)
        if searching.find(store, vector, 1)[0].tolist() != [identity]
    ]


@pytest.fixture
def no_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches read so little of the vectors that they never come to the end of them."""
    monkeypatch.setattr(graph_sum, "PIECE", 1)


def test_damage_that_nobody_looks_for_hides_images(
    filled: tuple[Store, Matrix, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all this is for: a graph that is used as it is does not find what was zeroed."""
    store, matrix, path = filled
    assert lost(searcher(path), store, matrix) == []
    spoil(path, zeros)

    def believe(_: object) -> bool:
        return True

    for check in ("is_sound", "read_on"):
        monkeypatch.setattr(Hnsw, check, believe)
    assert len(lost(searcher(path), store, matrix)) >= 4096 // WIDTH - 1


@HOW
def test_a_writer_finds_any_damage(filled: tuple[Store, Matrix, Path], how: Damage) -> None:
    """Before it is done the file is as it was, and every image finds itself."""
    store, matrix, path = filled
    whole = spoil(path, how)
    searcher(path).prepare(store)
    assert path.read_bytes() == whole
    assert lost(searcher(path), store, matrix) == []


@HOW
def test_a_reader_notices_while_it_searches(
    filled: tuple[Store, Matrix, Path], how: Damage
) -> None:
    """After as many searches as the vectors have pieces all is well, for the last of them too."""
    store, matrix, path = filled
    whole = spoil(path, how)
    reading = searcher(path)
    searches = -(-ROWS * WIDTH // graph_sum.PIECE)
    assert searches == 2
    answers = [reading.find(store, vector, 10) for vector in matrix[:searches]]
    assert path.read_bytes() == whole
    expected = top(IDS, matrix, matrix[searches - 1], 10)
    assert [each.tolist() for each in answers[-1]] == [each.tolist() for each in expected]
    assert lost(reading, store, matrix) == []


@pytest.mark.usefixtures("no_pieces")
def test_a_reader_notices_what_contradicts_the_truth(
    filled: tuple[Store, Matrix, Path],
) -> None:
    """A candidate whose coarse score is far from its own is damage that one search finds."""
    store, matrix, path = filled
    ids, _ = top(IDS, matrix, matrix[700], 2)

    def a_lure(data: bytearray, place: int) -> None:
        # The nearest but one becomes the nearest.
        rows = np.frombuffer(data, np.int8, ROWS * WIDTH, place).reshape(ROWS, WIDTH)
        coarse = rows.astype(np.float32) @ matrix[ids[1] - 1]
        rows[int(np.argmax(coarse))] = rows[int(np.argmax(rows.astype(np.float32) @ matrix[700]))]

    whole = spoil(path, a_lure, 8)
    reading = searcher(path)
    found, _ = reading.find(store, matrix[700], 2)
    assert path.read_bytes() == whole
    assert found.tolist() == ids.tolist()
    assert lost(reading, store, matrix) == []


@HOW
def test_a_reader_that_cannot_write_searches_exactly(
    filled: tuple[Store, Matrix, Path], how: Damage
) -> None:
    """Read-only, damage that was noticed makes every search a scan, until another file is there."""
    _, matrix, path = filled
    whole = spoil(path, how)
    damaged = path.read_bytes()
    with closing(Store.open(path.parent, read_only=True)) as reader:
        reading = searcher(path)
        reading.prepare(reader)
        assert reading.reach(reader) == 0
        for query in matrix[1000:1064]:
            for among in (None, IDS[::3]):
                ids = IDS if among is None else among
                found = reading.find(reader, query, 7, among=among)
                expected = top(ids, matrix[ids - 1], query, 7)
                assert [each.tolist() for each in found] == [each.tolist() for each in expected]
        assert path.read_bytes() == damaged
        path.write_bytes(whole)
        assert lost(reading, reader, matrix) == []
        assert reading.reach(reader) > 0


def test_entries_that_are_cut_short_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vector beyond the range of 8 bits differs from its coarse one; the graph stays in use."""
    width = 8 * WIDTH
    matrix = np.concatenate([clustered(width), np.eye(1, width, dtype=np.float32)])
    Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=width)
    path = tmp_path / GRAPH_NAME
    with closing(Store.open(tmp_path)) as store:
        store.commit(Changes(encoded=[(row(n), each) for n, each in enumerate(matrix)]))
        searcher(path).prepare(store)
        checked: list[bool] = []
        is_sound = Hnsw.is_sound

        def note(graph: Hnsw) -> bool:
            checked.append(is_sound(graph))
            return checked[-1]

        monkeypatch.setattr(Hnsw, "is_sound", note)
        before = path.stat().st_ino
        [best] = searcher(path).find(store, matrix[-1], 1)[0].tolist()
        assert best == ROWS + 1
        assert checked == [True]
        assert path.stat().st_ino == before


def test_embeddings_that_are_no_numbers_come_last(filled: tuple[Store, Matrix, Path]) -> None:
    """Where a disk has turned the nearest embeddings into NaN, the sound ones keep their order."""
    store, matrix, path = filled
    query = matrix[0]
    ids, _ = searcher(path).find(store, query, 20)
    broken = ids[[0, 3, 4]].tolist()
    with closing(sqlite3.connect(store.path)) as database:
        for identity in broken:
            database.execute(
                "UPDATE embeddings SET vector = ? WHERE id = "
                "(SELECT embedding FROM images WHERE id = ?)",
                (np.full(WIDTH, np.nan, "<f4").tobytes(), identity),
            )
        database.commit()
    expected = [each for each in ids.tolist() if each not in broken]
    found = searcher(path).find(store, query, 10)[0].tolist()
    sound = [each for each in found if each not in broken]
    assert len(sound) >= 7
    assert sound == found[: len(sound)] == expected[: len(sound)]


def test_near_copies_are_searched_for_in_a_sound_graph(
    filled: tuple[Store, Matrix, Path],
) -> None:
    """Near copies are found though the cache does not know one of them any more."""
    store, matrix, path = filled
    near = matrix[1000] + np.float32(1e-3) * matrix[0]
    near /= np.linalg.norm(near)
    store.commit(Changes(encoded=[(row(ROWS + 5), near)]))
    path.unlink()
    searcher(path).prepare(store)
    spoil(path, zeros)
    groups = near_copies(path.parent, threshold=0.999, exact_limit=LIMIT)
    assert groups == (("/1000.png", f"/{ROWS + 5}.png"),)


@HOW
@pytest.mark.parametrize("writer", ["index", "compact"])
def test_a_damaged_gallery_is_found_out_and_repaired(
    encoder: Encoder, pictures: Path, tmp_path: Path, how: Damage, writer: str
) -> None:
    """Verify says that the vectors are damaged and in use; index, with nothing new, mends them."""
    folder = tmp_path / "gallery"
    random = np.random.default_rng(0)
    with Gallery.open(folder, encoder, exact_limit=LIMIT) as gallery:
        gallery.index([pictures])
        dimensions = encoder.dimensions
    points = random.normal(size=(ROWS, dimensions))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    vectors = points.astype(np.float32)
    with closing(Store.open(folder)) as store:
        rows = [(row(n, "/elsewhere"), each) for n, each in enumerate(vectors)]
        store.commit(Changes(encoded=rows))
        searcher(folder / GRAPH_NAME).prepare(store)

    whole = spoil(folder / GRAPH_NAME, how, 8 + 1000 * dimensions)
    [finding] = [each for each in verify_gallery(folder, exact_limit=LIMIT).findings if each.damage]
    assert (finding.code, finding.count) == ("cache_vectors", 1)
    assert "not used" not in finding.what
    assert "a search uses them, and may miss images" in finding.what
    assert finding.repair == f"boost-edge compact {folder}"
    if writer == "compact":
        compact_gallery(folder, exact_limit=LIMIT)
    with Gallery.open(folder, encoder, exact_limit=LIMIT) as gallery:
        if writer == "index":
            assert gallery.index([pictures]).unchanged == 9
        assert (folder / GRAPH_NAME).read_bytes() == whole
        for number, vector in enumerate(vectors[::7]):
            [hit] = gallery.search(vector, k=1)
            assert hit.path == f"/elsewhere/{7 * number}.png"
    assert not [each for each in verify_gallery(folder, exact_limit=LIMIT).findings if each.damage]
