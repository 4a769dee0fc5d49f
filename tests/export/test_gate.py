"""The gate for models in 8 bits: what passes, what is refused, and what stays in float32.

Times are given, as a test cannot rely on them; all else is quantised and measured in earnest.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from boost_edge.bench.catalogue import draw_catalogue
from boost_edge.export import gate
from boost_edge.export.artefacts import file_digest, read_tensors, write_tensors
from boost_edge.export.convert import export_model
from boost_edge.export.run import BACKBONE_FILE, RECORD_FILE, read_run, sample_paths
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.cpu_features import Processor
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import GateError, RunError, UsageError

VNNI = Processor(name="new", family="x86", instructions=("avx2", "avx512_vnni"))
PLAIN = Processor(name="old", family="x86", instructions=("avx2",))


@pytest.fixture(scope="module")
def fire(quick: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of SqueezeNet with enough held-out images for the gate. Read only."""
    folder = tmp_path_factory.mktemp("gate")
    draw_catalogue(folder / "garments", count=160, seed=0, size=64)
    settings = dataclasses.replace(
        quick,
        backbone="squeezenet1_1",
        weights="none",
        taps=("features.7",),
        image_size=64,
        readout="hidden",
        recipe=dataclasses.replace(quick.recipe, epochs=30),
    )
    train(
        folder / "garments" / "labels.csv",
        images=folder / "garments" / "images",
        out=folder / "run",
        settings=settings,
        cache=folder / "cache",
    )
    return folder / "run"


def times(monkeypatch: pytest.MonkeyPatch, *milliseconds: tuple[float, float]) -> None:
    """Have the races end with these times of float32 and 8 bits, one after another."""
    left = list(milliseconds)

    def race(models: Sequence[Path], image: NDArray[np.uint8]) -> tuple[float, ...]:
        assert len(models) == 2
        assert image.shape == (64, 64, 3)
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(gate, "race_models", race)


def on(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gate see another processor."""
    monkeypatch.setattr(gate, "read_processor", lambda: processor)


def weights_of(path: Path) -> dict[str, onnx.TensorProto]:
    """Return a model's weights by name."""
    return {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}


def test_a_model_that_passes(fire: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is small, computes in 8 bits, says so, and finds nearly as well."""
    times(monkeypatch, (4.0, 2.0))
    on(PLAIN, monkeypatch)
    export_model(fire, tmp_path / "fp32.onnx")
    out = tmp_path / "int8.onnx"
    manifest = export_model(fire, out, precision="int8", max_loss=10)
    found = manifest.quantisation
    assert found is not None
    assert (manifest.precision, found.layers, found.fp32_layers) == ("int8", 13, 0)
    assert (found.fp32_ms, found.int8_ms, found.processor) == (4.0, 2.0, "old")
    assert (found.images, found.calibration_images, found.max_loss) == (30, 64, 10)
    assert found.loss_low <= found.map10_fp32 - found.map10_int8 <= found.loss_high <= 10
    assert out.stat().st_size < 0.45 * (tmp_path / "fp32.onnx").stat().st_size
    with Encoder.open(out) as encoder, Encoder.open(tmp_path / "fp32.onnx") as whole:
        assert encoder.manifest == manifest
        paths = sample_paths(fire)
        cosines = (encoder.encode(paths) * whole.encode(paths)).sum(axis=1)
        assert cosines.mean() > 0.75
        assert manifest.parity is not None
        assert manifest.parity.min_cosine == pytest.approx(cosines[:64].min(), abs=1e-3)
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    made = {each: node.op_type for node in model.graph.node for each in node.output}
    for node in model.graph.node:
        kinds = {made.get(each) for each in node.input[:2]}
        assert node.op_type != "Conv" or kinds == {"DequantizeLinear"}
        assert node.op_type != "Gemm" or "DequantizeLinear" not in kinds


@pytest.mark.parametrize(("processor", "most"), [(PLAIN, 64), (VNNI, 127)])
def test_seven_bits_without_vnni(
    processor: Processor,
    most: int,
    fire: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights keep to 7 bits where sums would saturate, each channel with a scale of its own."""
    times(monkeypatch, (4.0, 2.0))
    on(processor, monkeypatch)
    manifest = export_model(fire, tmp_path / "int8.onnx", precision="int8", max_loss=50)
    assert manifest.quantisation is not None
    assert manifest.quantisation.reduce_range == (processor is PLAIN)
    weights = weights_of(tmp_path / "int8.onnx")
    quantised = [name for name, each in weights.items() if each.data_type == TensorProto.INT8]
    largest = 0
    for name in quantised:
        values = numpy_helper.to_array(weights[name])
        if values.ndim == 4:
            largest = max(largest, int(np.abs(values.astype(int)).max()))
            scale = numpy_helper.to_array(weights[name.replace("_quantized", "_scale")])
            assert scale.shape == values.shape[:1]
    assert largest in (most - 1, most)


def test_slower_is_refused(fire: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not faster is not written: the file that is there stays, with all its bytes."""
    times(monkeypatch, (2.0, 2.0))
    out = tmp_path / "model.onnx"
    out.write_bytes(b"the model in fp32")
    with pytest.raises(GateError) as refusal:
        export_model(fire, out, precision="int8", max_loss=50)
    said = str(refusal.value)
    assert said.startswith(f"{out}: not written: int8 is refused: all 13 layers in 8 bits: mAP@10 ")
    assert "2.00 -> 2.00 ms" in said
    assert "in fp32" not in said
    assert "\n" not in said
    assert out.read_bytes() == b"the model in fp32"
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


def test_too_much_loss_is_refused(
    fire: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More layers go to float32 until that is no longer faster, and both ends are told."""
    times(monkeypatch, (4.0, 2.0), (4.0, 3.0), (4.0, 4.0))
    with pytest.raises(GateError) as refusal:
        export_model(fire, tmp_path / "model.onnx", precision="int8", max_loss=-100)
    said = str(refusal.value)
    assert "all 13 layers in 8 bits: mAP@10" in said
    assert "with 2 of them in fp32: mAP@10" in said
    assert "4.00 -> 4.00 ms; it must be faster and lose at most -100 on 30 held-out" in said
    assert list(tmp_path.iterdir()) == []


def spoil(run: Path, copy: Path) -> None:
    """Copy a run, with one channel between its first layers a thousand times as large.

    The second layer takes it back, so that nothing changes but in 8 bits, where all channels of the
    map share one scale.
    """
    shutil.copytree(run, copy)
    tensors, metadata = read_tensors(copy / BACKBONE_FILE)
    tensors["stages.0.0.weight"][:1] *= 1000
    tensors["stages.0.0.bias"][:1] *= 1000
    tensors["stages.0.3.squeeze.weight"][:, :1] /= 1000
    write_tensors(copy / BACKBONE_FILE, tensors, metadata)
    record = json.loads((copy / RECORD_FILE).read_text(encoding="utf-8"))
    record["backbone_sha256"] = file_digest(copy / BACKBONE_FILE)
    (copy / RECORD_FILE).write_text(json.dumps(record), encoding="utf-8")


def test_sensitive_layers_stay_in_fp32(
    fire: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that 8 bits ruin are found and left out, and then the model passes."""
    times(monkeypatch, (4.0, 2.0))
    spoil(fire, tmp_path / "run")
    limit = 4.0
    out = tmp_path / "model.onnx"
    assert export_model(fire, out, precision="int8", max_loss=limit).quantisation is not None
    manifest = export_model(tmp_path / "run", out, precision="int8", max_loss=limit)
    found = manifest.quantisation
    assert found is not None
    assert found.fp32_layers in (1, 2)
    assert found.loss_high <= limit
    convolutions = [node for node in onnx.load(out).graph.node if node.op_type == "Conv"]
    kept = [node for node in convolutions if not node.input[1].endswith("DequantizeLinear_Output")]
    assert len(kept) == found.fp32_layers
    assert set(map(id, kept)) <= set(map(id, convolutions[:2]))


def test_a_run_without_labels(fire: Path, tmp_path: Path) -> None:
    """A run of an earlier version loads, and exports all but int8, which says what to do."""
    run = tmp_path / "run"
    shutil.copytree(fire, run)
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    del record["samples"]
    (run / RECORD_FILE).write_text(json.dumps(record), encoding="utf-8")
    assert read_run(run).samples == ()
    export_model(run, tmp_path / "model.onnx")
    with pytest.raises(UsageError, match=r"kept no labels .* train again"):
        export_model(run, tmp_path / "int8.onnx", precision="int8")


def test_too_few_images(run_folder: Path, tmp_path: Path) -> None:
    """A run with few held-out images says how many it has: with a refit those of the test part."""
    with pytest.raises(UsageError, match="keeps 15 held-out and 64 training images"):
        export_model(run_folder, tmp_path / "int8.onnx", precision="int8")
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    assert record["training"]["images"]["test"] == 8
    record["training"]["settings"]["refit"] = True
    (run / RECORD_FILE).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UsageError, match="keeps 8 held-out and 64 training images"):
        export_model(run, tmp_path / "int8.onnx", precision="int8")


def test_a_damaged_sample(fire: Path, tmp_path: Path) -> None:
    """A sample that is gone is named."""
    run = tmp_path / "run"
    shutil.copytree(fire, run)
    last = sample_paths(run)[-1]
    last.unlink()
    with pytest.raises(RunError, match=rf"{last.name}.*train again"):
        export_model(run, tmp_path / "int8.onnx", precision="int8")
