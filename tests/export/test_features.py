"""Features: equal to a loop over single images, computed once, and never lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from boost_edge.export.features import Features, extract_features
from boost_edge.models.backbones import Backbone, build_backbone
from boost_edge.runtime.errors import UsageError, WeightsError
from boost_edge.runtime.images import content_digest, load_image
from boost_edge.runtime.manifest import DEFAULT_RESIZE, RESIZE_POLICIES, ImageSpec, ResizePolicy

_COUNT = 11


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Return a network with random weights, cut short and fed small images to be quick."""
    return _small(48)


def _small(image_size: int, tap: str = "features.4") -> Backbone:
    return build_backbone("squeezenet1_1", weights="none", image_size=image_size, taps=[tap])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return different images of different shapes."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(_COUNT)]
    for number, path in enumerate(paths):
        pixels = random.integers(0, 256, (40 + 5 * number, 90 - 4 * number, 3), dtype=np.uint8)
        cv2.imwrite(os.fspath(path), pixels)
    return paths


@contextmanager
def _counted(backbone: Backbone) -> Generator[list[int]]:
    """Note the size of every batch that goes through the network."""
    sizes: list[int] = []

    def note(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))

    handle = backbone.register_forward_pre_hook(note)
    try:
        yield sizes
    finally:
        handle.remove()


def _naive(
    backbone: Backbone, paths: list[Path], resize: ResizePolicy = DEFAULT_RESIZE
) -> NDArray[np.float32]:
    """Put one image after the other through the network."""
    spec = ImageSpec(size=backbone.image_size, resize=resize)
    with torch.inference_mode():
        rows = [backbone(torch.as_tensor(load_image(path, spec))[None]).numpy() for path in paths]
    return np.concatenate(rows)


def _cache_file(folder: Path) -> Path:
    (path,) = folder.glob("*.sqlite")
    return path


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("resize", RESIZE_POLICIES)
def test_features_equal_a_loop_over_single_images(
    backbone: Backbone, photos: list[Path], tmp_path: Path, batch_size: int, resize: ResizePolicy
) -> None:
    """Neither batches, nor threads, nor the cache change a feature by more than 1e-5."""
    features = extract_features(
        backbone, photos, resize=resize, cache=tmp_path, batch_size=batch_size
    )
    expected = _naive(backbone, photos, resize)
    assert features.matrix.shape == (_COUNT, backbone.width)
    assert features.matrix.dtype == np.float32
    np.testing.assert_allclose(features.matrix, expected, rtol=1e-5, atol=1e-5)
    assert features.digests == tuple(content_digest(path.read_bytes()) for path in photos)
    assert features.skipped == ()


def test_cached_features_need_no_network(
    backbone: Backbone, photos: list[Path], tmp_path: Path
) -> None:
    """The second time nothing is computed, and every bit is the same."""
    first = extract_features(backbone, photos, cache=tmp_path)
    with _counted(backbone) as sizes:
        again = extract_features(backbone, photos[::-1], cache=tmp_path)
    assert sizes == []
    assert np.array_equal(again.matrix[::-1], first.matrix)
    assert again.digests[::-1] == first.digests


def test_renamed_images_are_found_and_changed_ones_are_not(
    backbone: Backbone, photos: list[Path], tmp_path: Path
) -> None:
    """The cache goes by content, not by name."""
    extract_features(backbone, photos[:2], cache=tmp_path / "cache")
    renamed, changed = tmp_path / "renamed.png", tmp_path / photos[1].name
    shutil.copy(photos[0], renamed)
    shutil.copy(photos[2], changed)
    with _counted(backbone) as sizes:
        features = extract_features(backbone, [renamed, changed], cache=tmp_path / "cache")
    assert sizes == [1]
    np.testing.assert_allclose(
        features.matrix, _naive(backbone, [renamed, changed]), rtol=1e-5, atol=1e-5
    )


def test_equal_content_is_computed_once(
    backbone: Backbone, photos: list[Path], tmp_path: Path
) -> None:
    """Images of equal content share one computation, near each other or far apart."""
    copies = [tmp_path / f"copy{number}.png" for number in range(4)]
    for copy in copies:
        shutil.copy(photos[0], copy)
    paths = [*copies[:2], *photos, *copies[2:]]
    with _counted(backbone) as sizes:
        features = extract_features(backbone, paths, cache=tmp_path / "cache", batch_size=2)
    assert sum(sizes) == _COUNT
    np.testing.assert_allclose(features.matrix, _naive(backbone, paths), rtol=1e-5, atol=1e-5)
    assert len(set(features.digests)) == _COUNT


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_extraction_goes_on_where_it_was(
    backbone: Backbone, photos: list[Path], tmp_path: Path, error: type[BaseException]
) -> None:
    """Every finished batch is kept, whatever ends the extraction."""

    def interrupt(done: int, _total: int) -> None:
        if done == 6:
            raise error

    with pytest.raises(error), _counted(backbone) as before:
        extract_features(backbone, photos, cache=tmp_path, batch_size=3, progress=interrupt)
    with _counted(backbone) as after:
        features = extract_features(backbone, photos, cache=tmp_path, batch_size=3)
    assert before == [3, 3]
    assert after == [3, 2]
    np.testing.assert_allclose(features.matrix, _naive(backbone, photos), rtol=1e-5, atol=1e-5)


def test_what_changes_the_features_has_its_own_cache(photos: list[Path], tmp_path: Path) -> None:
    """Size, resize policy, taps and network each have a cache file of their own."""
    variants = [
        _small(48),
        _small(40),
        _small(48, "features.7"),
        build_backbone("mobilenet_v2", weights="none", image_size=48, taps=["features.3"]),
    ]
    for backbone in variants:
        extract_features(backbone, photos[:1], cache=tmp_path)
    extract_features(variants[0], photos[:1], cache=tmp_path, resize="letterbox")
    assert len(list(tmp_path.glob("*.sqlite"))) == 5
    again = _small(48)
    with _counted(again) as sizes:
        extract_features(again, photos[:1], cache=tmp_path)
    assert sizes == []


def test_unreadable_images_are_collected(
    backbone: Backbone, photos: list[Path], tmp_path: Path
) -> None:
    """An image that cannot be read is named with its row; its features are NaN, not rubbish."""
    text, empty, absent = tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "no.png"
    text.write_text("no image")
    empty.touch()
    paths = [text, photos[0], empty, photos[1], absent, tmp_path]
    features = extract_features(backbone, paths, cache=tmp_path / "cache", batch_size=2)
    assert [row for row, _ in features.skipped] == [0, 2, 4, 5]
    assert [error.path for _, error in features.skipped] == [
        str(paths[row]) for row in (0, 2, 4, 5)
    ]
    assert [error.reason for _, error in features.skipped][1:] == ["empty", "missing", "not_a_file"]
    assert np.isnan(features.matrix[[0, 2, 4, 5]]).all()
    np.testing.assert_allclose(
        features.matrix[[1, 3]], _naive(backbone, photos[:2]), rtol=1e-5, atol=1e-5
    )
    assert [digest == "" for digest in features.digests] == [True, False, True, False, True, True]


def test_no_images_give_no_rows(backbone: Backbone, tmp_path: Path) -> None:
    """Nothing in, an empty matrix of the right width out."""
    features = extract_features(backbone, [], cache=tmp_path)
    assert features.matrix.shape == (0, backbone.width)
    assert (features.digests, features.skipped) == ((), ())


@pytest.mark.parametrize("damage", ["garbage", "cut", "page"])
def test_a_damaged_cache_is_built_anew(
    backbone: Backbone,
    photos: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    """A cache file that is damaged costs time and a warning, no result."""
    first = extract_features(backbone, photos, cache=tmp_path)
    path = _cache_file(tmp_path)
    data = bytearray(path.read_bytes())
    match damage:
        case "garbage":
            data = bytearray(b"not a database at all, but longer than a header" * 100)
        case "cut":
            data = data[: len(data) // 2]
        case _:
            data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    with _counted(backbone) as sizes:
        again = extract_features(backbone, photos, cache=tmp_path)
    assert sum(sizes) == _COUNT
    assert str(path) in caplog.text
    assert "built anew" in caplog.text
    assert np.array_equal(again.matrix, first.matrix)
    with _counted(backbone) as sizes:
        extract_features(backbone, photos, cache=tmp_path)
    assert sizes == []


@pytest.mark.parametrize("vector", [b"", b"\0" * 8, None])
def test_a_damaged_row_is_computed_again(
    backbone: Backbone, photos: list[Path], tmp_path: Path, vector: bytes | None
) -> None:
    """A vector that was cut or flipped on disk is noticed and repaired; the others are used."""
    first = extract_features(backbone, photos, cache=tmp_path)
    connection = sqlite3.connect(_cache_file(tmp_path))
    digest = bytes.fromhex(first.digests[5])
    if vector is None:
        flipped = bytearray(first.matrix[5].tobytes())
        flipped[17] ^= 1
        vector = bytes(flipped)
    with connection:
        connection.execute("UPDATE feature SET vector = ? WHERE digest = ?", (vector, digest))
    connection.close()
    for expected in ([1], []):
        with _counted(backbone) as sizes:
            again = extract_features(backbone, photos, cache=tmp_path)
        assert sizes == expected
        np.testing.assert_allclose(again.matrix, first.matrix, rtol=1e-5, atol=1e-5)


def test_where_nothing_can_be_cached_features_come_all_the_same(
    backbone: Backbone, photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache folder that cannot be is a warning, not an error."""
    (tmp_path / "file").touch()
    features = extract_features(backbone, photos[:3], cache=tmp_path / "file" / "cache")
    np.testing.assert_allclose(features.matrix, _naive(backbone, photos[:3]), rtol=1e-5, atol=1e-5)
    assert "going on without a feature cache" in caplog.text


def test_the_cache_stands_in_the_users_cache_folder(
    backbone: Backbone, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder given, the cache is under BOOST_EDGE_CACHE_DIR."""
    monkeypatch.setenv("BOOST_EDGE_CACHE_DIR", str(tmp_path / "mine"))
    extract_features(backbone, photos[:1])
    assert stat.S_ISREG(_cache_file(tmp_path / "mine" / "features").stat().st_mode)


def test_progress_counts_up_to_all_images(
    backbone: Backbone, photos: list[Path], tmp_path: Path
) -> None:
    """Progress rises, counts skipped and cached images too, and ends with all of them."""
    paths = [*photos, tmp_path / "no.png"]
    for _ in range(2):
        calls: list[int] = []

        def note(done: int, total: int, calls: list[int] = calls) -> None:
            assert total == _COUNT + 1
            calls.append(done)

        extract_features(backbone, paths, cache=tmp_path, batch_size=4, progress=note)
        assert calls == [4, 8, 12]


def test_a_batch_of_nothing_is_refused(backbone: Backbone, tmp_path: Path) -> None:
    """A batch size below one is a wrong argument."""
    with pytest.raises(UsageError, match="batch of 0"):
        extract_features(backbone, [], cache=tmp_path, batch_size=0)


def test_features_that_are_not_finite_are_refused(photos: list[Path], tmp_path: Path) -> None:
    """Weights that give NaN are an error that says so, and nothing of it is cached."""
    broken = _small(48)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    for _ in range(2):
        with pytest.raises(WeightsError, match="squeezenet1_1 gives features that are not finite"):
            extract_features(broken, photos, cache=tmp_path)


def test_real_images_are_read(shared: Path, backbone: Backbone, tmp_path: Path) -> None:
    """Real product photos go through, and different ones have different features."""
    folder = shared / "datasets" / "fashion-product-images-small" / "images"
    paths = sorted(folder.iterdir())[:8]
    features: Features = extract_features(backbone, paths, cache=tmp_path)
    assert features.skipped == ()
    assert len(np.unique(features.matrix, axis=0)) == len(set(features.digests))
