"""Open a model file: its identity, its manifest, and a session that agrees with the manifest."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import onnxruntime

from boost_edge.runtime.errors import ModelFileError
from boost_edge.runtime.manifest import METADATA_KEY, Manifest

__all__ = [
    "ATTRIBUTES",
    "EMBEDDING",
    "IMAGE",
    "ModelFile",
    "open_model",
    "read_manifest",
    "start_session",
]

IMAGE = "image"
EMBEDDING = "embedding"
ATTRIBUTES = "attributes"

# An ONNX file is one protobuf message, which cannot be larger.
_MAX_BYTES = 2**31 - 1
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


def open_model(path: str | os.PathLike[str], *, threads: int, optimise: bool = True) -> ModelFile:
    """Open a model file and check its manifest against its graph.

    Parameters
    ----------
    path
        The file; it is read once, so that what is hashed is what runs.
    threads
        Threads that compute one batch, at least 1.
    optimise
        Whether to optimise the graph, which a reader of the manifest alone does not need.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, not ONNX, not of boost-edge, of a format that this
        version cannot read, or when its manifest and its graph disagree.
    """
    source = os.fspath(path)
    data = _read(source)
    # hashlib and onnxruntime both let other threads run meanwhile.
    hashed = hashlib.sha256()
    hashing = Thread(target=hashed.update, args=(data,), name="boost-edge-hash")
    hashing.start()
    try:
        session = start_session(data, source, threads=threads, optimise=optimise)
    finally:
        hashing.join()
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
        sha256=hashed.hexdigest(),
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
    return open_model(path, threads=1, optimise=False).manifest


def _read(source: str) -> bytes:
    """Return the file's bytes, without waiting on what is not a regular file."""
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError(f"{source}: is not a regular file: give a model file")
            if status.st_size > _MAX_BYTES:
                raise ModelFileError(f"{source}: is larger than an ONNX file can be (2 GiB)")
            return file.read()
    except FileNotFoundError as error:
        raise ModelFileError(f"{source}: no such model file: check the path") from error
    except IsADirectoryError as error:
        raise ModelFileError(f"{source}: is a folder: give a model file") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{source}: cannot be read: {error}") from error


def start_session(data: bytes, source: str, *, threads: int, optimise: bool = True) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a graph, with the settings that serve.

    Parameters
    ----------
    data, source
        The bytes of an ONNX file, and what to call it in errors.
    threads, optimise
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
    if not optimise:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        said = " ".join(str(error).split())
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
