"""The HNSW file: whole or refused, and safe to load in any order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.runtime.hnsw import Hnsw

GALLERY = "a" * 32


def unit_vectors(rows: int, width: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return random unit vectors."""
    points = np.random.default_rng(seed).normal(size=(rows, width))
    unit: NDArray[np.float32] = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit.astype(np.float32)


def build(matrix: NDArray[np.float32], keys: NDArray[np.int64], *, piece: int = 1000) -> Hnsw:
    """Build a graph from pieces."""
    starts = range(0, len(keys), piece)
    return Hnsw.build(
        lambda: [(keys[start : start + piece], matrix[start : start + piece]) for start in starts],
        dimensions=matrix.shape[1],
        gallery=GALLERY,
        generation=7,
    )


def test_what_is_saved_is_opened(tmp_path: Path) -> None:
    """A file gives the candidates that the graph gave which was saved, and its generation."""
    matrix = unit_vectors(500, 8)
    keys = np.random.default_rng(1).choice(2**62, 500, replace=False)
    built = build(matrix, keys)
    built.save(tmp_path / "graph")
    opened = Hnsw.open(tmp_path / "graph", gallery=GALLERY, dimensions=8)
    assert opened is not None
    assert (len(opened), opened.generation) == (500, 7)
    for query in matrix[:50]:
        expected = keys[np.argsort(-(matrix @ query), kind="stable")[:5]]
        assert set(built.candidates(query, 5).tolist()) == set(expected.tolist())
        assert opened.candidates(query, 5).tolist() == built.candidates(query, 5).tolist()
    assert [each.name for each in tmp_path.iterdir()] == ["graph"]


def test_every_vector_is_within_reach() -> None:
    """Each vector is the first candidate for itself: none is lost while the graph is built."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, 128))
    points = np.maximum(centres[random.integers(30, size=3000)], 0)
    points += 0.5 * np.abs(random.normal(size=points.shape))
    matrix = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    graph = build(matrix, np.arange(3000))
    found = [graph.candidates(row, 1).tolist() for row in matrix]
    assert found == [[number] for number in range(3000)]


def test_a_key_is_held_once(tmp_path: Path) -> None:
    """A vector that comes again, in the same piece or a later one, is not added again."""
    matrix = unit_vectors(20, 8)
    repeated = np.concatenate([matrix[:10], matrix[:10], matrix, matrix])
    keys = np.concatenate([np.arange(10), np.arange(10), np.arange(20), np.arange(20)])
    graph = build(repeated, keys, piece=20)
    assert len(graph) == 20
    assert sorted(graph.candidates(matrix[0], 20).tolist()) == list(range(20))
    graph.save(tmp_path / "graph")


def test_an_empty_graph_is_a_graph(tmp_path: Path) -> None:
    """No vectors make a graph without candidates, in a file like any other."""
    build(np.empty((0, 8), np.float32), np.empty(0, np.int64)).save(tmp_path / "graph")
    opened = Hnsw.open(tmp_path / "graph", gallery=GALLERY, dimensions=8)
    assert opened is not None
    assert opened.candidates(np.ones(8, np.float32), 3).tolist() == []


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
    graph.save(tmp_path / "absent" / "graph")
    assert len(graph.candidates(np.ones(8, np.float32), 3)) == 3
    assert list(tmp_path.iterdir()) == []


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    """A file with any one bit changed is refused: USearch would follow it out of bounds."""
    path = tmp_path / "graph"
    build(unit_vectors(40, 4), np.arange(40)).save(path)
    whole = path.read_bytes()
    assert Hnsw.open(path, gallery=GALLERY, dimensions=4) is not None
    random = np.random.default_rng(0)
    last = range(len(whole) - 80, len(whole))
    for place in {*random.choice(len(whole), 300).tolist(), *last}:
        changed = bytearray(whole)
        changed[place] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        assert Hnsw.open(path, gallery=GALLERY, dimensions=4) is None, place


@pytest.mark.parametrize("order", [("hnsw", "encoder"), ("encoder", "hnsw"), ("gallery", "hnsw")])
def test_import_order_does_not_matter(order: tuple[str, str]) -> None:
    """USearch crashes a process that loads it before onnxruntime; our modules never do."""
    script = (
        f"import boost_edge.runtime.{order[0]}\n"
        f"import boost_edge.runtime.{order[1]}\n"
        "import numpy as np\n"
        "from boost_edge.runtime.hnsw import Hnsw\n"
        "eye = [(np.arange(4), np.eye(4, dtype=np.float32))]\n"
        "graph = Hnsw.build(eye, dimensions=4, gallery='a', generation=1)\n"
        "print(graph.candidates(np.eye(4, dtype=np.float32)[2], 1))\n"
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
