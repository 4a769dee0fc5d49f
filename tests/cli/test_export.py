"""``boost-edge export``: what it prints, and what it does not export."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.bench.catalogue import draw_catalogue
from boost_edge.cli import main
from boost_edge.export import convert, gate
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


def test_new_models_decode_large_jpegs_in_part(shop: Path) -> None:
    """What is trained from now on says so in the run and in the model, which must not differ."""
    assert read_manifest(shop / "model.onnx").image.decode == "reduced"
    record = json.loads((shop / "run" / "train.json").read_text(encoding="utf-8"))
    assert record["image"]["decode"] == "reduced"


def test_json_holds_the_manifest(shop: Path, call: Call, tmp_path: Path) -> None:
    """The JSON is the file's own manifest, even under a name that is no UTF-8."""
    out = os.fsdecode(os.fsencode(tmp_path / "new") + b"\n\xff.onnx")
    done = call("export", shop / "run", "--out", out, "--readout", "raw", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert set(said) == {"model", "manifest"}
    assert said["model"] == out
    assert said["manifest"] == {
        **json.loads(read_manifest(out).to_json()),
        "quantisation": None,
    }


@pytest.fixture(scope="module")
def large(quick: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with enough held-out images to measure int8 on. Read only."""
    folder = tmp_path_factory.mktemp("large")
    draw_catalogue(folder / "garments", count=160, seed=0, size=32)
    garments = folder / "garments"
    arguments = ["--images", str(garments / "images"), "--out", str(folder / "run"), *quick]
    assert main.run(["train", str(garments / "labels.csv"), *arguments]) == 0
    return folder / "run"


def race_ends(monkeypatch: pytest.MonkeyPatch, fp32: float, int8: float) -> None:
    """Have float32 and 8 bits take these milliseconds."""

    def race(*_: object) -> tuple[float, ...]:
        return fp32, int8

    monkeypatch.setattr(gate, "race_models", race)


def test_fp16(large: Path, call: Call, tmp_path: Path) -> None:
    """The file says that it is fp16, is smaller, and is an encoder like any other."""
    out, whole = tmp_path / "fp16.onnx", tmp_path / "fp32.onnx"
    assert call("export", large, "--out", whole).returncode == 0
    done = call("export", large, "--out", out, "--precision", "fp16")
    assert (done.returncode, done.stderr) == (0, "")
    assert " MB, fp16, 16 px, " in done.stdout
    assert out.stat().st_size < 0.6 * whole.stat().st_size
    assert f"{out}, " in call("inspect", out).stdout
    assert read_manifest(out).precision == "fp16"


def test_int8(large: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes is written, and its figures are told now and by ``inspect``."""
    race_ends(monkeypatch, 3.0, 2.0)
    out = tmp_path / "int8.onnx"
    done = call("export", large, "--out", out, "--precision", "int8", "--max-loss", 90)
    assert (done.returncode, done.stderr) == (0, "")
    assert " MB, int8, 16 px, " in done.stdout
    found = read_manifest(out).quantisation
    assert found is not None
    told = f"-> {found.map10_int8:.1f} on 30 held-out images (95%: loses {found.loss_low:.2f} to"
    for text in (done.stdout, call("inspect", out).stdout):
        assert "3.00 -> 2.00 ms on one thread of " in text
        assert "1.50 times as fast as fp32" in text
        assert told in text
        assert "layers" in text
    said = json.loads(call("inspect", out, "--json").stdout)["manifest"]["quantisation"]
    assert said == dataclasses.asdict(found)


def test_int8_that_is_refused(
    large: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not faster is exit 5 with one line of figures; the file that was there stays."""
    race_ends(monkeypatch, 2.0, 2.5)
    out = tmp_path / "model.onnx"
    out.write_bytes(b"fp32")
    line = refused(5, "export", large, "--out", out, "--precision", "int8")
    assert line.startswith(f"{out}: not written: int8 is refused: all ")
    assert "2.00 -> 2.50 ms; it must be faster and lose at most 1 on 30 held-out images" in line
    assert line.endswith("use --precision fp16, or allow more with --max-loss")
    assert out.read_bytes() == b"fp32"


def test_int8_of_a_small_run(shop: Path, refused: Refused, tmp_path: Path) -> None:
    """Too few images to measure on are wrong usage; so is a limit below zero."""
    out = tmp_path / "model.onnx"
    line = refused(2, "export", shop / "run", "--out", out, "--precision", "int8")
    assert "keeps 15 held-out and 64 training images" in line
    line = refused(2, "export", shop / "run", "--out", out, "--max-loss", -1)
    assert "--max-loss" in line
    line = refused(2, "export", shop / "run", "--out", out, "--max-loss", "nan")
    assert "Invalid value for '--max-loss': 'nan' is not a finite number" in line
    assert not out.exists()


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
