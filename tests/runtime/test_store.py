"""The store: what is committed is there, whole, and what is damaged is said to be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.runtime.binding import GraphDtype
from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.errors import (
    BoostEdgeError,
    GalleryCorruptError,
    GalleryError,
    GalleryLockedError,
    UsageError,
)
from boost_edge.runtime.image_rows import Changes, ImageRow, State, vector_key
from boost_edge.runtime.store import STORE_NAME, Store

WIDTH = 4


def a_row(path: str = "/pictures/a.png", **changes: object) -> ImageRow:
    """Return some image's row."""
    row = ImageRow(
        id=None,
        path=path,
        digest=hashlib.sha256(os.fsencode(path)).hexdigest(),
        size=1234,
        mtime_ns=1_700_000_000_123_456_789,
        width=60,
        height=80,
        predicted={"colour": Prediction(value="red", p=0.75)},
        labels={"season": "Summer"},
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type] # checked by the class


def a_vector(seed: int = 0) -> NDArray[np.float32]:
    """Return some vector."""
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    Store.create(tmp_path, model_sha256="5" * 64, model_path="/model.onnx", dimensions=WIDTH)
    with closing(Store.open(tmp_path)) as opened:
        yield opened


def test_a_new_store_knows_its_model(store: Store, tmp_path: Path) -> None:
    """What it was created with is there after opening it again; nothing else is."""
    with closing(Store.open(tmp_path)) as again:
        assert again.binding == store.binding
    assert (store.binding.model_sha256, store.binding.model_path) == ("5" * 64, "/model.onnx")
    assert (store.binding.dimensions, store.count(), store.generation()) == (WIDTH, 0, 0)
    store.remember_model("/moved\udcff/model.onnx")
    with closing(Store.open(tmp_path)) as again:
        assert again.binding.model_path == "/moved\udcff/model.onnx"


names = st.binary(min_size=1, max_size=40).filter(lambda name: 0 not in name).map(os.fsdecode)
# Text of any kind, half surrogates included, as earlier versions let in.
texts = st.text(st.characters(exclude_characters="\0"), max_size=20)
rows = st.builds(
    ImageRow,
    id=st.none(),
    path=names.map(lambda name: f"/{name}"),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    width=st.integers(1, 10**6),
    height=st.integers(1, 10**6),
    predicted=st.dictionaries(
        texts, st.builds(Prediction, value=texts, p=st.floats(0, 1)), max_size=3
    ),
    labels=st.dictionaries(texts, texts, max_size=3),
)
vectors = st.lists(st.floats(width=32, allow_nan=False), min_size=WIDTH, max_size=WIDTH)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows, values=vectors)
def test_what_is_committed_is_read_back(store: Store, row: ImageRow, values: list[float]) -> None:
    """Any row comes back as it was, to the last bit, whatever bytes its path is made of."""
    vector = np.array(values, np.float32)
    store.commit(Changes(encoded=[(row, vector)]))
    found = store.find(row.path)
    assert found is not None
    assert found.id is not None
    assert dataclasses.replace(found, id=None) == row
    assert store.images([found.id]) == {found.id: found}
    assert found in store.with_digest(row.digest)
    assert store.vectors_of([found.id]).tobytes() == vector.tobytes()
    assert os.fsencode(json.loads(json.dumps(found.path))) == os.fsencode(row.path)


def test_committing_twice_is_committing_once(store: Store) -> None:
    """A row is known by its path: written again, it keeps its id and its number stays one."""
    changes = Changes(encoded=[(a_row("/a"), a_vector(1)), (a_row("/b"), a_vector(2))])
    store.commit(changes)
    first = store.find("/b")
    store.commit(changes)
    assert store.find("/b") == first
    assert store.count() == 2


def held(store: Store) -> dict[str, int]:
    """Return how many images have each embedding, by digest."""
    rows = store.select(
        "SELECT digest, (SELECT count(*) FROM images WHERE embedding = embeddings.id) "
        "FROM embeddings"
    )
    return dict(rows)


def test_equal_bytes_have_one_embedding(store: Store) -> None:
    """Copies are images of their own, with their own labels, and one embedding is stored."""
    copies = [a_row(f"/{n}", digest="d" * 64, labels={"n": str(n)}) for n in range(3)]
    store.commit(Changes(encoded=[(row, a_vector(1)) for row in copies]))
    assert held(store) == {"d" * 64: 3}
    assert [row.labels for row in store.with_digest("d" * 64)] == [row.labels for row in copies]
    assert [row.path for row in store.with_digest("d" * 64, limit=1)] == ["/0"]
    ids, matrix = store.vectors()
    assert ids.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(matrix, [a_vector(1)] * 3)
    [(keys, vectors)] = store.keyed_chunks()
    key = vector_key(a_vector(1).tobytes())
    assert (keys.tolist(), vectors.shape) == ([key], (1, WIDTH))
    assert sorted(store.holders([key], upto=1)) == [(1, key), (2, key), (3, key)]


def test_images_are_found_by_their_paths_together(store: Store) -> None:
    """As one by one: the rows that are there, by the path asked for, however it is written."""
    paths = ["/a", "/\udcff", "/é", "/gone"]
    store.commit(Changes(encoded=[(a_row(path), a_vector()) for path in paths[:3]]))
    asked = [*paths, "/\udcc3\udca9"]
    expected = {path: row for path in asked if (row := store.find(path)) is not None}
    assert store.find_each(asked) == expected
    assert len(expected) == 4
    assert store.find_each([]) == {}


def test_digests_that_are_stored_are_told_apart(store: Store) -> None:
    """Of some digests those come back that an embedding has, each once."""
    row = a_row("/a")
    store.commit(Changes(encoded=[(row, a_vector()), (a_row("/b", digest=row.digest), a_vector())]))
    assert store.stored_digests([row.digest, "d" * 64, row.digest]) == {row.digest}
    assert store.stored_digests([]) == set()


def test_an_embedding_goes_with_its_last_image(store: Store) -> None:
    """While any image has it, deleted ones too, it stays; then it goes, in the same commit."""
    store.commit(
        Changes(encoded=[(a_row(f"/{n}", digest="d" * 64), a_vector(1)) for n in range(2)])
    )
    store.commit(Changes(restated={1: "deleted"}))
    store.commit(Changes(encoded=[(a_row("/1", digest="e" * 64), a_vector(2))]))
    assert held(store) == {"d" * 64: 1, "e" * 64: 1}
    store.commit(Changes(encoded=[(a_row("/0", digest="e" * 64), a_vector(2))]))
    assert held(store) == {"e" * 64: 2}


def test_a_new_embedding_is_that_of_all_copies(store: Store) -> None:
    """Known bytes encoded to another vector: all of their images have it, and are newer."""
    store.commit(
        Changes(encoded=[(a_row(f"/{n}", digest="d" * 64), a_vector(1)) for n in range(2)])
    )
    store.commit(Changes(encoded=[(a_row("/2"), a_vector(3))]))
    store.commit(Changes(encoded=[(a_row("/0", digest="d" * 64), a_vector(2))]))
    ids, matrix = store.vectors(after=2)
    assert ids.tolist() == [1, 2]
    np.testing.assert_array_equal(matrix, [a_vector(2)] * 2)
    assert store.holders([vector_key(a_vector(1).tobytes())], upto=9) == []


contents = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["live", "deleted"]))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(contents, max_size=12))
def test_any_order_of_commits_leaves_what_was_last_said(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, State]]
) -> None:
    """Whatever is written over what, the store is a dictionary from paths to contents."""
    folder = tmp_path_factory.mktemp("store")
    Store.create(folder, model_sha256="5" * 64, model_path="/model.onnx", dimensions=WIDTH)
    expected: dict[str, tuple[int, State]] = {}
    with closing(Store.open(folder)) as store:
        for place, content, state in steps:
            path = f"/{place}"
            digest = f"{content:064x}"
            store.commit(Changes(encoded=[(a_row(path, digest=digest), a_vector(content))]))
            found = store.find(path)
            assert found is not None
            assert found.id is not None
            store.commit(Changes(restated={found.id: state}))
            expected[path] = (content, state)
        live = {path: content for path, (content, state) in expected.items() if state == "live"}
        assert sorted(store.paths()) == sorted(live)
        ids, matrix = store.vectors()
        rows = store.images(ids.tolist())
        for identity, vector in zip(ids.tolist(), matrix, strict=True):
            np.testing.assert_array_equal(vector, a_vector(live[rows[identity].path]))
        counts = Counter(f"{content:064x}" for content, _ in expected.values())
        assert held(store) == dict(counts)


def test_the_graph_may_hold_other_numbers(store: Store, tmp_path: Path) -> None:
    """How the graph holds its vectors is the gallery's to say, and nothing unknown is taken."""
    seen = [store.binding.graph_dtype]
    store.set_graph_dtype("f16")
    seen.append(store.binding.graph_dtype)
    with closing(Store.open(tmp_path)) as again:
        assert again.binding == store.binding
    with pytest.raises(UsageError, match="f64"):
        store.set_graph_dtype(cast("GraphDtype", "f64"))
    assert [*seen, store.binding.graph_dtype] == ["i8", "f16", "f16"]
    assert store.generation() == 0


def test_a_kept_row_keeps_its_vector(store: Store) -> None:
    """Moving and labelling change neither id, embedding nor generation."""
    store.commit(Changes(encoded=[(a_row("/old"), a_vector())]))
    old = store.find("/old")
    assert old is not None
    new = dataclasses.replace(old, path="/new", size=9, mtime_ns=8, labels={"a": "b"})
    store.commit(Changes(kept=[new]))
    assert store.find("/old") is None
    assert store.find("/new") == new
    assert store.generation() == 1
    ids, matrix = store.vectors()
    assert ids.tolist() == [old.id]
    np.testing.assert_array_equal(matrix, [a_vector()])


def test_generations_tell_what_is_newer(store: Store) -> None:
    """Each commit of embeddings counts one, and its rows carry that number."""
    store.commit(Changes(encoded=[(a_row("/a"), a_vector(1)), (a_row("/b"), a_vector(2))]))
    store.commit(Changes(encoded=[(a_row("/c"), a_vector(3))]))
    store.commit(Changes(encoded=[(a_row("/a"), a_vector(4))]))
    assert store.generation() == 3
    assert [store.count(after=generation) for generation in range(4)] == [3, 2, 1, 0]
    [a], [b], [c] = ([row] if (row := store.find(path)) else [] for path in ("/a", "/b", "/c"))
    assert set(store.vectors(after=1)[0].tolist()) == {a.id, c.id}
    assert [ids.tolist() for ids, _ in store.vector_chunks(upto=2)] == [[b.id, c.id]]
    np.testing.assert_array_equal(store.vectors(after=2)[1], [a_vector(4)])


def test_equal_vectors_share_a_key(store: Store) -> None:
    """Images with equal embeddings are found by one key, up to the generation asked for."""
    store.commit(Changes(encoded=[(a_row("/a"), a_vector(1)), (a_row("/b"), a_vector(2))]))
    store.commit(Changes(encoded=[(a_row("/c"), a_vector(1))]))
    key = vector_key(a_vector(1).tobytes())
    [(keys, matrix)] = store.keyed_chunks()
    assert sorted(keys.tolist()) == sorted([key, vector_key(a_vector(2).tobytes()), key])
    np.testing.assert_array_equal(*matrix[keys == key])
    assert store.holders([key], upto=1) == [(1, key)]
    assert sorted(store.holders([key], upto=2)) == [(1, key), (3, key)]
    assert store.holders([], upto=2) == []


def test_vectors_of_keeps_the_order_asked_for(store: Store) -> None:
    """Row i of the answer belongs to id i of the question."""
    changes = [(a_row(f"/{number}"), a_vector(number)) for number in range(5)]
    store.commit(Changes(encoded=changes))
    expected = [a_vector(3), a_vector(0), a_vector(4)]
    np.testing.assert_array_equal(store.vectors_of([4, 1, 5]), expected)


def test_a_commit_that_fails_changes_nothing(store: Store) -> None:
    """One bad row takes its whole transaction back."""
    bad = a_row("/bad", width=None)
    with pytest.raises(GalleryError, match="NOT NULL"):
        store.commit(Changes(encoded=[(a_row("/good"), a_vector()), (bad, a_vector())]))
    assert (store.count(), store.generation()) == (0, 0)
    store.commit(Changes(encoded=[(a_row("/good"), a_vector())]))
    assert store.count() == 1


def test_a_snapshot_does_not_move(store: Store, tmp_path: Path) -> None:
    """What another connection commits is seen after the snapshot, not within it."""
    with closing(Store.open(tmp_path)) as reader:
        with reader.snapshot():
            assert reader.count() == 0
            store.commit(Changes(encoded=[(a_row(), a_vector())]))
            with reader.snapshot():
                assert (reader.count(), reader.generation()) == (0, 0)
        assert (reader.count(), reader.generation()) == (1, 1)


def test_a_closed_store_says_so(store: Store) -> None:
    """Using it after closing is a usage error."""
    store.close()
    with pytest.raises(UsageError, match="open the gallery again"):
        store.count()


def test_a_database_kept_busy_is_locked(store: Store, tmp_path: Path) -> None:
    """Another program's write lock is reported as such, without a traceback of SQLite's."""
    store._database.execute("PRAGMA busy_timeout = 1")  # pyright: ignore[reportPrivateUsage] # not to wait ten seconds
    with closing(sqlite3.connect(tmp_path / STORE_NAME)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryLockedError, match="keeps it busy"):
            store.commit(Changes(encoded=[(a_row(), a_vector())]))


def make_folder(folder: Path, rows: int = 200) -> Path:
    """Make a store with some rows, closed; return the path of its file."""
    folder.mkdir(exist_ok=True)
    Store.create(folder, model_sha256="5" * 64, model_path="/model.onnx", dimensions=WIDTH)
    with closing(Store.open(folder)) as store:
        changes = [(a_row(f"/{number}"), a_vector(number)) for number in range(rows)]
        store.commit(Changes(encoded=changes))
    return folder / STORE_NAME


def read_everything(folder: Path) -> None:
    """Read all that there is."""
    with closing(Store.open(folder)) as store:
        ids, _ = store.vectors()
        store.images(ids.tolist())
        for number in range(200):
            store.find(f"/{number}")
            store.with_digest(a_row(f"/{number}").digest)


def overwrite(path: Path, data: bytes) -> None:
    """Replace the file's content."""
    path.write_bytes(data)


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 99, 100, 1000, 4096, 16384, 40000])
def test_a_truncated_file_is_corrupt(tmp_path: Path, kept: int) -> None:
    """However much is cut off, opening or reading says so in one line."""
    path = make_folder(tmp_path)
    overwrite(path, path.read_bytes()[:kept])
    with pytest.raises(GalleryCorruptError) as caught:
        read_everything(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_page_is_corrupt_or_harmless(tmp_path: Path) -> None:
    """Random bytes anywhere in the file never give more than our own error."""
    path = make_folder(tmp_path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    corrupt = 0
    for start in random.integers(0, len(whole) - 64, 60).tolist():
        overwrite(path, whole[:start] + random.bytes(64) + whole[start + 64 :])
        try:
            read_everything(tmp_path)
        except GalleryCorruptError:
            corrupt += 1
    assert corrupt > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE meta SET value = 99 WHERE key = 'format_version'", "format 99 is not known"),
        ("UPDATE meta SET value = 'one' WHERE key = 'format_version'", "is damaged"),
        ("DELETE FROM meta WHERE key = 'format_version'", "is damaged"),
        ("DELETE FROM meta WHERE key = 'model_path'", "is damaged"),
        ("UPDATE meta SET value = 'x' WHERE key = 'dimensions'", "is damaged"),
        ("DELETE FROM meta", "meta holds nothing"),
        ("DROP TABLE meta", "no such table: meta"),
        ("DROP TABLE images", "no such table: images"),
        ("DROP TABLE embeddings", "no such table: embeddings"),
        ("UPDATE embeddings SET vector = x'00'", "wrong length"),
        ("DELETE FROM embeddings", "wrong length"),
        ("UPDATE meta SET value = 'f64' WHERE key = 'graph_dtype'", "is damaged"),
        ("DELETE FROM meta WHERE key = 'graph_dtype'", "is damaged"),
        ("UPDATE images SET predicted = '{'", "row of image 1"),
        ("UPDATE images SET predicted = '[1]'", "row of image 1"),
        ("UPDATE images SET path = 7", "row of image 1"),
    ],
)
def test_unexpected_content_is_corrupt(tmp_path: Path, change: str, message: str) -> None:
    """A database that does not say what a gallery's says is refused in one line."""
    path = make_folder(tmp_path, rows=1)
    with closing(sqlite3.connect(path)) as database:
        database.execute(change)
        database.commit()
    with pytest.raises(GalleryCorruptError, match=message) as caught:
        read_everything(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["other database", "text", "folder", "absent"])
def test_another_file_is_no_store(tmp_path: Path, content: str) -> None:
    """A file of that name that is not ours is refused, and left as it is."""
    path = tmp_path / STORE_NAME
    if content == "other database":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE things (a)")
    elif content == "text":
        path.write_text("not a database\n" * 100)
    elif content == "folder":
        path.mkdir()
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BoostEdgeError) as caught:
        Store.open(tmp_path)
    assert "\n" not in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_creation_leaves_one_file(tmp_path: Path) -> None:
    """Nothing temporary stays behind, and a closed store is one file."""
    make_folder(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [STORE_NAME]


def test_creating_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there gives our error."""
    with pytest.raises(GalleryError, match="unable to open"):
        Store.create(tmp_path / "no", model_sha256="", model_path="", dimensions=1)


def test_rows_that_are_at_odds_with_an_index_are_corrupt(tmp_path: Path) -> None:
    """An index that counts other rows than there are gives our error, never a wrong number."""
    path = make_folder(tmp_path, rows=5)
    changes = {
        "live": "UPDATE images SET state = 'deleted' WHERE id = 3",
        "more": "INSERT INTO images SELECT 9, x'2f', 1, 1, 1, 1, 1, 'live', 1, '{}', '{}'",
    }
    for change in changes.values():
        whole = path.read_bytes()
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # SQLite forgets this index, and so keeps it as it was.
            find = "SELECT sql FROM sqlite_schema WHERE name = 'images_by_generation'"
            [(sql,)] = database.execute(find).fetchall()
            root = "SELECT rootpage FROM sqlite_schema WHERE name = 'images_by_generation'"
            [(page,)] = database.execute(root).fetchall()
            database.execute("PRAGMA writable_schema = ON")
            database.execute("DELETE FROM sqlite_schema WHERE name = 'images_by_generation'")
            database.execute("PRAGMA writable_schema = RESET")
            database.execute(change)
            database.execute("PRAGMA writable_schema = ON")
            database.execute(
                "INSERT INTO sqlite_schema VALUES ('index', ?, 'images', ?, ?)",
                ("images_by_generation", page, sql),
            )
        with closing(Store.open(tmp_path)) as store:
            with pytest.raises(GalleryCorruptError, match="cannot be counted"):
                store.vectors()
            with pytest.raises(GalleryCorruptError, match="image 77 is gone"):
                store.vectors_of([1, 77])
        path.write_bytes(whole)
