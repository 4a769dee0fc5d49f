"""The images that a run keeps: which ones, in what order, and with which labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boost_edge.export import samples
from boost_edge.export.fit import Rows
from boost_edge.export.parts import NEVER_SEEN, Part
from boost_edge.export.samples import keep_samples


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Part]:
    """Return three parts of files that hold their own names, 10 bytes each."""
    made: dict[str, Part] = {}
    for name, count in (("train", 90), ("val", 60), ("test", 220)):
        paths = [tmp_path / f"{name[0]}{number:05d}.JPG" for number in range(count)]
        for path in paths:
            path.write_text(path.name, encoding="utf-8")
        codes = np.stack([np.arange(count), np.full(count, -1)], axis=1)
        codes[0] = NEVER_SEEN
        made[name] = Part(
            names=tuple(path.name for path in paths),
            paths=tuple(paths),
            digests=tuple(path.name for path in paths),
            rows=Rows(features=np.zeros((count, 1), np.float32), codes=codes),
        )
    return made


def test_held_out_images_first(parts: dict[str, Part], tmp_path: Path) -> None:
    """256 held-out images, those of the test part first, then 64 training images, with labels."""
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "samples" / "999.jpg").write_text("of an interrupted training")
    kept = keep_samples(run, parts)
    assert [each.part for each in kept] == ["test"] * 220 + ["val"] * 36 + ["train"] * 64
    assert sorted(path.name for path in (run / "samples").iterdir()) == [each.name for each in kept]
    place = {"test": 0, "val": 220, "train": 256}
    for index, each in enumerate(kept):
        row = index - place[each.part]
        held = (run / "samples" / each.name).read_text(encoding="utf-8")
        assert held == f"{each.part[0]}{row:05d}.JPG"
        # What the training part never shows is as good as unknown.
        assert each.codes == (row or -1, -1)


def test_large_images_are_fewer(
    parts: dict[str, Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the first 32 of each, no more are kept than fit into the room."""
    monkeypatch.setattr(samples, "_MOST_BYTES", 400)
    kept = keep_samples(tmp_path / "run", parts)
    assert [each.part for each in kept] == ["test"] * 40 + ["train"] * 40
    monkeypatch.setattr(samples, "_MOST_BYTES", 0)
    kept = keep_samples(tmp_path / "run", parts)
    assert [each.part for each in kept] == ["test"] * 32 + ["train"] * 32
