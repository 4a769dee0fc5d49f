"""Train one network of a search, and see how well it finds validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boost_edge.export.features import extract_features
from boost_edge.export.labels import LabelTable
from boost_edge.export.retrieval import average_precisions
from boost_edge.export.run import is_complete, load_backbone, load_head, read_run
from boost_edge.export.train import TrainSettings, train_on
from boost_edge.export.tune_work import (
    Scores,
    SkippedImage,
    as_tuple,
    read_record,
    write_record,
)
from boost_edge.models.fused import FusedEncoder
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Readout
from boost_edge.runtime.progress import Progress

__all__ = [
    "check_validation",
    "encode_and_score",
    "is_tried",
    "try_network",
    "validation_paths",
]

# As for the gate of int8: fewer say nothing about a point of mAP.
_FEWEST_IMAGES = 20


def check_validation(table: LabelTable, images: int) -> None:
    """Refuse to compare candidates on too few validation images.

    Raises
    ------
    UsageError
        When there are fewer ``images`` than 20.
    """
    if images < _FEWEST_IMAGES:
        raise UsageError(
            f"{table.path}: only {images} images are held out for validation, but candidates "
            f"are compared on at least {_FEWEST_IMAGES}: use more images, or mark more of them as "
            "val in a column split"
        )


def is_tried(run: Path, kept: Path, readouts: Sequence[Readout]) -> bool:
    """Tell whether `try_network` has nothing left to do."""
    before = read_record(kept, Scores)
    return before is not None and is_complete(run) and set(readouts) <= set(before.precisions)


def try_network(
    run: Path,
    kept: Path,
    table: LabelTable,
    settings: TrainSettings,
    readouts: Sequence[Readout],
    *,
    cache: Path | None,
    progress: Progress,
) -> Scores:
    """Train one network, unless it is trained already, and return its average precisions.

    Parameters
    ----------
    run
        The folder of its run.
    kept
        The file that keeps the result.
    readouts
        What to read out of it; the file may hold others of an earlier search too.

    Raises
    ------
    BoostEdgeError
        As `boost_edge.export.train.train`.
    UsageError
        When there are too few validation images that have anything to find.
    """
    before = read_record(kept, Scores)
    if before is not None and is_tried(run, kept, readouts):
        return before
    skipped = () if before is None else before.skipped
    if not is_complete(run):
        report = train_on(table, out=run, settings=settings, cache=cache, progress=progress)
        skipped = tuple(
            SkippedImage(path=error.path, reason=error.reason, detail=error.detail)
            for error in report.skipped
        )
    found = _score(run, table, readouts, cache)
    scores = Scores(
        precisions={name: as_tuple(each) for name, each in found.items()}, skipped=skipped
    )
    write_record(kept, scores)
    return scores


def validation_paths(run: Path, table: LabelTable) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the readable validation images of a run, and their codes ``(n, A) int64``.

    Raises
    ------
    UsageError
        When they are too few to measure with.
    """
    place = {name: row for row, name in enumerate(table.names)}
    rows = [place[name] for name in read_run(run).parts["val"]]
    check_validation(table, len(rows))
    return [table.paths[row] for row in rows], table.codes[rows]


def encode_and_score(
    model: Path, paths: Sequence[Path], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the average precisions of a model file on images, as the runtime encodes them."""
    with Encoder.open(model) as encoder:
        return average_precisions(encoder.encode(paths), codes)


def _score(
    run: Path, table: LabelTable, readouts: Sequence[Readout], cache: Path | None
) -> dict[str, NDArray[np.float64]]:
    record = read_run(run)
    paths, codes = validation_paths(run, table)
    backbone, head = load_backbone(run, record), load_head(run, record)
    # In the cache since the training.
    features = extract_features(backbone, paths, resize=record.image.resize, cache=cache).matrix
    found: dict[str, NDArray[np.float64]] = {}
    for readout in readouts:
        encoder = FusedEncoder(
            backbone, None if readout == "raw" else head, readout, blend=record.blend
        )
        embeddings = _embed(encoder, torch.from_numpy(features))
        found[readout] = average_precisions(embeddings, codes)
    if all(np.isnan(each).all() for each in found.values()):
        raise UsageError(
            f"{table.path}: no two validation images have a label in common, so nothing can be "
            "compared: use more images, or other --attributes"
        )
    return found


def _embed(encoder: FusedEncoder, features: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        if encoder.head is None:
            return torch.nn.functional.normalize(features, dim=1).numpy()
        embeddings, _ = encoder.read(features)
        return embeddings.numpy()
