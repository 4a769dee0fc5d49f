"""The exported file: complete, checked, and equal to torch for every backbone."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from boost_edge.export.artefacts import file_digest, read_tensors, write_tensors
from boost_edge.export.convert import export_model
from boost_edge.export.parity import LIMITS, top_overlap
from boost_edge.export.run import (
    BACKBONE_FILE,
    HEAD_FILE,
    load_backbone,
    load_head,
    read_run,
    sample_paths,
)
from boost_edge.export.train import TrainReport, TrainSettings, train
from boost_edge.models.backbones import BACKBONES
from boost_edge.models.fused import FusedEncoder, fold
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ParityError, RunError, UsageError
from boost_edge.runtime.images import load_image
from boost_edge.runtime.manifest import READOUTS, Manifest, Readout

# Small, so that all nine are quick; the operators are those of the full size.
SIZES = {"pca": 16, "vit_b_16": 32, "vit_tiny_patch16_224": 32}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_matches_torch(
    backbone: str, catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """All backbones train, export with random weights, and match torch in the runtime."""
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=tmp_path / "run",
        settings=dataclasses.replace(
            quick, backbone=backbone, weights="none", image_size=SIZES.get(backbone, 64)
        ),
        cache=tmp_path / "cache",
    )
    manifest = export_model(tmp_path / "run", tmp_path / "model.onnx")
    assert manifest.parity is not None
    assert manifest.parity.min_cosine >= LIMITS["fp32"].min_cosine
    with Encoder.open(tmp_path / "model.onnx") as encoder:
        assert encoder.manifest == manifest
        first, second = sample_paths(tmp_path / "run")[:2]
        # The batch is dynamic, and does not change what comes out.
        together = encoder.encode([first, second])
        apart = np.concatenate([encoder.encode([first]), encoder.encode([second])])
        np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize("readout", READOUTS)
def test_every_readout_is_torch_s(readout: Readout, run_folder: Path, tmp_path: Path) -> None:
    """One run exports with each readout, and the runtime's outputs are torch's."""
    manifest = export_model(run_folder, tmp_path / "model.onnx", readout=readout)
    record = read_run(run_folder)
    head = None if readout == "raw" else load_head(run_folder, record)
    network = FusedEncoder(load_backbone(run_folder, record), head, readout, blend=record.blend)
    paths = sample_paths(run_folder)
    pixels = np.stack([load_image(path, manifest.image) for path in paths])
    with torch.inference_mode():
        expected = [output.numpy() for output in network(torch.from_numpy(pixels))]
    with Encoder.open(tmp_path / "model.onnx") as encoder:
        actual = encoder.predict(paths)
    assert manifest.readout == readout
    assert actual.embeddings.shape == (len(paths), manifest.dimensions)
    np.testing.assert_allclose(actual.embeddings, expected[0], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(actual.embeddings, axis=1), 1.0, atol=1e-5)
    if readout == "raw":
        assert actual.attributes is None
        assert manifest.attributes == ()
    else:
        assert actual.attributes is not None
        np.testing.assert_allclose(actual.attributes, expected[1], atol=1e-4)


@pytest.mark.parametrize("width", [32, 3000])
def test_grid_and_components_match_torch(
    width: int, catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """A gridded tap exports as one graph, whether or not the first layer takes the components."""
    recipe = dataclasses.replace(quick.recipe, width=width, components=20)
    settings = dataclasses.replace(
        quick,
        backbone="resnet18",
        weights="none",
        taps=("layer2:4x4",),
        image_size=64,
        recipe=recipe,
        readout="match",
    )
    out = tmp_path / "run"
    cache = tmp_path / "cache"
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=out,
        settings=settings,
        cache=cache,
    )
    manifest = export_model(out, tmp_path / "model.onnx")
    assert manifest.taps == ("layer2:4x4",)
    assert manifest.features == 16 * 128
    assert manifest.dimensions == sum(len(each.values) for each in manifest.attributes) + 20
    assert manifest.parity is not None
    assert manifest.parity.min_cosine >= LIMITS["fp32"].min_cosine
    head = load_head(out, read_run(out))
    assert head is not None
    assert head.reduces == (width < 16 * 128)


def test_a_transformers_grid_is_in_the_graph(
    train_into: Callable[..., TrainReport], quick: TrainSettings, tmp_path: Path
) -> None:
    """Patches on a grid beside a class token export, and match torch in the runtime."""
    settings = dataclasses.replace(
        quick,
        backbone="vit_tiny_patch16_224",
        weights="none",
        taps=("encoder_layer_0:2x2", "encoder_layer_1"),
        image_size=64,
    )
    train_into(tmp_path / "run", settings)
    manifest = export_model(tmp_path / "run", tmp_path / "model.onnx")
    assert manifest.features == 4 * 192 + 192
    assert manifest.parity is not None
    assert manifest.parity.min_cosine >= LIMITS["fp32"].min_cosine


def _replace_head(
    run: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Give a run another head, and return its record."""
    write_tensors(run / HEAD_FILE, tensors, metadata)
    record: dict[str, Any] = json.loads((run / "train.json").read_text(encoding="utf-8"))
    record["head_sha256"] = file_digest(run / HEAD_FILE)
    (run / "train.json").write_text(json.dumps(record), encoding="utf-8")
    return record


def test_runs_from_before_the_components_export(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """A head file without components, importances and so on is read as it always was."""
    recipe = dataclasses.replace(quick.recipe, components=None, importance="equal")
    run, old = tmp_path / "run", tmp_path / "old"
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=run,
        settings=dataclasses.replace(quick, recipe=recipe),
        cache=tmp_path / "cache",
    )
    shutil.copytree(run, old)
    tensors, metadata = read_tensors(old / HEAD_FILE)
    assert {"combinations", "importance", "typical"} == {
        name for name in tensors if "." not in name
    } - {
        "mean",
        "std",
        "temperature",
    }
    # Nor does the run that it is compared with know what is typical.
    del tensors["typical"]
    _replace_head(run, tensors, metadata)
    # Nor does anything read the second head that some had.
    tensors["together.shown"] = torch.ones(3)
    del tensors["combinations"], tensors["importance"]
    record = _replace_head(old, tensors, metadata)
    for name in ("components", "importance"):
        del record["training"]["settings"][name]
    (old / "train.json").write_text(json.dumps(record), encoding="utf-8")
    export_model(old, tmp_path / "old.onnx")
    export_model(run, tmp_path / "new.onnx")
    paths = sample_paths(run)
    with Encoder.open(tmp_path / "old.onnx") as one, Encoder.open(tmp_path / "new.onnx") as other:
        np.testing.assert_array_equal(one.encode(paths), other.encode(paths))
    with pytest.raises(UsageError, match=r"together needs two combinations.*train again"):
        export_model(old, tmp_path / "together.onnx", readout="together")
    assert not (tmp_path / "together.onnx").exists()
    # Without components, the look is the features themselves.
    manifest = export_model(old, tmp_path / "match.onnx", readout="match")
    assert manifest.dimensions == manifest.features + sum(
        len(a.values) for a in manifest.attributes
    )


def test_a_file_is_in_doubt_about_something_else(run_folder: Path, tmp_path: Path) -> None:
    """Of a pattern no value is likely, of the catalogue's own images most are as likely as ever."""
    pattern = tmp_path / "pattern.png"
    cells = np.random.default_rng(0).integers(0, 2, (8, 8, 3), np.uint8)
    pixels = np.kron(255 * cells, np.ones((8, 8, 1), np.uint8))
    pattern.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    files = [pattern, *sample_paths(run_folder)]
    manifest = export_model(run_folder, tmp_path / "model.onnx")
    with Encoder.open(tmp_path / "model.onnx") as encoder:
        found = encoder.predict(files)
    assert found.attributes is not None
    # The same head, had nobody told it what is typical.
    record = read_run(run_folder)
    head = load_head(run_folder, record)
    assert head is not None
    assert head.typical is not None
    head.typical = None
    images = torch.from_numpy(np.stack([load_image(path, manifest.image) for path in files]))
    sure = FusedEncoder(load_backbone(run_folder, record), head, manifest.readout)
    embeddings, posteriors = (each.detach().numpy() for each in sure(images))
    ends = np.cumsum([len(each.values) for each in manifest.attributes])[:-1]
    before, after = (
        np.stack([part.max(axis=1) for part in np.split(each, ends, axis=1)], axis=1)
        for each in (posteriors, found.attributes)
    )
    even = np.array([1 / len(each.values) for each in manifest.attributes])
    assert (before[0] - even).max() > 0.1
    assert bool((after[0] - even <= 0.1 * (before[0] - even)).all())
    unchanged = np.abs(after[1:] - before[1:]).max(axis=1) < 1e-4
    assert unchanged.mean() >= 0.75
    np.testing.assert_allclose(found.embeddings, embeddings, atol=1e-5)


def test_file_is_complete_alone(run_folder: Path, tmp_path: Path) -> None:
    """One file, valid, with a manifest, a dynamic batch, and nothing of the training left."""
    folder = tmp_path / "out"
    export_model(run_folder, folder / "model.onnx")
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (entry,) = model.graph.input
    assert entry.name == "image"
    shape = entry.type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [each.dim_value for each in shape[1:]] == [16, 16, 3]
    assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [output.name for output in model.graph.output] == ["embedding", "attributes"]
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Dropout", "BatchNormalization", "Identity"}
    assert str(Path(__file__).parent).encode() not in (folder / "model.onnx").read_bytes()
    (entry,) = model.metadata_props
    manifest = Manifest.from_json(entry.value, source="model.onnx")
    assert json.loads(entry.value) == json.loads(manifest.to_json())


def test_no_file_when_parity_fails(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that does not compute what was trained leaves no file, and an old one untouched."""
    from boost_edge.export import convert

    def wrong(network: FusedEncoder) -> FusedEncoder:
        folded = fold(network)
        with torch.no_grad():
            assert folded.head is not None
            folded.head.hidden.bias.normal_(0.0, 5.0)
        return folded

    monkeypatch.setattr(convert, "fold", wrong)
    out = tmp_path / "model.onnx"
    out.write_bytes(b"an older model")
    with pytest.raises(ParityError, match=r"model\.onnx: not written"):
        export_model(run_folder, out, readout="hidden")
    assert out.read_bytes() == b"an older model"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_run_without_head_has_one_readout(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """A raw run exports raw, and says what is missing for anything else."""
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=tmp_path / "raw",
        settings=dataclasses.replace(quick, readout="raw"),
        cache=tmp_path / "cache",
    )
    assert export_model(tmp_path / "raw", tmp_path / "model.onnx").readout == "raw"
    with pytest.raises(UsageError, match="has no head"):
        export_model(tmp_path / "raw", tmp_path / "model.onnx", readout="hidden")


def test_size_that_does_not_suit_is_refused(run_folder: Path, tmp_path: Path) -> None:
    """A backbone tied to its size says so."""
    with pytest.raises(UsageError, match="fitted at 16 px"):
        export_model(run_folder, tmp_path / "model.onnx", image_size=32)


def test_tensors_of_another_run_are_refused(run_folder: Path, tmp_path: Path) -> None:
    """A head that is not the run's own is noticed before anything is converted."""
    shutil.copytree(run_folder, tmp_path / "run")
    write_tensors(tmp_path / "run" / HEAD_FILE, {"weight": torch.zeros(3)}, {})
    with pytest.raises(RunError, match="not the file that this run wrote"):
        export_model(tmp_path / "run", tmp_path / "model.onnx")
    (tmp_path / "run" / BACKBONE_FILE).unlink()
    with pytest.raises(RunError, match="missing"):
        export_model(tmp_path / "run", tmp_path / "model.onnx")


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows of norm 1."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / norms, dtype=np.float32)


def test_overlap_counts_neighbours() -> None:
    """The overlap is 1 for equal embeddings, what a loop counts otherwise, and kind to ties."""
    generator = np.random.default_rng(0)
    expected = unit(generator.normal(size=(40, 5)))
    actual = unit(expected + generator.normal(scale=0.2, size=(40, 5)))
    shared = 0
    for row in range(40):
        others = [other for other in range(40) if other != row]
        best = [
            set(sorted(others, key=lambda other: -float(each[row] @ each[other]))[:10])
            for each in (expected, actual)
        ]
        shared += len(best[0] & best[1])
    assert top_overlap(expected, expected, k=10) == 1.0
    assert top_overlap(expected, actual, k=10) == pytest.approx(shared / 400)
    same = np.repeat(expected[:1], 40, axis=0)
    assert top_overlap(same, same[::-1].copy(), k=10) == 1.0
