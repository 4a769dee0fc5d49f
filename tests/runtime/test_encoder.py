"""The encoder: one model file in, embeddings and predicted attributes out."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests.drawn_model import DRAWN

from boost_edge.runtime import model_file
from boost_edge.runtime.encoder import Encoder, Prediction, read_manifest
from boost_edge.runtime.errors import ImageError, ModelFileError, UsageError
from boost_edge.runtime.images import load_image
from boost_edge.runtime.manifest import METADATA_KEY, ImageSpec
from boost_edge.runtime.process_limits import available_threads

BuildModel = Callable[..., Path]


def naive_embedding(model: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the tiny model's embedding of one resized image in numpy, in double precision."""
    graph = onnx.load_from_string(model.read_bytes()).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    moved = pixels.reshape(-1) / 255 @ constants["projection"].astype(float) + constants["offset"]
    return np.asarray(moved / np.sqrt((moved**2).sum()))


def optimisation_of(encoder: Encoder) -> object:
    """Return how far onnxruntime changes the graph of an encoder."""
    session = encoder._session  # pyright: ignore[reportPrivateUsage]
    return session.get_session_options().graph_optimization_level


def test_embeddings_are_those_of_the_graph(encoder: Encoder, pictures: Path) -> None:
    """Each image's embedding is the graph's output for that image, in order, with norm 1."""
    paths = sorted(pictures.rglob("*.png"))
    embeddings = encoder.encode(paths, batch_size=4)
    spec = encoder.manifest.image
    expected = [naive_embedding(encoder.path, load_image(path, spec)) for path in paths]
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_outputs_are_contiguous_float32(encoder: Encoder, pictures: Path) -> None:
    """Outputs have the promised shape, dtype and memory layout."""
    encoding = encoder.predict(pictures.rglob("*.png"))
    assert encoding.attributes is not None
    for array, width in ((encoding.embeddings, 16), (encoding.attributes, 5)):
        assert array.shape == (9, width)
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


@pytest.mark.parametrize("images", [0, 1])
def test_one_image_is_not_prepared_for(images: int) -> None:
    """For a single image no weights are laid out anew; what is said of them stays the same."""
    pixels = np.random.default_rng(images).integers(0, 256, (2, 50, 70, 3), np.uint8)
    with Encoder.open(DRAWN, images=images) as one, Encoder.open(DRAWN) as many:
        assert optimisation_of(one) == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        assert optimisation_of(many) == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        found, expected = one.predict(pixels), many.predict(pixels)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-5)
    assert found.attributes is not None
    assert expected.attributes is not None
    np.testing.assert_allclose(found.attributes, expected.attributes, atol=1e-4)


def test_many_images_are_prepared_for() -> None:
    """For more images the network is made as fast as it can be."""
    with Encoder.open(DRAWN, images=2) as encoder:
        assert optimisation_of(encoder) == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL


@pytest.mark.parametrize("batch_size", [1, 2, 9, 32])
def test_batch_size_does_not_matter(encoder: Encoder, pictures: Path, batch_size: int) -> None:
    """The same images give the same embeddings however they are batched."""
    paths = sorted(pictures.rglob("*.png"))
    expected = np.concatenate([encoder.encode([path]) for path in paths])
    np.testing.assert_allclose(encoder.encode(paths, batch_size=batch_size), expected, atol=1e-6)


def test_no_images_give_empty_outputs(encoder: Encoder) -> None:
    """Zero images are no error; the widths are right."""
    encoding = encoder.predict([])
    assert encoding.embeddings.shape == (0, 16)
    assert encoding.attributes is not None
    assert encoding.attributes.shape == (0, 5)
    assert encoder.encode([]).dtype == np.float32


def test_arrays_and_paths_mix(encoder: Encoder, pictures: Path) -> None:
    """A path and the array of its pixels are encoded alike, in one call, in order."""
    first, second = sorted(pictures.rglob("*.png"))[:2]
    array = load_image(second, encoder.manifest.image)
    mixed = encoder.encode([first, array, str(second)])
    np.testing.assert_array_equal(mixed[1], mixed[2])
    np.testing.assert_allclose(mixed[0], encoder.encode([first])[0], atol=1e-6)
    assert not np.allclose(mixed[0], mixed[1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        7,
        None,
    ],
)
def test_what_is_no_image_is_a_usage_error(encoder: Encoder, image: Any) -> None:
    """An array of another shape or dtype, and anything that is not an image, is refused."""
    with pytest.raises(UsageError, match="image"):
        encoder.encode([image])


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 9, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.int8),
    ],
)
def test_run_checks_its_batch(encoder: Encoder, batch: Any) -> None:
    """A batch that the network does not take is refused before it gets there."""
    with pytest.raises(UsageError, match=r"batch must be \(N, 8, 8, 3\) uint8"):
        encoder.run(batch)


def test_one_path_instead_of_a_list_is_refused(encoder: Encoder, pictures: Path) -> None:
    """A path given alone is not read as a list of letters."""
    with pytest.raises(UsageError, match=r"give \[image\]"):
        encoder.encode(str(pictures / "red" / "0.png"))


def test_counts_below_one_are_refused(encoder: Encoder) -> None:
    """Zero threads or images at a time make no sense."""
    with pytest.raises(UsageError, match="threads is 0"):
        Encoder.open(encoder.path, threads=0)
    with pytest.raises(UsageError, match="batch_size is 0"):
        encoder.encode([], batch_size=0)


def test_an_unreadable_image_raises_its_own_error(encoder: Encoder, pictures: Path) -> None:
    """An image that cannot be read raises ImageError with its path."""
    good = pictures / "red" / "0.png"
    bad = pictures / "bad.png"
    bad.write_bytes(good.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"bad\.png"):
        encoder.encode([good, bad, good])


def test_describe_names_the_likeliest_values(encoder: Encoder, pictures: Path) -> None:
    """Predictions are the argmax of each attribute with its posterior."""
    encoding = encoder.predict([pictures / "blue" / "0.png"])
    assert encoding.attributes is not None
    row = encoding.attributes[0]
    assert encoder.describe(row) == {
        "colour": Prediction(value="blue", p=float(row[:3].max())),
        "light": Prediction(value="dark", p=float(row[3:].max())),
    }
    np.testing.assert_allclose([row[:3].sum(), row[3:].sum()], 1, atol=1e-6)
    with pytest.raises(UsageError, match=r"shape \(5,\)"):
        encoder.describe(row[:4])


def test_a_model_without_head_has_no_attributes(
    build_model: BuildModel, pictures: Path, tmp_path: Path
) -> None:
    """The readout raw gives embeddings alone."""
    with Encoder.open(build_model(tmp_path / "raw.onnx", head=False), threads=1) as encoder:
        encoding = encoder.predict([pictures / "red" / "0.png"])
        assert encoding.attributes is None
        assert encoding.embeddings.shape == (1, 16)
        assert encoder.predict([]).attributes is None


def test_identity_is_the_sha256_of_the_file(encoder: Encoder, model_path: Path) -> None:
    """The encoder says which file it is, and what the file says about itself."""
    assert encoder.sha256 == hashlib.sha256(model_path.read_bytes()).hexdigest()
    assert encoder.path == model_path
    assert encoder.dimensions == encoder.manifest.dimensions == 16
    assert read_manifest(model_path) == encoder.manifest


def test_pickling_travels_by_path(encoder: Encoder, pictures: Path) -> None:
    """An unpickled encoder has the same settings and outputs; the pickle is no model."""
    data = pickle.dumps(encoder)
    assert len(data) < 1000
    with pickle.loads(data) as copy:  # noqa: S301 - our own bytes
        assert (copy.path, copy.threads, copy.sha256) == (encoder.path, 1, encoder.sha256)
        paths = sorted(pictures.rglob("*.png"))
        np.testing.assert_array_equal(copy.encode(paths), encoder.encode(paths))


def test_unpickling_notices_another_model(build_model: BuildModel, tmp_path: Path) -> None:
    """A file that was replaced since is not taken for the same model."""
    with Encoder.open(build_model(tmp_path / "model.onnx"), threads=1) as encoder:
        data = pickle.dumps(encoder)
    build_model(tmp_path / "model.onnx", seed=1)
    with pytest.raises(ModelFileError, match="has changed"):
        pickle.loads(data)  # noqa: S301 - our own bytes


def test_a_closed_encoder_says_so(model_path: Path, pictures: Path) -> None:
    """After the with block encoding is a usage error, not a crash."""
    with Encoder.open(model_path, threads=1) as encoder:
        pass
    with pytest.raises(UsageError, match="closed"):
        encoder.encode([pictures / "red" / "0.png"])


def test_threads_may_share_an_encoder(encoder: Encoder, pictures: Path) -> None:
    """Calls from several threads at once give what calls in turn give."""
    paths = sorted(pictures.rglob("*.png"))
    expected = encoder.encode(paths)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(encoder.encode, [paths] * 16):
            np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_thread_count_is_honoured(model_path: Path, threads: int) -> None:
    """Computing with n threads means the caller and n - 1 others, and nothing else starts."""
    script = (
        "import os, sys\n"
        "from boost_edge import Encoder\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count()\n"
        "encoder = Encoder.open(sys.argv[1], threads=int(sys.argv[2]))\n"
        "print(count() - before, encoder.threads)\n"
    )
    command = [sys.executable, "-c", script, os.fspath(model_path), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(threads - 1), str(threads)]
    assert done.stderr == ""


def test_by_default_all_processors_are_used(model_path: Path) -> None:
    """The default is the number of processors that the process may use."""
    with Encoder.open(model_path) as encoder:
        assert encoder.threads == available_threads()


def drop_output(model: onnx.ModelProto) -> None:
    """Take the attributes away."""
    del model.graph.output[1]


def rename_input(model: onnx.ModelProto) -> None:
    """Call the input something else."""
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"


def break_operator(model: onnx.ModelProto) -> None:
    """Use an operator that does not exist."""
    model.graph.node[1].op_type = "Nonsense"


def fail_when_run(model: onnx.ModelProto) -> None:
    """Make a graph that loads, but reads rows that no batch has: its pixels as row numbers."""
    del model.graph.node[-1]
    make = onnx.helper.make_node
    axes = onnx.numpy_helper.from_array(np.array([1, 2, 3]), "all but rows")
    model.graph.initializer.append(axes)
    model.graph.node.extend(
        [
            make("ReduceMax", ["float", "all but rows"], ["brightest"], keepdims=0),
            make("Cast", ["brightest"], ["row"], to=onnx.TensorProto.INT64),
            make("Gather", ["lightness", "row"], ["misread"], axis=0),
            make("Concat", ["colour", "misread"], ["attributes"], axis=1),
        ]
    )


def give_nan(model: onnx.ModelProto) -> None:
    """Make every embedding NaN."""
    set_constant(model, "offset", np.full(16, np.nan, np.float32))


def set_constant(model: onnx.ModelProto, name: str, value: NDArray[Any]) -> None:
    """Replace one of the graph's constants."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))


def absent(_build: BuildModel, _path: Path) -> None:
    """Do not write the file at all."""


def write(data: bytes) -> Callable[[BuildModel, Path], object]:
    """Return a fault: a file with these bytes."""
    return lambda _, path: path.write_bytes(data)


def cut(share: float) -> Callable[[BuildModel, Path], object]:
    """Return a fault: the first part of a model file."""

    def fault(build: BuildModel, path: Path) -> None:
        data = build(path).read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return fault


def built(**keywords: Any) -> Callable[[BuildModel, Path], object]:
    """Return a fault: a whole ONNX file that is not what it should be."""
    return lambda build, path: build(path, **keywords)


NOT_ONNX = "is not an ONNX model, or a damaged one"
DISAGREE = "its manifest and its graph disagree"
FAULTS: dict[str, tuple[Callable[[BuildModel, Path], object], str]] = {
    "missing": (absent, "no such model file"),
    "folder": (lambda _, path: path.mkdir(), "is a folder"),
    "fifo": (lambda _, path: os.mkfifo(path), "is not a regular file"),
    "empty": (write(b""), NOT_ONNX),
    "text": (write(b"this is not a model\n" * 50), NOT_ONNX),
    "zeros": (write(bytes(4096)), NOT_ONNX),
    "picture": (write(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), NOT_ONNX),
    "half": (cut(0.5), NOT_ONNX),
    "end cut off": (cut(0.999), NOT_ONNX),
    "unknown operator": (built(edit=break_operator), NOT_ONNX),
    "no manifest": (built(text=None), "has no boost-edge manifest"),
    "manifest is prose": (built(text="prose"), "is not JSON"),
    "manifest is a list": (built(text="[]"), "format None is not known"),
    "unknown format": (built(text='{"format_version": 99}'), "format 99 is not known"),
    "unknown key": (built(text='{"format_version": 1, "a": 2}'), "its manifest is damaged"),
    "other width": (built(manifest={"dimensions": 17}), DISAGREE),
    "other image size": (built(manifest={"image": ImageSpec(size=9, resize="crop")}), DISAGREE),
    "other attributes": (built(manifest={"attributes": ()}), DISAGREE),
    "attributes missing": (built(edit=drop_output), DISAGREE),
    "input renamed": (built(edit=rename_input), DISAGREE),
    "fixed batch": (built(batch=1), DISAGREE),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_model_file_is_one_clear_line(
    build_model: BuildModel, tmp_path: Path, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    """Whatever is wrong with the file: ModelFileError, one line that names it, nothing printed."""
    make, message = FAULTS[fault]
    path = tmp_path / "model.onnx"
    make(build_model, path)
    for attempt in (Encoder.open, read_manifest):
        with pytest.raises(ModelFileError, match=message) as caught:
            attempt(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def meanwhile(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Have something done to a model file while it is being opened."""
    start = model_file.start_session

    def started(*arguments: Any, **keywords: Any) -> Any:
        what()
        return start(*arguments, **keywords)

    monkeypatch.setattr(model_file, "start_session", started)


def test_a_model_replaced_while_it_is_opened_is_the_one_that_was_opened(
    build_model: BuildModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is hashed is what runs, though another file has its name by now."""
    path, other = build_model(tmp_path / "model.onnx"), tmp_path / "other.onnx"
    data = path.read_bytes()
    build_model(other, manifest={"dimensions": 17})
    meanwhile(monkeypatch, lambda: other.replace(path))
    opened = model_file.open_model(path, threads=1)
    assert opened.sha256 == hashlib.sha256(data).hexdigest()
    assert opened.manifest.dimensions == 16


def test_a_model_written_to_while_it_is_opened_is_refused(
    build_model: BuildModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what was hashed, and what runs."""
    path = build_model(tmp_path / "model.onnx")

    def write_on() -> None:
        with path.open("ab") as file:
            file.write(b"\x12\x00")

    meanwhile(monkeypatch, write_on)
    with pytest.raises(ModelFileError, match="was written to while it was read"):
        model_file.open_model(path, threads=1)


def test_a_model_that_cannot_be_hashed_is_refused(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails while the file is hashed: no digest of a part is taken for the whole."""

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(ModelFileError, match="cannot be read"):
        model_file.open_model(model_path, threads=1)


def test_where_open_files_have_no_names_the_bytes_are_read(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model is the same on a system without /proc."""
    named = model_file.open_model(model_path, threads=1)
    monkeypatch.setattr(model_file, "_OPEN_FILES", tmp_path / "nowhere")
    read = model_file.open_model(model_path, threads=1)
    assert (read.sha256, read.manifest) == (named.sha256, named.manifest)
    image = np.full((1, 8, 8, 3), 90, np.uint8)
    one, other = (each.session.run(["embedding"], {"image": image})[0] for each in (named, read))
    np.testing.assert_array_equal(one, other)
    assert read.sha256 == hashlib.sha256(model_path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("edit", "message"), [(fail_when_run, "network failed"), (give_nan, "not finite")]
)
def test_a_network_that_fails_is_one_clear_line(
    build_model: BuildModel,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    edit: Callable[[onnx.ModelProto], None],
    message: str,
) -> None:
    """A graph that fails while it runs, or gives NaN, is the model file's fault; quiet too."""
    path = build_model(tmp_path / "model.onnx", edit=edit)
    with Encoder.open(path, threads=1) as encoder, pytest.raises(ModelFileError) as caught:
        encoder.encode([np.full((8, 8, 3), 200, np.uint8)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_manifest_travels_in_the_metadata(model_path: Path) -> None:
    """The file is plain ONNX: any reader finds the manifest under its key."""
    properties = {
        each.key: each.value
        for each in onnx.load_from_string(model_path.read_bytes()).metadata_props
    }
    assert properties[METADATA_KEY] == read_manifest(model_path).to_json()
