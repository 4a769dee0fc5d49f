"""Threads with images of their own give what one network gives."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.spread import Spread, images_at_once


def batches(encoder: Encoder, *counts: int) -> list[NDArray[np.uint8]]:
    """Return batches of noise."""
    rng, size = np.random.default_rng(0), encoder.manifest.image.size
    return [rng.integers(0, 256, (count, size, size, 3), np.uint8) for count in counts]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("counts", [(), (5,), (5, 8), (5, 8, 1, 0, 2, 7)])
def test_it_gives_what_the_encoder_gives(
    model_path: Path, threads: int, counts: tuple[int, ...]
) -> None:
    """Batch after batch, of any size, embeddings and attributes are the encoder's, in order."""
    with Encoder.open(model_path, threads=threads) as encoder, closing(Spread(encoder)) as spread:
        given = batches(encoder, *counts)
        for batch, found in zip(given, spread.each(given), strict=True):
            expected = encoder.run(batch)
            np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-6)
            assert found.attributes is not None
            assert expected.attributes is not None
            np.testing.assert_allclose(found.attributes, expected.attributes, atol=1e-6)


@pytest.mark.parametrize(
    ("edge", "threads", "count"),
    [(224, 1, 8), (224, 16, 32), (88, 2, 32), (160, 1, 15), (600, 4, 8)],
)
def test_a_batch_has_so_many_pixels(edge: int, threads: int, count: int) -> None:
    """Many small images or few large ones, and at least two for each thread."""
    assert images_at_once(edge, threads) == count


@pytest.mark.parametrize("change", ["gone", "damaged", "another"])
def test_a_model_file_that_changes_meanwhile_is_no_reason_to_fail(
    model_path: Path, tmp_path: Path, change: str
) -> None:
    """The network that is open goes on alone where the file is no longer that one."""
    path = Path(shutil.copy(model_path, tmp_path / "model.onnx"))
    with Encoder.open(path, threads=2) as encoder, closing(Spread(encoder)) as spread:
        first, second = batches(encoder, 4, 4)
        if change == "gone":
            path.unlink()
        else:
            data = path.read_bytes()
            path.write_bytes(b"damaged" if change == "damaged" else data + b"\x18\x00")
        _, found = spread.each([first, second])
        np.testing.assert_allclose(found.embeddings, encoder.run(second).embeddings, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_threads_but_the_encoders_read_ahead(
    model_path: Path, pictures: Path, threads: int
) -> None:
    """Those that read ahead are those that encode; one reads ahead while the caller encodes."""
    paths = [*pictures.rglob("*.png")] * 4
    with Encoder.open(model_path, threads=threads) as encoder:
        before, most = threading.active_count(), 0

        def watched() -> Iterator[Path]:
            nonlocal most
            for path in paths:
                most = max(most, threading.active_count() - before)
                yield path

        assert len(encoder.encode(watched(), batch_size=4)) == len(paths)
        assert most == threads


def test_what_is_wrong_in_a_thread_is_raised(model_path: Path) -> None:
    """A batch that is none is the caller's error, whichever thread finds it."""
    with Encoder.open(model_path, threads=2) as encoder, closing(Spread(encoder)) as spread:
        [good] = batches(encoder, 4)
        spread.begin(good)
        begun = spread.begin(np.zeros((4, 3, 3, 3), np.uint8))
        with pytest.raises(UsageError, match="a batch must be"):
            begun.result()


def test_a_batch_alone_takes_no_second_network(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query or a few files never pay for preparing one."""
    opened: list[int] = []

    def count(_path: Path, *, threads: int) -> Encoder:
        opened.append(threads)
        return real(_path, threads=threads)

    with Encoder.open(model_path, threads=2) as encoder:
        real = Encoder.open
        monkeypatch.setattr(Encoder, "open", count)
        [batch] = batches(encoder, 4)
        with closing(Spread(encoder)) as spread:
            assert len(list(spread.each([batch]))) == 1
        assert not opened
        with closing(Spread(encoder)) as spread:
            assert len(list(spread.each([batch, batch]))) == 2
        assert opened == [1]
