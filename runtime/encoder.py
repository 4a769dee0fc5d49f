"""Turn images into embeddings and predicted attributes with one model file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import ModelFileError, UsageError
from boost_edge.runtime.images import load_image, resize_image
from boost_edge.runtime.manifest import Manifest
from boost_edge.runtime.model_file import (
    ATTRIBUTES,
    EMBEDDING,
    IMAGE,
    ModelFile,
    Optimisation,
    open_model,
    read_manifest,
)
from boost_edge.runtime.process_limits import available_threads

__all__ = [
    "DEFAULT_MIN_P",
    "Encoder",
    "Encoding",
    "ImageLike",
    "Prediction",
    "join_encodings",
    "read_manifest",
]

# An array is (H, W, 3) uint8 RGB.
ImageLike: TypeAlias = str | os.PathLike[str] | NDArray[np.uint8]

DEFAULT_MIN_P = 0.5
"""At least as likely right as wrong, for the probabilities are calibrated.

Where a right label is worth as much as a wrong one costs, and a blank is worth nothing, a label is
worth ``p - (1 - p)``, which is not negative from 0.5 on: the rule of C. K. Chow, "On optimum
recognition error and reject tradeoff" (1970), for a rejection that costs half of an error. Above
it, no other value can be as likely either.
"""
_DEFAULT_BATCH = 32
# A run or two of a ResNet cut after layer3, at 224 pixels, make up for the time that laying out its
# weights takes; of a whole one it takes several, of a small network dozens.
_FEW = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What the network says about N images.

    ``embeddings`` is ``(N, D) float32`` with rows of norm 1. ``attributes`` is
    ``(N, sum K_a) float32``, the posteriors of each attribute in the manifest's order, each
    summing to 1; ``None`` where the model has no head (readout ``raw``).
    """

    embeddings: NDArray[np.float32]
    attributes: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The likeliest value of one attribute and its posterior probability ``p`` in [0, 1]."""

    value: str
    p: float

    @property
    def is_likely(self) -> bool:
        """Whether the value is more likely right than wrong; otherwise nothing is known."""
        return self.p >= DEFAULT_MIN_P


class Encoder:
    """A model file, open for encoding; a context manager. Use `Encoder.open`.

    Calls from several threads are safe. It can be pickled: what travels is the path, the thread
    count and the file's sha256, and the receiving process opens the file again, for many images.
    """

    def __init__(self, model: ModelFile, *, threads: int) -> None:
        self._path = model.path
        self._sha256 = model.sha256
        self._manifest = model.manifest
        self._values = sum(len(attribute.values) for attribute in model.manifest.attributes)
        self._session: Any = model.session
        self._threads = threads

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        images: int | None = None,
    ) -> Encoder:
        """Open a model file.

        Parameters
        ----------
        path
            A file that ``boost-edge export`` wrote.
        threads
            Threads that compute one batch; by default one for each processor that this process
            may use, or as many as a container's limit keeps busy.
        images
            How many will be encoded, where that is known. A single one is done as soon or sooner,
            and in less memory, by a network that is not laid out for this processor first; what it
            says differs by rounding.

        Raises
        ------
        ModelFileError
            When the file is missing, damaged, not of boost-edge, or of an unknown format.
        UsageError
            When ``threads`` is less than 1.
        """
        if threads is None:
            threads = available_threads()
        if threads < 1:
            raise UsageError(f"threads is {threads}, but must be at least 1")
        few = images is not None and images <= _FEW
        optimisation: Optimisation = "operators" if few else "layout"
        opened = open_model(path, threads=threads, optimisation=optimisation)
        return cls(opened, threads=threads)

    @property
    def path(self) -> Path:
        """The model file, absolute."""
        return self._path

    @property
    def sha256(self) -> str:
        """The sha256 of the model file, in hexadecimal: the model's identity."""
        return self._sha256

    @property
    def manifest(self) -> Manifest:
        """What the model file says about itself."""
        return self._manifest

    @property
    def threads(self) -> int:
        """The number of threads that compute one batch."""
        return self._threads

    @property
    def dimensions(self) -> int:
        """The width D of an embedding."""
        return self._manifest.dimensions

    def encode(
        self, images: Iterable[ImageLike], *, batch_size: int = _DEFAULT_BATCH
    ) -> NDArray[np.float32]:
        """Return the embeddings ``(N, D) float32`` of N images; see `predict`."""
        return self.predict(images, batch_size=batch_size).embeddings

    def predict(self, images: Iterable[ImageLike], *, batch_size: int = _DEFAULT_BATCH) -> Encoding:
        """Return the embeddings and predicted attributes of N images.

        Parameters
        ----------
        images
            Paths and ``(H, W, 3) uint8`` RGB arrays, mixed as you like. They are read while
            earlier ones are encoded; at most four batches are held.
        batch_size
            Images given to the network at once, at least 1.

        Raises
        ------
        ImageError
            When an image cannot be read.
        UsageError
            When something is not an image, or the encoder is closed.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, but must be at least 1")
        if isinstance(images, str | bytes | os.PathLike):
            raise UsageError("images must be a list: to encode one image, give [image]")
        # Whoever encodes one image at a time needs no threads to read ahead.
        from boost_edge.runtime.prefetch import batched, prefetch
        from boost_edge.runtime.spread import Spread

        size = self.manifest.image.size
        parts = [self.run(np.empty((0, size, size, 3), np.uint8))]
        with closing(Spread(self)) as spread:
            loaded = prefetch(images, self.load, workers=spread.pool, ahead=batch_size)
            with closing(loaded):
                parts += spread.each(np.stack(batch) for batch in batched(loaded, batch_size))
        return join_encodings(parts)

    def load(self, image: ImageLike) -> NDArray[np.uint8]:
        """Return one image as the network takes it: ``(S, S, 3) uint8`` RGB.

        Raises
        ------
        ImageError
            When the file cannot be read.
        UsageError
            When it is neither a path nor a ``(H, W, 3) uint8`` array.
        """
        if isinstance(image, str | os.PathLike):
            return load_image(image, self.manifest.image)
        return resize_image(_check_array(image), self.manifest.image)

    def run(self, batch: NDArray[np.uint8]) -> Encoding:
        """Run the network on ``(N, S, S, 3) uint8`` RGB, ready resized; N may be 0.

        Raises
        ------
        UsageError
            When the batch has another shape or dtype, or the encoder is closed.
        ModelFileError
            When the network fails, or gives values that are not finite.
        """
        if self._session is None:
            raise UsageError(f"{self.path}: the encoder is closed: open it again")
        size = self.manifest.image.size
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != (size, size, 3):
            raise UsageError(
                f"a batch must be (N, {size}, {size}, 3) uint8, not {batch.shape} {batch.dtype}"
            )
        schema = self.manifest.attributes
        if not len(batch):
            # Not every operator takes an empty batch.
            return Encoding(
                embeddings=np.empty((0, self.dimensions), np.float32),
                attributes=np.empty((0, self._values), np.float32) if schema else None,
            )
        names = [EMBEDDING, ATTRIBUTES] if schema else [EMBEDDING]
        try:
            outputs = self._session.run(names, {IMAGE: np.ascontiguousarray(batch)})
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            said = " ".join(str(error).split())
            raise ModelFileError(
                f"{self.path}: the network failed on a batch of {len(batch)} images ({said})"
            ) from error
        arrays = [np.ascontiguousarray(output, np.float32) for output in outputs]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelFileError(
                f"{self.path}: the network gave values that are not finite: export it again"
            )
        return Encoding(embeddings=arrays[0], attributes=arrays[1] if schema else None)

    def describe(self, attributes_row: NDArray[np.float32]) -> dict[str, Prediction]:
        """Return the likeliest value of each attribute from one row ``(sum K_a,) float32``.

        Raises
        ------
        UsageError
            When the row has another length.
        """
        if attributes_row.shape != (self._values,):
            raise UsageError(
                f"a row of attributes has shape ({self._values},), not {attributes_row.shape}"
            )
        described: dict[str, Prediction] = {}
        start = 0
        for attribute in self._manifest.attributes:
            posterior = attributes_row[start : start + len(attribute.values)]
            best = int(posterior.argmax())
            described[attribute.name] = Prediction(
                value=attribute.values[best], p=float(posterior[best])
            )
            start += len(attribute.values)
        return described

    def close(self) -> None:
        """Let go of the network and its threads."""
        self._session = None

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, tuple[str, int, str]]:
        return _reopen, (os.fspath(self.path), self._threads, self.sha256)

    def __repr__(self) -> str:
        return f"Encoder.open({os.fspath(self.path)!r}, threads={self._threads})"


def join_encodings(parts: Sequence[Encoding]) -> Encoding:
    """Return one or more encodings by one model as one, in their order."""
    attributes = [part.attributes for part in parts if part.attributes is not None]
    return Encoding(
        embeddings=np.concatenate([part.embeddings for part in parts]),
        attributes=np.concatenate(attributes) if attributes else None,
    )


def _check_array(image: object) -> NDArray[np.uint8]:
    """Return an image given as an array, if it is ``(H, W, 3) uint8`` and not empty.

    Raises
    ------
    UsageError
        When it is anything else.
    """
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a path or an array, not {type(image).__name__}")
    array = cast("NDArray[Any]", image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UsageError(
            f"an image array must be (H, W, 3) uint8 RGB, not {array.shape} {array.dtype}"
        )
    return array


def _reopen(path: str, threads: int, sha256: str) -> Encoder:
    encoder = Encoder.open(path, threads=threads)
    if encoder.sha256 != sha256:
        raise ModelFileError(
            f"{path}: has changed since the encoder was pickled: open the new file instead"
        )
    return encoder
