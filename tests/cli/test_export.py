"""``boost-edge export``: what it prints, and what it does not export."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.export import convert
from boost_edge.runtime.encoder import read_manifest
from boost_edge.runtime.manifest import Parity

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_text_says_what_to_type_next(
    shop: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names the file, its size and its parity; steps are no noise outside a terminal."""
    monkeypatch.chdir(tmp_path)
    done = call("export", shop / "run", "--out", "my model.onnx", "--readout", "raw")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("my model.onnx: 0.")
    assert "16 px, 64 dimensions (raw)" in done.stdout
    assert "parity with torch on 64 images: min cosine" in done.stdout
    assert done.stdout.endswith("next: boost-edge index PHOTOS --model 'my model.onnx'\n")
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_json_holds_the_manifest(shop: Path, call: Call, tmp_path: Path) -> None:
    """The JSON is the file's own manifest, even under a name that is no UTF-8."""
    out = os.fsdecode(os.fsencode(tmp_path / "new") + b"\n\xff.onnx")
    done = call("export", shop / "run", "--out", out, "--readout", "raw", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert set(said) == {"model", "manifest"}
    assert said["model"] == out
    assert said["manifest"] == json.loads(read_manifest(out).to_json())


def test_no_file_when_parity_fails(
    shop: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that differs from torch is exit 5, and leaves no file behind."""

    def differ(*_: object) -> Parity:
        return Parity(images=64, max_abs_difference=0.5, min_cosine=0.9, top10_overlap=0.8)

    monkeypatch.setattr(convert, "measure_parity", differ)
    out = tmp_path / "model.onnx"
    line = refused(5, "export", shop / "run", "--out", out, "--readout", "raw")
    assert line.startswith(f"{out}: not written: the exported graph differs from torch")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run(refused: Refused, tmp_path: Path) -> None:
    """Another folder is no run, and the line says how to make one."""
    line = refused(4, "export", tmp_path, "--out", tmp_path / "model.onnx")
    assert line.startswith(f"{tmp_path}: not a training run")
    assert "boost-edge train" in line


@pytest.mark.parametrize("name", ["train.json", "head.safetensors", "backbone.safetensors"])
def test_a_damaged_run(name: str, shop: Path, refused: Refused, tmp_path: Path) -> None:
    """A file of the run that is cut short, or gone, is an integrity error that names it."""
    run = tmp_path / "run"
    shutil.copytree(shop / "run", run)
    damaged = run / name
    damaged.write_bytes(damaged.read_bytes()[:-20])
    line = refused(4, "export", run, "--out", tmp_path / "model.onnx")
    assert line.startswith(f"{damaged}: ")
    damaged.unlink()
    assert str(run) in refused(4, "export", run, "--out", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_run_without_its_samples(shop: Path, refused: Refused, tmp_path: Path) -> None:
    """Without its sample images a run is incomplete: there is nothing to check parity on."""
    run = tmp_path / "run"
    shutil.copytree(shop / "run", run)
    shutil.rmtree(run / "samples")
    line = refused(4, "export", run, "--out", tmp_path / "model.onnx")
    assert line.startswith(f"{run / 'samples'}: missing")


def test_a_size_that_the_backbone_cannot_take(shop: Path, refused: Refused, tmp_path: Path) -> None:
    """PCA works at the size it was fitted at, and the line says so."""
    out = tmp_path / "model.onnx"
    line = refused(2, "export", shop / "run", "--out", out, "--image-size", 24)
    assert "pca was fitted at 16 px" in line


def test_a_file_that_cannot_be_written(shop: Path, refused: Refused, tmp_path: Path) -> None:
    """A place that cannot be written to is exit 1; a folder in its place is wrong usage."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "model.onnx"
    line = refused(1, "export", shop / "run", "--out", out, "--readout", "raw")
    assert line.startswith(f"{tmp_path / 'file'}: a file is in the way")


def test_a_folder_where_the_file_should_be(shop: Path, call: Call, tmp_path: Path) -> None:
    """``--out`` names a file: a folder is wrong usage."""
    done = call("export", shop / "run", "--out", tmp_path)
    assert done.returncode == 2
    assert "is a directory" in done.stderr
