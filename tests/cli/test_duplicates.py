"""``boost-edge duplicates``: exact copies and near ones, none of which needs the model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def twice(catalogue: Path, shop: Path, call: Call, tmp_path: Path) -> Path:
    """Return a gallery of five images, two of them copies of a third; and a model of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        shutil.copy(catalogue / "images" / f"0000{number}.jpg", folder)
    for name in ("copy.jpg", "new\nline.jpg"):
        shutil.copy(folder / "00000.jpg", folder / name)
    model = shutil.copy(shop / "model.onnx", tmp_path / "model.onnx")
    assert call("index", folder, "--model", model, "--gallery", tmp_path / "g").returncode == 0
    return tmp_path


def test_exact_copies_are_listed(twice: Path, call: Call) -> None:
    """Copies are listed under the first, with odd names escaped; the model may be gone."""
    (twice / "model.onnx").unlink()
    done = call("duplicates", "--gallery", twice / "g")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "exact copies:\n"
        f"  {twice}/photos/00000.jpg\n"
        f"  {twice}/photos/copy.jpg\n"
        f"  {twice}/photos/new\\nline.jpg\n"
        f"{twice}/g: 2 exact copies of 1 image\n"
    )


def test_near_ones_are_apart(twice: Path, call: Call) -> None:
    """In the JSON near groups stand beside the exact ones and name each content once.

    The model may be gone.
    """
    (twice / "model.onnx").unlink()
    done = call("duplicates", "--gallery", twice / "g", "--near", 0.01, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert set(said) == {"gallery", "exact", "threshold", "near"}
    photos = twice / "photos"
    assert said["exact"] == [
        [str(photos / name) for name in ("00000.jpg", "copy.jpg", "new\nline.jpg")]
    ]
    assert said["near"] == [[str(photos / f"0000{number}.jpg") for number in range(3)]]
    text = call("duplicates", "--gallery", twice / "g", "--near", 0.01).stdout
    assert "nearly the same (cosine 0.01 or more):" in text
    assert text.endswith("2 exact copies of 1 image; 1 group of 3 images nearly the same\n")


def test_without_near_the_json_says_nothing_of_it(twice: Path, call: Call) -> None:
    """What was not asked for is not in the JSON."""
    said = json.loads(call("duplicates", "--gallery", twice / "g", "--json").stdout)
    assert set(said) == {"gallery", "exact"}


def test_what_cannot_be_searched(twice: Path, refused: Refused) -> None:
    """No gallery and a cosine out of range are told in one line."""
    assert "no gallery" in refused(2, "duplicates", "--gallery", twice / "absent")
    assert "'--near': 1.5" in refused(2, "duplicates", "--gallery", twice / "g", "--near", 1.5)
    assert "no gallery" in refused(2, "duplicates", "--gallery", twice / "absent", "--near", 0.9)
