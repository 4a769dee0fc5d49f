"""Open a model file: its identity, its manifest, and a session that agrees with the manifest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import onnxruntime

from boost_edge.runtime.errors import ModelFileError
from boost_edge.runtime.manifest import METADATA_KEY, Manifest

__all__ = [
    "ATTRIBUTES",
    "EMBEDDING",
    "IMAGE",
    "ModelFile",
    "Optimisation",
    "open_model",
    "read_manifest",
    "start_session",
]

IMAGE = "image"
EMBEDDING = "embedding"
ATTRIBUTES = "attributes"

Optimisation = Literal["none", "operators", "layout"]
"""What onnxruntime changes before it runs a graph: nothing, which operators there are, or also how
their weights lie in memory. The last is the fastest to run; it takes the longest to get ready, and
several times the memory of the weights while it does.
"""

# An ONNX file is one protobuf message, which cannot be larger.
_MAX_BYTES = 2**31 - 1
# Where an open file has a name of its own, whatever becomes of its path; on Linux.
_OPEN_FILES = Path("/proc/self/fd")
_CHUNK = 1 << 20
# Fatal only: whatever goes wrong is raised, and said once.
_LOG_SEVERITY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model that was opened and checked.

    ``path`` is absolute, ``sha256`` is of the file's bytes in hexadecimal, ``session`` is an
    ``onnxruntime.InferenceSession``.
    """

    path: Path
    sha256: str
    manifest: Manifest
    session: Any


def open_model(
    path: str | os.PathLike[str], *, threads: int, optimisation: Optimisation = "layout"
) -> ModelFile:
    """Open a model file and check its manifest against its graph.

    Parameters
    ----------
    path
        The file; it is opened once, so that what is hashed is what runs, also where it is replaced
        meanwhile.
    threads
        Threads that compute one batch, at least 1.
    optimisation
        See `Optimisation`; a reader of the manifest alone needs none.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, not ONNX, not of boost-edge, of a format that this
        version cannot read, when it is written to meanwhile, or when its manifest and its graph
        disagree.
    """
    source = os.fspath(path)
    with _opened(source) as handle:
        before = os.fstat(handle)
        # hashlib and onnxruntime both let other threads run meanwhile.
        hashing = _Hashing(handle)
        hashing.start()
        try:
            session = start_session(
                _readable(handle), source, threads=threads, optimisation=optimisation
            )
        finally:
            hashing.join()
        if hashing.error is not None:
            raise hashing.error
        after = os.fstat(handle)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelFileError(f"{source}: was written to while it was read: try again")
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{source}: is an ONNX model, but has no boost-edge manifest: "
            "give a file that boost-edge export wrote"
        )
    manifest = Manifest.from_json(text, source=source)
    _check_graph(session, manifest, source)
    return ModelFile(
        path=Path(source).absolute(),
        sha256=hashing.hashed.hexdigest(),
        manifest=manifest,
        session=session,
    )


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of a model file, checked against its graph, without an encoder.

    Raises
    ------
    ModelFileError
        As `open_model`.
    """
    return open_model(path, threads=1, optimisation="none").manifest


@contextmanager
def _opened(source: str) -> Generator[int]:
    """Open the file, without waiting on what is not a regular file."""
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ModelFileError(f"{source}: no such model file: check the path") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{source}: cannot be read: {error}") from error
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise ModelFileError(f"{source}: is a folder: give a model file")
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{source}: is not a regular file: give a model file")
        if status.st_size > _MAX_BYTES:
            raise ModelFileError(f"{source}: is larger than an ONNX file can be (2 GiB)")
        yield handle
    except OSError as error:
        raise ModelFileError(f"{source}: cannot be read: {error}") from error
    finally:
        os.close(handle)


def _pieces(handle: int) -> Generator[bytes]:
    """Read an open file from its start, wherever others read it."""
    start = 0
    while piece := os.pread(handle, _CHUNK, start):
        start += len(piece)
        yield piece


class _Hashing(Thread):
    """Compute the sha256 of an open file; ``error`` says why that was not possible."""

    def __init__(self, handle: int) -> None:
        super().__init__(name="boost-edge-hash")
        self.hashed = hashlib.sha256()
        self.error: Exception | None = None
        self._handle = handle

    def run(self) -> None:
        """Read the file to its end."""
        try:
            for piece in _pieces(self._handle):
                self.hashed.update(piece)
        except Exception as error:  # whatever it is: half a digest would be taken for the file's
            self.error = error


def _readable(handle: int) -> str | bytes:
    """Return what onnxruntime reads an open file by: its name, else its bytes.

    By its name it reads it piece by piece; the bytes would be in memory once more than need be.
    """
    name = os.fspath(_OPEN_FILES / str(handle))
    return name if os.access(name, os.R_OK) else b"".join(_pieces(handle))


def start_session(
    model: bytes | str, source: str, *, threads: int, optimisation: Optimisation = "layout"
) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a graph, with the settings that serve.

    Parameters
    ----------
    model, source
        The bytes or the path of an ONNX file, and what to call it in errors.
    threads, optimisation
        As of `open_model`.

    Raises
    ------
    ModelFileError
        When onnxruntime cannot run it.
    """
    runtime: Any = onnxruntime
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_SEVERITY
    # Idle threads that spin would take the processor from the threads that decode images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = {
        "none": levels.ORT_DISABLE_ALL,
        "operators": levels.ORT_ENABLE_EXTENDED,
        "layout": levels.ORT_ENABLE_ALL,
    }[optimisation]
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        said = " ".join(str(error).split())
        if isinstance(model, str):
            said = said.replace(model, source)
        raise ModelFileError(
            f"{source}: is not an ONNX model, or a damaged one: export it again ({said})"
        ) from error
    # It keeps the file's bytes to start over with other providers, which never happens here.
    session._model_bytes = None
    return session


def _check_graph(session: Any, manifest: Manifest, source: str) -> None:
    """Raise unless the graph's inputs and outputs are those that the manifest promises."""
    size = manifest.image.size
    values = sum(len(attribute.values) for attribute in manifest.attributes)
    promised = {IMAGE: ("tensor(uint8)", [size, size, 3])}
    outputs = {EMBEDDING: ("tensor(float)", [manifest.dimensions])}
    if manifest.attributes:
        outputs[ATTRIBUTES] = ("tensor(float)", [values])
    for what, nodes, expected in (
        ("inputs", session.get_inputs(), promised),
        ("outputs", session.get_outputs(), outputs),
    ):
        # A fixed first axis would refuse every batch of another size.
        found = {
            node.name: (node.type, list(node.shape[1:]))
            for node in nodes
            if not isinstance(node.shape[0] if node.shape else 0, int)
        }
        if found != expected or len(nodes) != len(expected):
            has = ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)
            wants = ", ".join(
                f"{name} {kind} [N, {str(shape)[1:]}" for name, (kind, shape) in expected.items()
            )
            raise ModelFileError(
                f"{source}: its manifest and its graph disagree: the graph's {what} are {has}; "
                f"the manifest says {wants}: export the model again"
            )
