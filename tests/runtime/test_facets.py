"""Facets: SQLite counts what a plain loop over the images counts."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boost_edge.runtime import facets
from boost_edge.runtime.encoder import Encoder, Prediction
from boost_edge.runtime.errors import GalleryCorruptError, UsageError
from boost_edge.runtime.facets import Facet, Facets, count_in_store, count_values
from boost_edge.runtime.filtering import Filters
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.gallery_facets import gallery_facets
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.store import Store

# An image: its labels, and its predicted values.
Image = tuple[dict[str, str], dict[str, str]]

NAMES = ["colour", "base colour", "é😀", "label.x", "back\\slash", "and", "a'b", "size"]
VALUES = ["Red", "red", "", "10", "10.0", "é😀", "it's", 'say "x"', "Ω", "\U0001f600"]
images_strategy = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4),
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4),
    ),
    max_size=15,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of two dimensions."""
    folder = tmp_path_factory.mktemp("gallery")
    Store.create(folder, model_sha256="0", model_path="/m.onnx", dimensions=2)
    with closing(Store.open(folder)) as opened:
        yield opened


def fill(store: Store, images: list[Image]) -> None:
    """Let a store hold these images and no others, but a deleted one."""
    live = [identity for (identity,) in store.select("SELECT id FROM images")]
    rows: list[tuple[ImageRow, np.typing.NDArray[np.float32]]] = []
    for number, (labels, predicted) in enumerate([*images, ({"colour": "gone"}, {})]):
        row = ImageRow(
            id=None, path=f"/{number}.png", digest="0", size=1, mtime_ns=1, width=1, height=1,
            predicted={name: Prediction(value=each, p=0.5) for name, each in predicted.items()},
            labels=labels,
        )  # fmt: skip
        rows.append((row, np.ones(2, np.float32)))
    store.commit(Changes(restated=dict.fromkeys(live, "deleted")))
    store.commit(Changes(encoded=rows))
    last = store.find(f"/{len(images)}.png")
    assert last is not None
    assert last.id is not None
    store.commit(Changes(restated={last.id: "deleted"}))


def naive(images: list[Image], name: str) -> list[tuple[str, int]]:
    """Count in a loop: the most frequent first, then by value."""
    counts: dict[str, int] = {}
    for labels, predicted in images:
        value = labels.get(name, predicted.get(name))
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(images=images_strategy, limit=st.sampled_from([1, 2, 1000]), red=st.booleans())
def test_sqlite_counts_as_a_plain_loop(
    store: Store, images: list[Image], limit: int, *, red: bool
) -> None:
    """Values, their order, what is cut off and what is unknown are those of the loop."""
    fill(store, images)
    filters = Filters(NAMES)
    where = filters.read(store, "colour = Red") if red else None
    counted = count_in_store(store, NAMES, where=where, limit=limit)
    passing = [
        each for each in images if not red or each[0].get("colour", each[1].get("colour")) == "Red"
    ]
    assert counted.images == len(passing)
    assert list(counted.facets) == NAMES
    for name, facet in counted.facets.items():
        expected = naive(passing, name)
        assert list(facet.values.items()) == expected[:limit]
        assert facet.more == max(0, len(expected) - limit)
        assert facet.unknown == len(passing) - sum(count for _, count in expected)


@given(images=images_strategy)
def test_hits_are_counted_as_a_plain_loop(images: list[Image]) -> None:
    """Named attributes come first, then all that an image has."""
    facets = count_values(images, ["size", "none"])
    found = {name for each in images for some in each for name in some}
    assert list(facets)[:2] == ["size", "none"]
    assert set(facets) == found | {"size", "none"}
    for name, facet in facets.items():
        assert list(facet.values.items()) == naive(images, name)
        assert facet.unknown + sum(facet.values.values()) == len(images)


def test_many_attributes_are_counted(store: Store) -> None:
    """More attributes than one statement counts are no trouble."""
    names = [f"name {number}" for number in range(40)]
    fill(store, [(dict.fromkeys(names, "x"), {}), (dict.fromkeys(names[:20], "x"), {})])
    counted = count_in_store(store, names, where=None, limit=5)
    assert [facet.values for facet in counted.facets.values()] == [{"x": 2}] * 20 + [{"x": 1}] * 20


def test_counting_reads_each_image_once(store: Store) -> None:
    """SQLite scans the rows of the images, which hold no vectors, once for each statement."""
    statements: list[str] = []
    select = store.select

    class Noting:
        snapshot = store.snapshot

        @staticmethod
        def select(sql: str, values: tuple[object, ...] = ()) -> object:
            statements.append(sql)
            plan = select(f"EXPLAIN QUERY PLAN {sql}", values)
            assert [step[-1] for step in plan if "images" in step[-1]] == ["SCAN images"]
            return select(sql, values)

    where = Filters(["colour"]).read(store, "colour = Red")
    count_in_store(Noting(), ["colour", "size"], where=where, limit=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert len(statements) == 2


def test_a_gallery_counts_what_its_hits_count(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """The facets of all hits are those of the gallery, under the same filter, labels first."""
    labels = {
        str(pictures / "blue" / "1.png"): {"season": "Winter", "colour": "navy"},
        str(pictures / "red" / "1.png"): {"season": "Summer"},
    }
    with Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([pictures], labels=labels)
        image = pictures / "red" / "0.png"
        for where in (None, "colour in (navy, red)", "colour = none"):
            counted = gallery.facets(where=where)
            hits = gallery.query(image, k=9, where=where)
            assert counted.images == len(hits)
            found = hits.facets()
            assert {**counted.facets, **found} == {**found, **counted.facets}
            assert list(counted.facets) == ["colour", "light", "season"]
        assert gallery_facets(gallery.path, where=where) == counted
        every = gallery.facets()
        assert gallery_facets(gallery.path) == every
        assert list(gallery_facets(gallery.path).facets) == list(every.facets)
        assert every.facets["colour"].values == {"green": 3, "red": 3, "blue": 2, "navy": 1}
        assert every.facets["season"] == Facet(values={"Summer": 1, "Winter": 1}, more=0, unknown=7)
        assert list(every.facets["season"].values) == ["Summer", "Winter"]
        some = gallery.facets(attributes=["light", "season", "light"], limit=1)
        assert list(some.facets) == ["light", "season"]
        assert some.facets["season"] == Facet(values={"Summer": 1}, more=1, unknown=7)
        assert Counter(some.facets["light"].values).total() == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": "colour ="}, "expected a value"),
        ({"where": "colr = red"}, "did you mean 'colour'?"),
        ({"attributes": ["colr"]}, "no attribute is called 'colr', did you mean 'colour'?"),
        ({"attributes": ['a"b']}, "a name with a quotation mark in it"),
        ({"attributes": "colour"}, r"attributes must be a list"),
        ({"attributes": 5}, r"attributes must be a list"),
        ({"attributes": [5]}, "attributes has 5 in it, but must be a list of texts"),
        ({"limit": 0}, "limit is 0, but must be at least 1"),
        ({"limit": "3"}, "limit is '3', but must be a whole number"),
        ({"where": 5}, "where is 5, but must be text"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    gallery: Gallery, arguments: dict[str, object], message: str
) -> None:
    """Each is a usage error of one line that names the nearest there is."""
    with pytest.raises(UsageError) as caught:
        gallery.facets(**arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_name_that_cannot_be_asked_for_is_left_out(gallery: Gallery, pictures: Path) -> None:
    """A label with a quotation mark in its name does no harm to the others."""
    labels = {str(pictures / "red" / "0.png"): {'a"b': "x", "c": "y"}}
    gallery.index([pictures], labels=labels)
    assert list(gallery.facets().facets) == ["colour", "light", "c"]


def test_an_empty_gallery_has_facets(gallery: Gallery) -> None:
    """No images, no values, no error, and no names without the model; a closed one says so."""
    assert gallery_facets(gallery.path) == Facets(images=0, facets={})
    counted = gallery.facets()
    assert counted.images == 0
    assert counted.facets["colour"] == Facet(values={}, more=0, unknown=0)
    gallery.close()
    with pytest.raises(UsageError, match="closed"):
        gallery.facets()


def test_damaged_attributes_are_corrupt(tmp_path: Path) -> None:
    """A row whose attributes are no JSON is not counted as unknown."""
    import sqlite3

    Store.create(tmp_path, model_sha256="0", model_path="/m.onnx", dimensions=2)
    with closing(Store.open(tmp_path)) as opened:
        fill(opened, [({}, {"colour": "Red"})])
        with closing(sqlite3.connect(tmp_path / "gallery.sqlite")) as database:
            database.execute("UPDATE images SET predicted = '{'")
            database.commit()
        with pytest.raises(GalleryCorruptError, match="malformed JSON"):
            count_in_store(opened, ["colour"], where=None, limit=5)


def test_a_gallery_lists_as_many_values_as_facets_do() -> None:
    """The default of ``Gallery.facets`` is that of facets, though it is not imported from there."""
    default = inspect.signature(Gallery.facets).parameters["limit"].default
    assert default == facets.MOST_VALUES
