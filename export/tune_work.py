"""The folder in which ``tune`` keeps what it has done, so that nothing is done twice.

::

    WORK/
      96px-layer3-w2048-1f6a0c2b9d3e/   one network; the end of the name is a digest of all that
        run/                            decides it: labels, images, weights, settings
        scores.json                     average precisions on the validation part, by readout
        probe-match.onnx                what the cost model was fitted to; not trained
        match.onnx                      exported, float32
        match-int8-loss1.onnx           what passed the gate for int8 ...
        match-int8-loss1.json           ... and its average precisions
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

import boost_edge
from boost_edge.export.artefacts import file_digest, writing
from boost_edge.export.candidates import Candidate, Network
from boost_edge.export.labels import LabelTable
from boost_edge.export.run import read_run, run_digest, run_of_weights
from boost_edge.export.splits import Split
from boost_edge.export.train import TrainSettings
from boost_edge.export.tune_settings import TuneSettings
from boost_edge.runtime.records import record_from_json, record_to_json

__all__ = [
    "Int8Trial",
    "Scores",
    "SkippedImage",
    "Work",
    "as_array",
    "as_tuple",
    "read_record",
    "write_record",
]

T = TypeVar("T")
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedImage:
    """An image that could not be read: as `boost_edge.runtime.errors.ImageError`."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Average precisions in [0, 1] of each validation image, by readout; ``None`` for no answer."""

    precisions: dict[str, tuple[float | None, ...]]
    skipped: tuple[SkippedImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Trial:
    """The same of one model in 8 bits that passed its gate."""

    precisions: tuple[float | None, ...]


class Work:
    """Names the files of a search; reads and writes the small ones.

    Parameters
    ----------
    folder
        Where they are.
    table, split, settings
        What all networks of the search have in common.
    """

    def __init__(
        self, folder: Path, table: LabelTable, split: Split, settings: TuneSettings
    ) -> None:
        self.folder = folder
        self._settings = settings
        rows: list[int] = np.concatenate([split.train, split.val]).tolist()
        self._common = [
            boost_edge.__version__,
            table.sha256,
            [attribute.name for attribute in table.attributes],
            _files_digest([table.paths[row] for row in rows]),
            _weights_digest(settings.base.weights),
        ]

    def network(self, network: Network) -> Path:
        """Return the folder of a network."""
        settings = self._settings.of(network)
        decides = [*self._common, _plain(settings)]
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{network.name}-{digest[:_DIGITS]}"

    def run(self, network: Network) -> Path:
        """Return the folder of its training run."""
        return self.network(network) / "run"

    def scores(self, network: Network) -> Path:
        """Return the file of its average precisions."""
        return self.network(network) / "scores.json"

    def probe(self, candidate: Candidate) -> Path:
        """Return the file that is timed before anything is trained."""
        return self.network(candidate.network) / f"probe-{candidate.readout}.onnx"

    def model(self, candidate: Candidate) -> Path:
        """Return the file to export a candidate to."""
        name: str = candidate.readout
        if candidate.precision == "int8":
            name += f"-int8-loss{self._settings.max_loss:g}"
        return self.network(candidate.network) / f"{name}.onnx"

    def trial(self, candidate: Candidate) -> Path:
        """Return the file of the average precisions of a model in 8 bits."""
        return self.model(candidate).with_suffix(".json")


def read_record(path: Path, kind: type[T]) -> T | None:
    """Return what was kept; ``None`` where it is absent or damaged, and to be found again."""
    try:
        return record_from_json(kind, json.loads(path.read_text(encoding="utf-8")), path.name)
    except (OSError, ValueError):
        return None


def write_record(path: Path, record: object) -> None:
    """Keep a record, atomically."""
    with writing(path) as temporary:
        # In ASCII, as paths need not be UTF-8.
        text = json.dumps(json.loads(record_to_json(record)))
        temporary.write_text(text + "\n", encoding="utf-8")


def as_tuple(precisions: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Return average precisions for JSON, which has no NaN."""
    return tuple(None if np.isnan(each) else float(each) for each in precisions)


def as_array(precisions: Sequence[float | None]) -> NDArray[np.float64]:
    """Return them as they were."""
    return np.array([np.nan if each is None else each for each in precisions], np.float64)


def _plain(settings: TrainSettings) -> dict[str, object]:
    plain = dataclasses.asdict(settings)
    # Their content counts, and is in the digest.
    del plain["weights"]
    return plain


def _weights_digest(weights: str) -> str:
    if (run := run_of_weights(weights)) is not None:
        read_run(run)
        return run_digest(run)
    path = Path(weights)
    return file_digest(path) if path.is_file() else weights


def _files_digest(paths: Sequence[Path]) -> str:
    """Return a digest of names, sizes and dates: what changes when an image is replaced."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
            said = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            said = "gone"
        digest.update(os.fsencode(path.absolute()) + f"\n{said}\n".encode())
    return digest.hexdigest()
