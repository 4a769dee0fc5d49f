"""The gallery's folder: made, opened, and refused where it does not fit."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from boost_edge import Encoder, Gallery
from boost_edge.runtime import exact_limit
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.errors import (
    BoostEdgeError,
    GalleryCorruptError,
    GalleryError,
    ModelFileError,
    UsageError,
)
from boost_edge.runtime.gallery_facts import gallery_stats
from boost_edge.runtime.gallery_model import MODEL_NAME, keep_model
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import verify_gallery
from boost_edge.runtime.writer_lock import LOCK_NAME

BuildModel = Callable[..., Path]


def test_a_gallery_finds_its_model(gallery: Gallery, pictures: Path) -> None:
    """Without an encoder the gallery opens the model where it last was, and closes it again."""
    gallery.index([pictures])
    with Gallery.open(gallery.path, threads=1) as again:
        assert again.encoder.sha256 == gallery.model_sha256
        assert len(again.query(pictures / "red" / "0.png")) == 9
        own = again.encoder
    with pytest.raises(UsageError, match="closed"):
        own.encode([pictures / "red" / "0.png"])


def test_a_model_that_moved_is_remembered(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """A model that is gone is said to be; given at its new place once, it is found again."""
    model = build_model(tmp_path / "old.onnx")
    folder = tmp_path / "gallery"
    with Encoder.open(model, threads=1) as encoder, Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    moved = model.rename(tmp_path / "new.onnx")
    with pytest.raises(GalleryError, match=r"no longer at .*old\.onnx"):
        Gallery.open(folder)
    with Encoder.open(moved, threads=1) as encoder, Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
    with Gallery.open(folder, threads=1) as gallery:
        assert gallery.encoder.path == moved


def test_a_model_that_is_kept_goes_with_the_gallery(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """A copy in the gallery serves where the first file is another one now, or the folder moved."""
    model = build_model(tmp_path / "first.onnx")
    folder = tmp_path / "gallery"
    with Encoder.open(model, threads=1) as encoder, Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
        keep_model(folder, encoder.path)
    model.write_bytes(b"another one")
    moved = folder.rename(tmp_path / "moved")
    with Gallery.open(moved, threads=1) as gallery:
        assert gallery.encoder.path == moved / MODEL_NAME
        assert gallery.query(pictures / "red" / "0.png", k=1).hits[0].score > 0.999
    assert gallery_stats(moved).model_path == str(moved / MODEL_NAME)
    assert not verify_gallery(moved).findings
    (moved / MODEL_NAME).write_bytes(b"damaged")
    assert [each.code for each in verify_gallery(moved).findings] == ["model_changed"]
    with pytest.raises(ModelFileError, match=MODEL_NAME):
        Gallery.open(moved)


def test_a_model_that_cannot_be_kept(tmp_path: Path) -> None:
    """One line says what could not be copied, and nothing half done is left."""
    (tmp_path / "gallery").mkdir()
    with pytest.raises(GalleryError, match="the model cannot be copied there"):
        keep_model(tmp_path / "gallery", tmp_path / "gone.onnx")
    assert not list((tmp_path / "gallery").iterdir())


@pytest.mark.parametrize("given", [True, False])
def test_another_model_is_refused(build_model: BuildModel, tmp_path: Path, *, given: bool) -> None:
    """Vectors of two models cannot be compared: both are named, and what to do."""
    path = build_model(tmp_path / "model.onnx")
    with Encoder.open(path, threads=1) as encoder:
        Gallery.open(tmp_path / "gallery", encoder).close()
        old = encoder.sha256
    build_model(path, seed=1)
    with Encoder.open(path, threads=1) as other:
        with pytest.raises(GalleryCorruptError) as caught:
            Gallery.open(tmp_path / "gallery", other if given else None, threads=1)
        assert old[:12] in str(caught.value)
        assert other.sha256[:12] in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_is_no_gallery_is_left_alone(encoder: Encoder, pictures: Path, tmp_path: Path) -> None:
    """A file, another folder, or nothing where one is needed: one line, and nothing is made."""
    picture = pictures / "red" / "0.png"
    before = sorted(tmp_path.rglob("*"))
    attempts: list[tuple[Path, dict[str, Any], str]] = [
        (picture, {"encoder": encoder}, "is a file"),
        (picture / "deeper", {"encoder": encoder}, "is a file"),
        (pictures, {"encoder": encoder}, "is not a gallery .* and not empty"),
        (pictures, {}, "is not a gallery .* and not empty"),
        (tmp_path / "absent", {}, "there is no gallery"),
        (tmp_path / "absent", {"encoder": encoder, "create": False}, "there is no gallery"),
    ]
    for path, keywords, message in attempts:
        with pytest.raises(UsageError, match=message) as caught:
            Gallery.open(path, **keywords)
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(UsageError, match="there is no gallery"):
        gallery_stats(tmp_path / "absent")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_becomes_a_gallery(encoder: Encoder, tmp_path: Path) -> None:
    """An empty folder, or one that only a killed creation left, can be made a gallery."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / LOCK_NAME).touch()
    (folder / f".{STORE_NAME}.123.tmp").touch()
    with Gallery.open(folder, encoder) as gallery:
        assert len(gallery) == 0


def test_a_gallery_without_its_truth_is_corrupt(gallery: Gallery, encoder: Encoder) -> None:
    """With the cache alone there is nothing to search, and nothing is made in its place."""
    gallery.close()
    (gallery.path / STORE_NAME).rename(gallery.path / GRAPH_NAME)
    with pytest.raises(GalleryCorruptError, match=f"{STORE_NAME} is gone"):
        Gallery.open(gallery.path, encoder)


@pytest.mark.parametrize("data", [b"", b"garbage" * 1000, None])
def test_a_damaged_gallery_is_corrupt(
    gallery: Gallery, encoder: Encoder, pictures: Path, data: bytes | None
) -> None:
    """A truncated or overwritten database is said to be damaged, with what to do."""
    gallery.index([pictures])
    gallery.close()
    path = gallery.path / STORE_NAME
    path.write_bytes(path.read_bytes()[:5000] if data is None else data)
    with pytest.raises(GalleryCorruptError, match="index the images again") as caught:
        Gallery.open(gallery.path, encoder)
    assert "\n" not in str(caught.value)


def test_creating_in_an_impossible_place_is_our_error(encoder: Encoder) -> None:
    """Where no folder can be made, that is said in one line."""
    with pytest.raises(BoostEdgeError, match="/proc/"):
        Gallery.open("/proc/gallery", encoder)


def test_stats_tell_what_there_is(gallery: Gallery, pictures: Path, encoder: Encoder) -> None:
    """The figures at a glance are right, and need no model."""
    gallery.index([pictures])
    stats = gallery.stats()
    assert (stats.images, stats.dimensions, stats.generation) == (9, 16, 1)
    assert (stats.model_sha256, stats.model_path) == (encoder.sha256, str(encoder.path))
    assert (stats.path, stats.format_version) == (gallery.path, 2)
    assert stats.bytes_on_disk > 9 * 16 * 4
    gallery.close()
    again = gallery_stats(gallery.path)
    assert dataclasses.replace(again, bytes_on_disk=0) == dataclasses.replace(
        stats, bytes_on_disk=0
    )


def test_a_closed_gallery_is_whole(gallery: Gallery, pictures: Path, tmp_path: Path) -> None:
    """After closing, the folder can be copied: nothing is left in side files."""
    gallery.index([pictures])
    gallery.close()
    assert {each.name for each in gallery.path.iterdir()} == {STORE_NAME, LOCK_NAME}
    shutil.copytree(gallery.path, tmp_path / "copy")
    with Gallery.open(tmp_path / "copy", threads=1) as copy:
        assert len(copy.query(pictures / "red" / "0.png")) == 9


def test_what_is_large_depends_on_the_width(
    encoder: Encoder, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where embeddings have more bytes than are scanned, all agree that there is a cache."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder) as gallery:
        gallery.index([pictures])
        count = len(gallery)
        exact = gallery.query(pictures / "red" / "0.png", k=5).hits
    assert not (folder / GRAPH_NAME).exists()
    monkeypatch.setattr(exact_limit, "EXACT_BYTES", count * encoder.dimensions * 4)
    assert gallery_stats(folder).cache == "not needed"
    assert verify_gallery(folder).findings == ()
    monkeypatch.setattr(exact_limit, "EXACT_BYTES", count * encoder.dimensions * 4 - 1)
    assert gallery_stats(folder).cache == "missing"
    assert [each.code for each in verify_gallery(folder).findings] == ["cache_missing"]
    with Gallery.open(folder, encoder) as gallery:
        assert gallery.query(pictures / "red" / "0.png", k=5).hits == exact
    assert gallery_stats(folder).cache == "up to date"
    assert compact_gallery(folder).cached == count


def test_embeddings_without_a_width_are_damage(gallery: Gallery, pictures: Path) -> None:
    """A gallery that says its embeddings have no numbers is damaged, and no bug of ours."""
    gallery.index([pictures])
    gallery.close()
    with closing(sqlite3.connect(gallery.path / STORE_NAME)) as database, database:
        database.execute("UPDATE meta SET value = 0 WHERE key = 'dimensions'")
    with pytest.raises(GalleryCorruptError, match="meta"):
        gallery_stats(gallery.path)
    assert [each.code for each in verify_gallery(gallery.path).findings] == ["database_damaged"]


def test_the_state_of_the_cache_is_told(
    encoder: Encoder, pictures: Path, tmp_path: Path, write_picture: Callable[..., Path]
) -> None:
    """None needed, up to date, behind by so many images, missing, or no use; and its dtype."""
    folder = tmp_path / "gallery"
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures], labels={str(pictures / "red" / "0.png"): {"shop": "a"}})
        assert gallery.stats().cache == "up to date"

    def told() -> tuple[str, int, str]:
        stats = gallery_stats(folder, exact_limit=4)
        assert stats.bytes_on_disk == sum(each.stat().st_size for each in folder.iterdir())
        return stats.cache, stats.cache_newer, stats.vectors

    assert told() == ("up to date", 0, "i8")
    assert gallery_stats(folder).cache == "not needed"
    write_picture(pictures / "late.png", seed=99)
    (pictures / "red" / "1.png").unlink()
    with Gallery.open(folder, encoder, exact_limit=4) as gallery:
        gallery.index([pictures], prune=True)
    assert told() == ("behind", 1, "i8")
    stats = gallery_stats(folder)
    assert (stats.images, stats.deleted) == (9, 1)
    assert stats.attributes == (*(each.name for each in encoder.manifest.attributes), "shop")
    compact_gallery(folder, vectors="f16", exact_limit=4)
    assert told() == ("up to date", 0, "f16")
    cache = folder / GRAPH_NAME
    cache.write_bytes(cache.read_bytes()[:-1])
    assert told() == ("unusable", 0, "f16")
    cache.unlink()
    assert told() == ("missing", 0, "f16")
