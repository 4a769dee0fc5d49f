"""A tiny model file and small pictures, made on the spot."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.manifest import (
    FORMAT_VERSION,
    METADATA_KEY,
    Attribute,
    ImageSpec,
    Manifest,
    Weights,
)
from boost_edge.runtime.store import STORE_NAME

SIZE = 8
DIMENSIONS = 16
ATTRIBUTES = (
    Attribute(name="colour", values=("red", "green", "blue")),
    Attribute(name="light", values=("dark", "bright")),
)
BuildModel = Callable[..., Path]
WritePicture = Callable[..., Path]
FORMAT_1 = Path(__file__).with_name("format_1.sql")
META_OF_FORMAT_1 = ("gallery", "model_sha256", "model_path", "dimensions", "generation")


def tiny_manifest(**changes: Any) -> Manifest:
    """Describe the tiny model."""
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        created_with="boost-edge tests",
        backbone="tiny",
        taps=("last",),
        weights=Weights(name="none", source="seeded", sha256=None, licence=None),
        image=ImageSpec(size=SIZE, resize="squash"),
        features=SIZE * SIZE * 3,
        readout="hidden",
        dimensions=DIMENSIONS,
        attributes=ATTRIBUTES,
        training=None,
        run_sha256=None,
        precision="fp32",
        parity=None,
        quality=(),
    )
    return dataclasses.replace(manifest, **changes)


def tiny_graph(*, seed: int = 0, head: bool = True, batch: str | int = "N") -> onnx.ModelProto:
    """Make the graph: a random projection, and attributes that read the mean colour."""
    pixels = SIZE * SIZE * 3
    projection = np.random.default_rng(seed).normal(size=(pixels, DIMENSIONS)).astype(np.float32)
    light = np.array([[-20.0, 20.0]] * 3, np.float32) / 3
    constants = {
        "scale": np.float32(255),
        "shape": np.array([-1, pixels]),
        "axes": np.array([1, 2]),
        "projection": projection,
        # A black picture must not have a vector of length zero.
        "offset": np.full(DIMENSIONS, 0.1, np.float32),
        "sharpness": np.float32(20),
        "light": light,
        "threshold": np.array([10.0, -10.0], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["projected"]),
        helper.make_node("Add", ["projected", "offset"], ["moved"]),
        helper.make_node("LpNormalization", ["moved"], ["embedding"], axis=1, p=2),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, DIMENSIONS])]
    if head:
        nodes += [
            helper.make_node("ReduceMean", ["scaled", "axes"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "sharpness"], ["sharp"]),
            helper.make_node("Softmax", ["sharp"], ["colour"], axis=1),
            helper.make_node("MatMul", ["mean", "light"], ["lit"]),
            helper.make_node("Add", ["lit", "threshold"], ["thresholded"]),
            helper.make_node("Softmax", ["thresholded"], ["lightness"], axis=1),
            helper.make_node("Concat", ["colour", "lightness"], ["attributes"], axis=1),
        ]
        outputs.append(helper.make_tensor_value_info("attributes", TensorProto.FLOAT, [batch, 5]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, SIZE, SIZE, 3])
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="session")
def build_model() -> BuildModel:
    """Return a function that writes a tiny model file and returns its path.

    Its keywords: ``seed``, ``head``, ``batch`` for the graph; ``manifest`` (keywords of Manifest)
    or ``text`` (the metadata as it is, None for none at all) for its description.
    """

    def build(
        path: Path,
        *,
        manifest: dict[str, Any] | None = None,
        text: str | None = "",
        edit: Callable[[onnx.ModelProto], None] | None = None,
        **graph: Any,
    ) -> Path:
        model = tiny_graph(**graph)
        changes = {} if graph.get("head", True) else {"attributes": (), "readout": "raw"}
        described = text or tiny_manifest(**(changes | (manifest or {}))).to_json()
        if text is not None:
            helper.set_model_props(model, {METADATA_KEY: described})
        if edit is not None:
            edit(model)
        path.write_bytes(model.SerializeToString())
        return path

    return build


@pytest.fixture(scope="session")
def model_path(build_model: BuildModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model: uint8 (N, 8, 8, 3) -> embedding (N, 16), attributes (N, 3 + 2)."""
    return build_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="session")
def encoder(model_path: Path) -> Encoder:
    """Return the tiny model, opened."""
    return Encoder.open(model_path, threads=1)


@pytest.fixture(scope="session")
def write_picture() -> WritePicture:
    """Return a function that writes a small noisy PNG of one colour and returns its path."""

    def write(path: Path, colour: str = "red", seed: int = 0, edge: int = 20) -> Path:
        picture = np.random.default_rng(seed).integers(0, 60, (edge, edge + 4, 3), np.uint8)
        picture[..., ("red", "green", "blue").index(colour)] += 180
        encoded, data = cv2.imencode(".png", picture[..., ::-1])
        assert encoded
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
        return path

    return write


@pytest.fixture
def pictures(write_picture: WritePicture, tmp_path: Path) -> Path:
    """Return a folder of nine pictures: ``red/0.png`` to ``blue/2.png``."""
    folder = tmp_path / "pictures"
    for colour in ("red", "green", "blue"):
        for seed in range(3):
            write_picture(folder / colour / f"{seed}.png", colour, 10 * len(colour) + seed)
    return folder


@pytest.fixture
def gallery(tmp_path: Path, encoder: Encoder) -> Iterator[Gallery]:
    """Return a new, empty gallery of the tiny model."""
    with Gallery.open(tmp_path / "gallery", encoder) as opened:
        yield opened


def write_format_1(folder: Path) -> Path:
    """Write a closed gallery again as format 1 wrote it; return its database."""
    path = folder / STORE_NAME
    newer = path.rename(folder / "newer")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA page_size = 16384")
        database.executescript(FORMAT_1.read_text())
        database.execute("ATTACH ? AS newer", (os.fsencode(newer),))
        database.execute("INSERT INTO meta VALUES ('format_version', 1)")
        for key in META_OF_FORMAT_1:
            database.execute("INSERT INTO meta SELECT * FROM newer.meta WHERE key = ?", (key,))
        database.execute(
            "INSERT INTO images SELECT images.id, path, digest, size, mtime_ns, width, height, "
            "predicted, labels, state, generation, vector_key, vector FROM newer.images "
            "JOIN newer.embeddings ON embeddings.id = images.embedding"
        )
        database.execute("DETACH newer")
        database.execute("PRAGMA journal_mode = WAL")
    newer.unlink()
    return path


@pytest.fixture(scope="session")
def as_format_1() -> Callable[[Path], Path]:
    """Return a function that writes a closed gallery again as format 1 wrote it."""
    return write_format_1


class Disk:
    """A file system of its own of 8 MB, which can be made read-only: file modes do not stop root.

    ``path`` is where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def read_only(self) -> Generator[None, None, None]:
        """Let nothing write to it for a while."""
        mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            mount("-o", "remount,rw", str(self.path))

    @contextmanager
    def full(self, *, spare: int) -> Generator[None, None, None]:
        """Leave only so many bytes for a while."""
        ballast = self.path / "ballast"
        size = os.statvfs(self.path)
        ballast.write_bytes(bytes(max(0, size.f_bavail * size.f_bsize - spare)))
        try:
            yield
        finally:
            ballast.unlink()


def mount(*arguments: str) -> None:
    """Mount something, or skip and say why."""
    tool = shutil.which("mount")
    if tool is None or os.geteuid() != 0:
        pytest.skip("needs to mount a tmpfs, which takes root")
    done = subprocess.run([tool, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a small file system of its own, or skip and say why."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "none", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)
