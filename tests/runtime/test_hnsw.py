"""The HNSW file: whole or refused, and safe to load in any order."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.runtime.binding import GRAPH_DTYPES, GraphDtype
from boost_edge.runtime.hnsw import CacheError, GraphLabel, Hnsw
from boost_edge.runtime.replace import left_over

GALLERY = "a" * 32


def unit_vectors(rows: int, width: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return random unit vectors."""
    points = np.random.default_rng(seed).normal(size=(rows, width))
    unit: NDArray[np.float32] = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit.astype(np.float32)


def build(
    matrix: NDArray[np.float32],
    keys: NDArray[np.int64],
    *,
    piece: int = 1000,
    dtype: GraphDtype = "i8",
) -> Hnsw:
    """Build a graph from pieces."""
    starts = range(0, len(keys), piece)
    return Hnsw.build(
        lambda: [(keys[start : start + piece], matrix[start : start + piece]) for start in starts],
        dimensions=matrix.shape[1],
        gallery=GALLERY,
        generation=7,
        dtype=dtype,
    )


def near(graph: Hnsw, query: NDArray[np.float32], count: int) -> list[int]:
    """Return the keys of the first candidates of a search that is wide enough."""
    keys, scores = graph.candidates(query, max(count, 64))
    assert keys.dtype == np.int64
    assert scores.dtype == np.float32
    assert len(keys) == len(scores)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    found: list[int] = keys[:count].tolist()
    return found


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_what_is_saved_is_opened(tmp_path: Path, dtype: GraphDtype) -> None:
    """A file gives the candidates that the graph gave which was saved, and its generation."""
    matrix = unit_vectors(500, 32)
    keys = np.random.default_rng(1).choice(2**62, 500, replace=False)
    built = build(matrix, keys, dtype=dtype)
    built.save(tmp_path / "graph")
    opened = Hnsw.open(tmp_path / "graph", gallery=GALLERY, dimensions=32, dtype=dtype)
    assert opened is not None
    assert (len(opened), opened.generation) == (500, 7)
    for query in matrix[:50]:
        expected = keys[np.argsort(-(matrix @ query), kind="stable")[:5]]
        assert set(near(built, query, 12)) >= set(expected.tolist())
        assert opened.margin(query) == built.margin(query) < 0.02
        keys_before, scores_before = built.candidates(query, 64)
        keys_after, scores_after = opened.candidates(query, 64)
        assert keys_after.tolist() == keys_before.tolist()
        assert scores_after.tolist() == scores_before.tolist()
    assert [each.name for each in tmp_path.iterdir()] == ["graph"]


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_coarse_scores_are_scores(dtype: GraphDtype) -> None:
    """What the graph says of a candidate is its inner product, but for the margin."""
    matrix = unit_vectors(300, 64)
    graph = build(matrix, np.arange(300), dtype=dtype)
    for query in matrix[:20]:
        keys, scores = graph.candidates(query, 100)
        assert np.abs(scores - matrix[keys] @ query).max() <= graph.margin(query)


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_every_vector_is_within_reach(dtype: GraphDtype) -> None:
    """Each vector is the first candidate for itself: none is lost while the graph is built."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, 128))
    points = np.maximum(centres[random.integers(30, size=3000)], 0)
    points += 0.5 * np.abs(random.normal(size=points.shape))
    matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    graph = build(matrix, np.arange(3000), dtype=dtype)
    found = [near(graph, row, 1) for row in matrix]
    assert found == [[number] for number in range(3000)]


def test_a_key_is_held_once(tmp_path: Path) -> None:
    """A vector that comes again, in the same piece or a later one, is not added again."""
    matrix = unit_vectors(20, 8)
    repeated = np.concatenate([matrix[:10], matrix[:10], matrix, matrix])
    keys = np.concatenate([np.arange(10), np.arange(10), np.arange(20), np.arange(20)])
    graph = build(repeated, keys, piece=20)
    assert len(graph) == 20
    assert sorted(near(graph, matrix[0], 20)) == list(range(20))
    assert graph.save(tmp_path / "graph")


def test_an_empty_graph_is_a_graph(tmp_path: Path) -> None:
    """No vectors make a graph without candidates, in a file like any other."""
    build(np.empty((0, 8), np.float32), np.empty(0, np.int64)).save(tmp_path / "graph")
    opened = Hnsw.open(tmp_path / "graph", gallery=GALLERY, dimensions=8)
    assert opened is not None
    assert near(opened, np.ones(8, np.float32), 3) == []


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """Another gallery's file, another width, a folder or nothing at all give no graph."""
    path = tmp_path / "graph"
    build(unit_vectors(10, 8), np.arange(10)).save(path)
    assert Hnsw.open(path, gallery="b" * 32, dimensions=8) is None
    assert Hnsw.open(path, gallery=GALLERY, dimensions=9) is None
    assert Hnsw.open(tmp_path, gallery=GALLERY, dimensions=8) is None
    assert Hnsw.open(tmp_path / "absent", gallery=GALLERY, dimensions=8) is None


def test_saving_where_nothing_can_be_written_is_no_error(tmp_path: Path) -> None:
    """The graph goes on serving; there is no file, and nothing left of one."""
    graph = build(unit_vectors(10, 8), np.arange(10))
    assert not graph.save(tmp_path / "absent" / "graph")
    assert len(near(graph, np.ones(8, np.float32), 3)) == 3
    assert list(tmp_path.iterdir()) == []


def test_nobody_cleans_up_a_file_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when it is whole until it is renamed its writer is seen to be alive."""
    path, asked = tmp_path / "graph", list[str]()

    def look(what: str) -> None:
        asked.append(what)
        assert len(list(tmp_path.iterdir())) == 1
        assert left_over(path) == []

    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        if not asked:
            look("flushed")
        fsync(handle)

    def watched_replace(temporary: Path, target: Path) -> Path:
        look("renamed")
        return replace(temporary, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    assert build(unit_vectors(3, 16), np.arange(3)).save(path)
    assert asked == ["flushed", "renamed"]
    assert Hnsw.open(path, gallery=GALLERY, dimensions=16) is not None


def test_a_file_that_holds_its_vectors_otherwise_is_refused(tmp_path: Path) -> None:
    """Who wants 32-bit vectors does not get a graph of 8-bit ones; who does not care does."""
    path = tmp_path / "graph"
    build(unit_vectors(10, 8), np.arange(10), dtype="i8").save(path)
    assert Hnsw.open(path, gallery=GALLERY, dimensions=8, dtype="f32") is None
    assert len(Hnsw.read(path, gallery=GALLERY, dimensions=8)) == 10


def test_a_file_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    """A trailer of the first version gives no graph, and says no generation."""
    path = tmp_path / "graph"
    build(unit_vectors(10, 8), np.arange(10)).save(path)
    assert Hnsw.label_of(path) == GraphLabel(gallery=GALLERY, generation=7, dtype="i8")
    old = path.read_bytes().replace(b"bedgHNW2", b"bedgHNW1")
    path.write_bytes(old)
    assert Hnsw.open(path, gallery=GALLERY, dimensions=8) is None
    assert Hnsw.label_of(path) is None


@pytest.mark.parametrize("dtype", GRAPH_DTYPES)
def test_no_flipped_bit_does_harm(tmp_path: Path, dtype: GraphDtype) -> None:
    """Any one bit changed is found by a whole reading; when opening, but within a vector.

    USearch would follow a damaged graph out of bounds, but a damaged vector is only another vector.
    """
    path = tmp_path / "graph"
    matrix = unit_vectors(40, 4)
    build(matrix, np.arange(40), dtype=dtype).save(path)
    whole = path.read_bytes()
    rows, row_bytes = struct.unpack_from("<II", whole)
    assert (rows, row_bytes) == (40, 4 * {"f32": 4, "f16": 2, "i8": 1}[dtype])
    assert Hnsw.open(path, gallery=GALLERY, dimensions=4, dtype=dtype) is not None
    random = np.random.default_rng(0)
    last = range(len(whole) - 96, len(whole))
    vectors = range(8, 8 + rows * row_bytes)
    places = {
        *random.choice(len(whole), 300).tolist(),
        *last,
        *range(16),
        *vectors[:: row_bytes - 1],
    }
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        with pytest.raises(CacheError):
            Hnsw.read(path, gallery=GALLERY, dimensions=4, whole=True)
        opened = Hnsw.open(path, gallery=GALLERY, dimensions=4, dtype=dtype)
        assert (opened is not None) == (place in vectors), place
        if opened is not None:
            keys, scores = opened.candidates(matrix[place % 40], 40)
            assert len(set(keys.tolist())) == len(keys) >= 38
            assert set(keys.tolist()) <= set(range(40))
            assert not np.isnan(scores).any()


def test_a_graph_that_was_read_whole_knows_what_it_misses(tmp_path: Path) -> None:
    """Keys that are not in the graph are named."""
    path = tmp_path / "graph"
    build(unit_vectors(10, 8), np.arange(10)).save(path)
    graph = Hnsw.read(path, gallery=GALLERY, dimensions=8, whole=True)
    assert graph.missing(np.array([3, 12, 0, 10])).tolist() == [12, 10]


@pytest.mark.parametrize("order", [("hnsw", "encoder"), ("encoder", "hnsw"), ("gallery", "hnsw")])
def test_import_order_does_not_matter(order: tuple[str, str]) -> None:
    """USearch crashes a process that loads it before onnxruntime; our modules never do."""
    script = (
        f"import boost_edge.runtime.{order[0]}\n"
        f"import boost_edge.runtime.{order[1]}\n"
        "import numpy as np\n"
        "from boost_edge.runtime.hnsw import Hnsw\n"
        "eye = [(np.arange(4), np.eye(4, dtype=np.float32))]\n"
        "graph = Hnsw.build(lambda: eye, dimensions=4, gallery='a', generation=1)\n"
        "print(graph.candidates(np.eye(4, dtype=np.float32)[2], 1)[0])\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2]\n", "")


def test_a_small_gallery_does_not_load_usearch() -> None:
    """What only large galleries need costs small ones nothing at start-up."""
    script = "import sys, boost_edge.runtime.gallery; print('usearch' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
