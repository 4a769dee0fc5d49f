"""Loading pictures: the pixels that serving sees, and a note of what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from boost_edge.export.pictures import load_pictures
from boost_edge.runtime.images import content_digest, load_image
from boost_edge.runtime.manifest import ImageSpec


def test_pictures_are_what_serving_sees(catalogue: Path, tmp_path: Path) -> None:
    """Pixels and digests are those of the runtime; a damaged file is skipped and named."""
    paths = sorted((catalogue / "images").iterdir())[:5]
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(paths[0].read_bytes()[:200])
    spec = ImageSpec(size=20, resize="squash")
    seen: list[tuple[int, int]] = []
    loaded = load_pictures(
        [*paths[:2], damaged, *paths[2:]], spec, tmp_path / "pixels",
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    kept = [0, 1, 3, 4, 5]
    for row, path in zip(kept, paths, strict=True):
        np.testing.assert_array_equal(loaded.pixels[row], load_image(path, spec))
        assert loaded.digests[row] == content_digest(path.read_bytes())
    assert not loaded.pixels[2].any()
    assert loaded.digests[2] == ""
    ((row, error),) = loaded.skipped
    assert (row, error.path) == (2, str(damaged))
    assert seen[-1] == (6, 6)
