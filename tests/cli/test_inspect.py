"""``boost-edge inspect``: a model, a run, a gallery, and anything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_model(shop: Path, call: Call) -> None:
    """A model shows its manifest, its identity and its size."""
    model = shop / "model.onnx"
    said = json.loads(call("inspect", model, "--json").stdout)
    assert set(said) == {"kind", "path", "sha256", "bytes", "manifest"}
    assert (said["kind"], said["path"]) == ("model", str(model))
    assert said["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert said["bytes"] == model.stat().st_size
    assert said["manifest"]["backbone"] == "pca"
    done = call("inspect", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert said["sha256"] in done.stdout
    settings = said["manifest"]["training"]["settings"]
    chosen = f"(width {settings['width']}, components {settings['components']}, contrast 0)"
    assert f"recipe boost {chosen}, seed 0, 65 train, 7 val, 8 test images" in done.stdout
    assert "bag, cap, dress" in done.stdout


def test_run(shop: Path, call: Call) -> None:
    """A run shows what was trained on what."""
    said = json.loads(call("inspect", shop / "run", "--json").stdout)
    assert set(said) == {"kind", "path", "record"}
    assert (said["kind"], said["path"]) == ("run", str(shop / "run"))
    assert said["record"]["training"]["images"] == {"train": 65, "val": 7, "test": 8}
    done = call("inspect", shop / "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "recipe boost (width " in done.stdout
    assert "65 train, 7 val, 8 test images" in done.stdout


def test_gallery(shop: Path, call: Call) -> None:
    """A gallery shows its images and the model that it belongs to, without opening that."""
    gallery, model = shop / "gallery", shop / "model.onnx"
    said = json.loads(call("inspect", gallery, "--json").stdout)
    assert set(said) == {
        "kind", "gallery", "format_version", "images", "dimensions", "model_sha256", "model_path",
        "generation", "bytes_on_disk", "deleted", "attributes", "vectors", "cache", "cache_newer",
    }  # fmt: skip
    assert (said["kind"], said["gallery"], said["images"]) == ("gallery", str(gallery), 80)
    assert said["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert said["model_path"] == str(model)
    assert said["attributes"] == ["type", "colour", "pattern", "sleeve", "background"]
    assert (said["deleted"], said["vectors"]) == (0, "i8")
    assert (said["cache"], said["cache_newer"]) == ("not needed", 0)
    assert said["bytes_on_disk"] == sum(each.stat().st_size for each in gallery.iterdir())
    done = call("inspect", gallery)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(model) in done.stdout
    assert "search cache  none needed, vectors i8" in done.stdout


def test_a_name_of_any_bytes(shop: Path, call: Call, tmp_path: Path) -> None:
    """A path that is no UTF-8 is shown escaped, and comes whole out of the JSON."""
    model = tmp_path / "a\udcff\nb.onnx"
    model.write_bytes((shop / "model.onnx").read_bytes())
    assert json.loads(call("inspect", model, "--json").stdout)["path"] == str(model)
    assert rf"{tmp_path}/a\udcff\nb.onnx" in call("inspect", model).stdout


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (2, "gone", "there is no gallery here, and no model or run either"),
        (2, "other", "is not a gallery"),
        (2, "empty", "there is no gallery here"),
        (4, "other/notes.txt", "is not an ONNX model, or a damaged one"),
        (4, "other/empty.onnx", "is not an ONNX model, or a damaged one"),
        (4, "run", "cannot be read"),
    ],
)
def test_anything_else(code: int, name: str, said: str, refused: Refused, tmp_path: Path) -> None:
    """What is none of the three is refused in one line that names it."""
    for folder in ("other", "empty", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "other" / "notes.txt").write_text("notes")
    (tmp_path / "other" / "empty.onnx").write_bytes(b"")
    (tmp_path / "run" / "train.json").write_text("{")
    line = refused(code, "inspect", tmp_path / name)
    assert line.startswith(str(tmp_path / name))
    assert said in line


def test_text_of_a_gallery_and_a_run_fits(
    shop: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables keep to 80 columns; facts such as a sha256 are never cut."""
    monkeypatch.setenv("COLUMNS", "80")
    text = call("inspect", shop / "model.onnx").stdout
    _, _, tables = text.partition("\n\n")
    assert tables
    assert max(len(line) for line in tables.splitlines()) <= 80
