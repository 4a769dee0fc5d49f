"""The gallery: what is indexed is found, and nothing else happens."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import boost_edge
from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import (
    GalleryCorruptError,
    ImageError,
    UsageError,
)
from boost_edge.runtime.gallery_facts import gallery_stats
from boost_edge.runtime.images import load_image
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME

BuildModel = Callable[..., Path]


def counts(report: boost_edge.IndexReport) -> dict[str, int]:
    """Return the counts of a report that are not zero."""
    numbers: dict[str, Any] = {**dataclasses.asdict(report), "seconds": 0}
    for name in ("skipped", "pruned", "outdated_labels"):
        assert numbers.pop(f"{name}_count") == len(numbers[name])
        numbers[name] = len(numbers[name])
    return {name: count for name, count in numbers.items() if count}


def test_indexed_images_are_found(gallery: Gallery, pictures: Path) -> None:
    """Each indexed image is its own best hit, with all there is to know about it."""
    assert counts(gallery.index([pictures])) == {"added": 9}
    assert len(gallery) == 9
    path = pictures / "green" / "1.png"
    result = gallery.query(path, k=4)
    assert [hit.rank for hit in result] == [1, 2, 3, 4]
    best = result.hits[0]
    assert best.path == str(path)
    assert best.score == pytest.approx(1, abs=1e-5)
    assert best.attributes == {"colour": "green", "light": "dark"}
    assert best.agrees == ("colour", "light")
    assert [hit.attributes["colour"] for hit in result][:3] == ["green"] * 3
    assert result.hits[3].agrees == ("light",)
    assert result.attributes["colour"].value == "green"
    assert (result.query, result.model) == (str(path), gallery.encoder.sha256)


def test_the_answer_is_the_naive_one(gallery: Gallery, encoder: Encoder, pictures: Path) -> None:
    """Hits and scores are those of encoding everything and sorting by cosine."""
    gallery.index([pictures])
    paths = sorted(pictures.rglob("*.png"))
    embeddings = encoder.encode(paths).astype(float)
    for path, query in zip(paths, embeddings, strict=True):
        scores = [float(row @ query) for row in embeddings]
        expected = sorted(zip(scores, map(str, paths), strict=True), reverse=True)
        result = gallery.query(path, k=9)
        assert [hit.path for hit in result] == [name for _, name in expected]
        np.testing.assert_allclose(
            [hit.score for hit in result], [score for score, _ in expected], atol=1e-5
        )


def test_a_result_is_plain_data(gallery: Gallery, pictures: Path) -> None:
    """A result is iterable, sized, and becomes JSON with the documented keys."""
    gallery.index([pictures])
    result = gallery.query(pictures / "red" / "0.png", k=2)
    assert len(result) == len(list(result)) == 2
    decoded = json.loads(json.dumps(dataclasses.asdict(result)))
    keys = {"query", "model", "took_ms", "attributes", "hits", "like", "unlike"}
    assert set(decoded) == keys
    assert (decoded["like"], decoded["unlike"]) == ([], [])
    assert set(decoded["took_ms"]) == {"decode", "encode", "search"}
    assert all(value >= 0 for value in decoded["took_ms"].values())
    assert set(decoded["attributes"]["colour"]) == {"value", "p"}
    keys = {"rank", "id", "path", "score", "preference", "attributes", "labels", "agrees"}
    assert set(decoded["hits"][0]) == keys


def test_an_array_can_be_the_query(gallery: Gallery, pictures: Path) -> None:
    """The pixels of an image find what the image finds."""
    gallery.index([pictures])
    path = pictures / "blue" / "2.png"
    pixels = load_image(path, gallery.encoder.manifest.image)
    result = gallery.query(pixels, k=3)
    assert result.query == "<array>"
    assert result.hits == gallery.query(path, k=3).hits


def test_a_vector_can_be_the_query(gallery: Gallery, encoder: Encoder, pictures: Path) -> None:
    """A vector of any length finds what its image finds; nothing is known to agree."""
    gallery.index([pictures])
    path = pictures / "blue" / "2.png"
    hits = gallery.search(7 * encoder.encode([path])[0], k=3)
    expected = gallery.query(path, k=3).hits
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected])
    assert all(hit.agrees == () for hit in hits)
    assert len(gallery.search(np.zeros(16, np.float32), k=3)) == 3


def test_min_score_leaves_out_what_is_below(gallery: Gallery, pictures: Path) -> None:
    """No hit is below the score asked for, and none above it is missing."""
    gallery.index([pictures])
    path = pictures / "red" / "0.png"
    every = gallery.query(path, k=9)
    bar = every.hits[4].score
    assert gallery.query(path, k=9, min_score=bar).hits == every.hits[:5]
    # The same image may have been encoded in another way.
    assert gallery.query(path, k=9, min_score=bar + 5e-7).hits == every.hits[:5]
    assert len(gallery.query(path, k=9, min_score=bar + 1e-4).hits) < 5
    assert gallery.query(path, k=9, min_score=2.0).hits == ()


def test_what_makes_no_sense_is_a_usage_error(gallery: Gallery, pictures: Path) -> None:
    """Wrong arguments are refused before any work."""
    path = pictures / "red" / "0.png"
    with pytest.raises(UsageError, match="k is 0"):
        gallery.query(path, k=0)
    with pytest.raises(UsageError, match="k is -1"):
        gallery.search(np.zeros(16, np.float32), k=-1)
    for vector in (np.zeros(15), np.zeros((1, 16)), np.full(16, np.nan)):
        with pytest.raises(UsageError, match=r"must be \(16,\) and finite"):
            gallery.search(vector.astype(np.float32))
    with pytest.raises(UsageError, match=r"give \[path\]"):
        gallery.index(str(pictures))
    with pytest.raises(UsageError):
        gallery.index([pictures, pictures / "absent.png"])
    assert len(gallery) == 0


def test_an_empty_gallery_answers(gallery: Gallery, pictures: Path) -> None:
    """No images, no hits, no error."""
    assert gallery.query(pictures / "red" / "0.png").hits == ()
    assert counts(gallery.index([])) == {}


def test_a_query_that_cannot_be_read_raises(gallery: Gallery, tmp_path: Path) -> None:
    """The query's own error is raised, not a skip."""
    with pytest.raises(ImageError):
        gallery.query(tmp_path / "absent.png")


def test_a_model_without_head_makes_a_gallery(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """Without predicted attributes search works, and nothing agrees."""
    raw = Encoder.open(build_model(tmp_path / "raw.onnx", head=False), threads=1)
    with raw, Gallery.open(tmp_path / "gallery", raw) as gallery:
        gallery.index([pictures])
        result = gallery.query(pictures / "red" / "0.png", k=1)
        assert result.attributes == {}
        assert (result.hits[0].attributes, result.hits[0].agrees) == ({}, ())


def test_threads_may_share_a_gallery(gallery: Gallery, pictures: Path) -> None:
    """Queries from several threads at once give what queries in turn give."""
    gallery.index([pictures])
    paths = sorted(pictures.rglob("*.png")) * 4
    expected = [gallery.query(path).hits for path in paths]
    with ThreadPoolExecutor(4) as pool:
        assert [result.hits for result in pool.map(gallery.query, paths)] == expected


def test_readers_see_new_images_at_once(gallery: Gallery, encoder: Encoder, pictures: Path) -> None:
    """An open gallery finds what another one has added since."""
    with Gallery.open(gallery.path, encoder) as reader:
        path = pictures / "red" / "0.png"
        assert reader.query(path).hits == ()
        gallery.index([pictures / "red"])
        assert len(reader.query(path)) == 3
        gallery.index([pictures])
        assert len(reader.query(path)) == 9


def test_a_closed_gallery_says_so(encoder: Encoder, pictures: Path, tmp_path: Path) -> None:
    """After the with block every call is a usage error; the encoder given stays open."""
    with Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([pictures])
    for call in (
        lambda: gallery.query(pictures / "red" / "0.png"),
        lambda: gallery.search(np.zeros(16, np.float32)),
        lambda: gallery.index([pictures]),
        lambda: len(gallery),
    ):
        with pytest.raises(UsageError, match="open"):
            call()
    assert encoder.encode([pictures / "red" / "0.png"]).shape == (1, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": "3"}, "k is '3', but must be a whole number"),
        ({"k": 2.5}, "k is 2.5, but must be a whole number"),
        ({"k": None}, "k is None, but must be a whole number"),
        ({"k": 0}, "k is 0, but must be at least 1"),
        ({"min_score": "0.5"}, "min_score is '0.5', but must be a number"),
        ({"where": 5}, "where is 5, but must be text"),
        ({"where": b"colour = red"}, "where is b'colour = red', but must be text"),
        ({"prefer": [5]}, "prefer has 5 in it, but must be a list of texts"),
        ({"prefer": 5}, "prefer must be a list: for one preference, give [preference]"),
        ({"prefer": "colour=red"}, "prefer must be a list"),
    ],
)
def test_arguments_of_another_type_are_refused(
    gallery: Gallery, pictures: Path, arguments: dict[str, Any], message: str
) -> None:
    """Whatever way is asked, a usage error of one line names the argument."""
    gallery.index([pictures])
    image = pictures / "red" / "0.png"
    vector = gallery.encoder.encode([image])[0]
    asks: tuple[Callable[..., object], ...] = (
        partial(gallery.query, image),
        partial(gallery.query_examples, [image]),
        partial(gallery.search, vector),
    )
    for ask in asks:
        with pytest.raises(UsageError) as caught:
            ask(**arguments)
        assert message in str(caught.value)


def test_a_vector_of_another_type_is_refused(gallery: Gallery) -> None:
    """What cannot be made numbers is wrong usage."""
    for vector in ("abc", None, [[1.0], [2.0, 3.0]], [object()]):
        with pytest.raises(UsageError, match="a query vector must be"):
            gallery.search(vector)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_numbers_of_numpy_are_numbers(gallery: Gallery, pictures: Path) -> None:
    """A k and a least score that NumPy computed are as good as Python's own."""
    gallery.index([pictures])
    image = pictures / "red" / "0.png"
    asked = gallery.query(image, k=np.int64(3), min_score=np.float32(-1))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert [hit.id for hit in asked] == [hit.id for hit in gallery.query(image, k=3)]


def test_damage_found_later_is_corrupt(gallery: Gallery, pictures: Path) -> None:
    """An embedding that lost its tail is noticed when it is searched."""
    gallery.index([pictures])
    with closing(sqlite3.connect(gallery.path / STORE_NAME)) as database:
        database.execute("UPDATE embeddings SET vector = x'00' WHERE id = 3")
        database.commit()
    with pytest.raises(GalleryCorruptError, match="wrong length"):
        gallery.query(pictures / "red" / "0.png")


def test_names_need_not_be_utf8(encoder: Encoder, pictures: Path, tmp_path: Path) -> None:
    """Any bytes will do as a file's or the gallery's name, through SQLite, JSON and USearch."""
    source = pictures / "red" / "0.png"
    odd = Path(os.fsdecode(os.fsencode(pictures) + b"/caf\xe9 \xff'\"\n.png"))
    odd.write_bytes(source.read_bytes()[:-1] + source.read_bytes()[-1:])
    source.unlink()
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gall\xe9rie?#%41"))
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        assert gallery.index([pictures]).added == 9
        assert (folder / GRAPH_NAME).exists()
        best = gallery.query(odd, k=1).hits[0]
        assert best.path == str(odd)
        decoded = json.loads(json.dumps(dataclasses.asdict(best)))
        assert os.fsencode(decoded["path"]) == os.fsencode(odd)
        assert counts(gallery.index([pictures])) == {"unchanged": 9}
    assert gallery_stats(folder).images == 9


def test_large_galleries_go_through_the_graph(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """Above the exact limit the hits are the same, and indexing leaves the graph ready."""
    with Gallery.open(tmp_path / "exact", encoder) as exact:
        exact.index([pictures])
        with Gallery.open(tmp_path / "large", encoder, exact_limit=4) as large:
            large.index([pictures / "red"])
            assert not (large.path / GRAPH_NAME).exists()
            large.index([pictures / "green"])
            assert (large.path / GRAPH_NAME).exists()
            large.index([pictures])
            for path in pictures.rglob("*.png"):
                found, expected = large.query(path, k=9), exact.query(path, k=9)
                assert [hit.path for hit in found] == [hit.path for hit in expected]
                assert [hit.score for hit in found] == [hit.score for hit in expected]


def test_the_public_names_are_there() -> None:
    """What the package promises can be imported from it."""
    for name in boost_edge.__all__:
        assert getattr(boost_edge, name) is not None


def test_building_a_search_cache_is_told(encoder: Encoder, pictures: Path, tmp_path: Path) -> None:
    """Indexing tells it, and so do compacting and a query that finds none; else nobody does."""
    folder, stages = tmp_path / "gallery", list[str]()
    query = pictures / "red" / "0.png"

    def note(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total == 9
        stages.append(stage)

    with Gallery.open(folder, encoder, exact_limit=4, progress=note) as gallery:
        gallery.index([pictures])
        assert set(stages) == {"building the search cache"}
        stages.clear()
        assert len(gallery.query(query)) == 9
        assert stages == []
    compact_gallery(folder, exact_limit=4, progress=note)
    assert set(stages) == {"building the search cache"}
    stages.clear()
    (folder / GRAPH_NAME).unlink()
    with Gallery.open(folder, encoder, exact_limit=4, progress=note) as gallery:
        assert len(gallery.query(query)) == 9
    assert set(stages) == {"building the search cache"}
