"""``bench latency`` end to end at tiny sizes: all rows, all runtimes checked, no time judged."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boost_edge.bench import latency_rows as rows_module
from boost_edge.bench.latency import measure_latency
from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.bench.latency_plan import LatencyPlan
from boost_edge.bench.latency_runtimes import Infer, RuntimeAbsentError, open_runtime
from boost_edge.bench.latency_stages import STAGES
from boost_edge.bench.latency_systems import (
    Design,
    System,
    export_design,
    given_system,
    parse_design,
)
from boost_edge.bench.scenarios import Load
from boost_edge.export.onnx_file import save_model
from boost_edge.export.quantise import calibrate, quantise
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ParityError, UsageError

BOOSTED = "squeezenet1_1@features.4+boost"
RUNTIMES = ("onnxruntime", "torch", "openvino")


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> System:
    """Return a small vision transformer without a head, exported at 32 px."""
    folder = tmp_path_factory.mktemp("vit")
    design = parse_design("vit_tiny_patch16_224")
    return export_design(design, folder, image_size=32, seed=0)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small convolutional network in 8 bits."""
    folder = tmp_path_factory.mktemp("int8")
    design = Design(name="cut", backbone="squeezenet1_1", taps=("features.4",), boosted=False)
    system = export_design(design, folder, image_size=32, seed=0)
    images = np.stack([draw_photo(32, 32, seed=seed) for seed in range(16)])
    calibrated = calibrate(system.model, images, folder)
    model = quantise(calibrated, calibrated.layers, reduce_range=True)
    path = folder / "int8.onnx"
    save_model(model, dataclasses.replace(system.manifest, precision="int8"), path)
    return path


@pytest.fixture(scope="module")
def plan(transformer: System) -> LatencyPlan:
    """Return a plan of a few seconds: a system to make and a model file beside it."""
    return LatencyPlan(
        backbones=(BOOSTED,),
        models=(transformer.model,),
        runtimes=RUNTIMES,
        threads=(1, 2),
        batches=(1, 2),
        image_size=32,
        gallery_images=30,
        blocks=2,
        seconds=0.1,
        most=4,
        starts=1,
        load=Load(seconds=0.02, queries=3, batch=2, bound_ms=10_000.0, trials=2),
        photo=(96, 64),
        small=(40, 30),
    )


@pytest.fixture(scope="module")
def result(plan: LatencyPlan) -> dict[str, Any]:
    """Return the result of the plan, as it would be read from its file."""
    stages: set[str] = set()

    def note(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        stages.add(stage)

    measured = measure_latency(plan, progress=note)
    assert {"exporting", "timing batch 1", "timing batch 2"} <= stages
    read: dict[str, Any] = json.loads(json.dumps(measured))
    return read


def rows_of(result: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """Return the rows with these values."""
    return [
        row for row in result["rows"] if all(row[key] == value for key, value in wanted.items())
    ]


def test_every_row_is_there(result: dict[str, Any], plan: LatencyPlan) -> None:
    """Each system has its network in each runtime and each stage, with each number of threads."""
    for system in plan.names:
        for threads in (1, 2):
            [query] = rows_of(result, system=system, stage="query", threads=threads)
            assert query["batch"] == 1
            stages = {row["stage"] for row in rows_of(result, system=system, threads=threads)}
            assert stages >= set(STAGES)
            for runtime in RUNTIMES:
                where = {"system": system, "runtime": runtime, "threads": threads}
                assert len(rows_of(result, **where, stage="infer", batch=1)) == 1
                offline = rows_of(result, **where, stage="infer", batch=2)
                assert len(offline) == (threads == 2)
        [files] = rows_of(result, system=system, stage="encode-files")
        assert (files["threads"], files["batch"]) == (2, 2)


def test_figures_make_sense(result: dict[str, Any]) -> None:
    """Percentiles rise, throughput is images over time, and the reference's ratio is 1."""
    timed = [row for row in result["rows"] if "unavailable" not in row]
    for row in timed:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["images_per_second"] == pytest.approx(1e3 * row["batch"] / row["mean_ms"])
        assert 2 <= row["calls"] <= 4
        assert row["ratio"]["low"] <= row["ratio"]["estimate"] * (1 + 1e-9)
        if row["stage"] == "infer":
            assert row["min_cosine"] > 0.999
        assert row["times_cheaper"]["estimate"] == pytest.approx(1 / row["ratio"]["estimate"])
        assert row["times_cheaper"]["low"] == pytest.approx(1 / row["ratio"]["high"])
        if (row["system"], row["runtime"]) == (BOOSTED, "onnxruntime"):
            assert row["ratio"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    keys = [
        tuple(row[key] for key in ("system", "runtime", "threads", "stage", "batch"))
        for row in result["rows"]
    ]
    assert len(set(keys)) == len(keys)
    assert result["reference"] == {"system": BOOSTED, "runtime": "onnxruntime"}
    assert result["ratio_interval"] == "t"


def test_what_cannot_run_says_so(result: dict[str, Any]) -> None:
    """A model file holds no torch network: its rows have no time but a reason."""
    absent = [row for row in result["rows"] if "unavailable" in row]
    assert {(row["system"], row["runtime"]) for row in absent} == {("model.onnx", "torch")}
    assert {row["unavailable"] for row in absent} == {"a model file holds no torch network"}
    assert all("p50_ms" not in row for row in absent)


def test_systems_are_described(result: dict[str, Any], transformer: System) -> None:
    """Sizes, digests, memory in fresh processes and cold starts are those of the systems."""
    boosted, given = result["systems"]
    assert (boosted["backbone"], boosted["taps"]) == ("squeezenet1_1", ["features.4"])
    assert (boosted["readout"], boosted["dimensions"]) == ("attributes", 258)
    assert boosted["weights"] == given["weights"] == "none"
    for system in (boosted, given):
        assert (system["resize"], system["decode"]) == ("crop", "reduced")
    assert given["model_bytes"] == transformer.model.stat().st_size
    with Encoder.open(transformer.model, threads=1) as encoder:
        assert given["model_sha256"] == encoder.sha256
    for system in (boosted, given):
        peak = system["peak_memory_bytes"]
        assert 20e6 < peak["query"] < 4e9
        # torch alone takes more than all that a query needs.
    assert boosted["peak_memory_bytes"]["infer-torch"] > boosted["peak_memory_bytes"]["query"]
    assert "no torch network" in given["peak_memory_bytes"]["infer-torch"]
    assert set(result["cold_starts"]) == {
        "python", "python-imports", f"query {BOOSTED}", "query model.onnx",
    }  # fmt: skip


def test_scenarios_ran(result: dict[str, Any]) -> None:
    """Each system has its three scenarios, with the load generator's own verdict."""
    rows = result["scenarios"]
    assert len(rows) == 6
    assert {row["loadgen_says"] for row in rows} <= {"VALID", "INVALID"}
    assert {row["scenario"] for row in rows} == {"single-stream", "offline", "server"}


def test_disagreement_is_refused(
    plan: LatencyPlan, transformer: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that computes something else is not timed at all."""

    def wrong(runtime: str, system: System, *, threads: int, batch: int) -> Infer:
        infer = open_runtime(runtime, system, threads=threads, batch=batch)
        return (lambda images: infer(255 - images)[:, ::-1]) if runtime == "openvino" else infer

    monkeypatch.setattr(rows_module, "open_runtime", wrong)
    bad = LatencyPlan(
        backbones=(), models=(transformer.model,), runtimes=("onnxruntime", "openvino"),
        gallery_images=2, photo=plan.photo, small=plan.small,
    )  # fmt: skip
    with pytest.raises(ParityError, match="of openvino are not those of onnxruntime"):
        measure_latency(bad)


def test_torch_keeps_its_own_attention(transformer: System) -> None:
    """A transformer runs in torch with torch's kernels and gives the exported file's embeddings."""
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = open_runtime("torch", transformer, threads=1, batch=3)(images)
    with Encoder.open(transformer.model, threads=1) as encoder:
        np.testing.assert_allclose(found, encoder.run(images).embeddings, atol=1e-4)


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_compiled_torch_agrees(tmp_path: Path) -> None:
    """torch.compile gives the exported file's embeddings."""
    design = Design(name="cut", backbone="squeezenet1_1", taps=("features.4",), boosted=False)
    system = export_design(design, tmp_path, image_size=32, seed=0)
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    found = open_runtime("torch-compile", system, threads=1, batch=1)(images)
    with Encoder.open(system.model, threads=1) as encoder:
        np.testing.assert_allclose(found, encoder.run(images).embeddings, atol=1e-4)


def test_absent_runtimes_say_what_to_install(
    transformer: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library, or the compiler, the reason names what is missing."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeAbsentError, match=r"openvino is not .*'boost-edge\[bench\]'"):
        open_runtime("openvino", transformer, threads=1, batch=1)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeAbsentError, match=r"no C\+\+ compiler"):
        open_runtime("torch-compile", transformer, threads=1, batch=1)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeAbsentError, match=r"torch is not .*'boost-edge\[train\]'"):
        open_runtime("torch", transformer, threads=1, batch=1)


@pytest.mark.parametrize(
    ("text", "design"),
    [
        ("resnet18", Design(name="resnet18", backbone="resnet18", taps=None, boosted=False)),
        (
            "resnet18@layer4+layer3+boost",
            Design(
                name="resnet18@layer4+layer3+boost",
                backbone="resnet18",
                taps=("layer3", "layer4"),
                boosted=True,
            ),
        ),
    ],
)
def test_designs_are_read(text: str, design: Design) -> None:
    """A name, its taps and its head are told apart."""
    assert parse_design(text) == design


@pytest.mark.parametrize("text", ["resnet17", "pca", "+boost", "resnet18@layer9", ""])
def test_unknown_designs_are_refused(text: str) -> None:
    """What cannot be built with random weights is wrong usage."""
    with pytest.raises(UsageError):
        parse_design(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"backbones": ()},
        {"backbones": ("resnet18", "resnet18")},
        {"runtimes": ("tvm",)},
        {"runtimes": ()},
        {"scenarios": ("multi-stream",)},
        {"threads": (0,)},
        {"threads": (1, 1)},
        {"batches": (8,)},
        {"seconds": 0.0},
        {"blocks": 0},
        {"reference": "resnet50"},
    ],
)
def test_plans_that_make_no_sense(changes: dict[str, Any]) -> None:
    """Nothing is measured when the plan is wrong."""
    with pytest.raises(UsageError):
        LatencyPlan(**changes).check()


def test_given_models_are_named_by_their_file(transformer: System, tmp_path: Path) -> None:
    """A model file is a system of its own, without torch's network; its path tells two apart."""
    system = given_system(transformer.model)
    assert (system.name, system.run) == ("model.onnx", None)
    assert system.manifest == transformer.manifest
    files = (tmp_path / "a" / "x.onnx", tmp_path / "b" / "x.onnx", tmp_path / "y.onnx")
    names = LatencyPlan(backbones=(), models=files).names
    assert names == (str(files[0]), str(files[1]), "y.onnx")


def test_int8_stands_beside_float32(quantised: Path, transformer: System) -> None:
    """A file in 8 bits is a row of the same run; a runtime that rounds otherwise says so."""
    plan = LatencyPlan(
        backbones=(), models=(transformer.model, quantised), runtimes=("onnxruntime", "openvino"),
        batches=(1,), gallery_images=2, blocks=2, seconds=0.05, most=2, starts=0, scenarios=(),
        photo=(96, 64), small=(40, 30),
    )  # fmt: skip
    result = measure_latency(plan)
    assert [each["precision"] for each in result["systems"]] == ["fp32", "int8"]
    [ours] = rows_of(result, system="int8.onnx", runtime="onnxruntime", stage="infer")
    assert ours["times_cheaper"]["estimate"] > 0
    [other] = rows_of(result, system="int8.onnx", runtime="openvino", stage="infer")
    assert "in 8 bits are not those of" in other.get("unavailable", "") or (
        0.9 <= other["min_cosine"] <= 1.001
    )


def test_photos_are_seeded_and_cost_what_photos_cost() -> None:
    """Equal seeds draw equal pictures, and a megapixel compresses as photographs do."""
    photo = draw_photo(1152, 864, seed=3)
    assert photo.shape == (864, 1152, 3)
    assert np.array_equal(photo, draw_photo(1152, 864, seed=3))
    assert not np.array_equal(photo, draw_photo(1152, 864, seed=4))
    bits_per_pixel = 8 * len(encode_jpeg(photo)) / (1152 * 864)
    assert 1.0 < bits_per_pixel < 4.5
