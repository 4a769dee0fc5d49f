"""Export the candidates of a search that are worth it, through the same checks as ever."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from boost_edge.export.artefacts import writing
from boost_edge.export.calibrate import judge_posteriors
from boost_edge.export.convert import export_model
from boost_edge.export.features import extract_features
from boost_edge.export.labels import LabelTable
from boost_edge.export.onnx_file import save_model
from boost_edge.export.parts import Encoded, Part, images_digest, make_parts
from boost_edge.export.retrieval import average_precisions
from boost_edge.export.run import load_backbone, load_head, read_run
from boost_edge.export.splits import Split
from boost_edge.export.tune_report import Row, TestPart
from boost_edge.export.tune_trial import encode_and_score, validation_paths
from boost_edge.export.tune_work import Int8Trial, Work, as_tuple, read_record, write_record
from boost_edge.runtime.bootstrap import bootstrap_mean
from boost_edge.runtime.encoder import Encoder, read_manifest
from boost_edge.runtime.errors import GateError, ImageError, ParityError, UsageError
from boost_edge.runtime.labelling import split_posteriors
from boost_edge.runtime.manifest import Attribute

__all__ = ["export_row", "try_int8", "write_chosen"]


def export_row(row: Row, work: Work, begin: Callable[[str], None]) -> Row:
    """Return the row with its exported file in float32, made unless it is there.

    What does not reproduce torch becomes a refused row.
    """
    path = work.model(row.candidate)
    if not path.is_file():
        begin(f"exporting {row.candidate.name}")
        try:
            export_model(work.run(row.candidate.network), path, readout=row.candidate.readout)
        except ParityError as error:
            return replace(row, status="refused", reason=_reason(error, path))
    return _made(row, path)


def try_int8(
    row: Row, work: Work, table: LabelTable, *, max_loss: float, begin: Callable[[str], None]
) -> tuple[Row, tuple[float | None, ...]]:
    """Return the row of the same candidate in 8 bits, and its average precisions on validation.

    The images of the gate are those that the run keeps, which in a search are validation images. A
    model that the gate refuses is a refused row, with the gate's reason, and has no precisions; it
    is tried again by another search, as it may have been slow by chance.
    """
    candidate = replace(row.candidate, precision="int8")
    path, kept = work.model(candidate), work.trial(candidate)
    run = work.run(candidate.network)
    made = Row(candidate=candidate, status="planned", dimensions=row.dimensions, cost=row.cost)
    trial = read_record(kept, Int8Trial) if path.is_file() else None
    if trial is None:
        begin(f"trying int8: {row.candidate.name}")
        try:
            export_model(
                run, path, readout=row.candidate.readout, precision="int8", max_loss=max_loss
            )
        except (GateError, UsageError) as error:
            return replace(made, status="refused", reason=_reason(error, path)), ()
        paths, codes = validation_paths(run, table)
        trial = Int8Trial(precisions=as_tuple(encode_and_score(path, paths, codes)))
        write_record(kept, trial)
    return _made(made, path), trial.precisions


def _made(row: Row, path: Path) -> Row:
    """Say of a row what its model file has; before, its width was that of an untrained head."""
    return replace(
        row,
        model=path,
        model_bytes=path.stat().st_size,
        dimensions=read_manifest(path).dimensions,
    )


def write_chosen(
    row: Row, out: Path, work: Work, table: LabelTable, split: Split, cache: Path | None
) -> tuple[TestPart | None, tuple[ImageError, ...]]:
    """Write the chosen model to its place, with its quality on the test part.

    These images are read here for the first time: nothing was chosen by them. What cannot be read
    of the table is returned too.

    Raises
    ------
    BoostEdgeError
        When the file cannot be written.
    """
    if row.model is None:
        raise ValueError(f"{row.candidate.name} was not exported")
    run = work.run(row.candidate.network)
    if not len(split.test):
        with writing(out) as temporary:
            shutil.copyfile(row.model, temporary)
        return None, ()
    schema, by_name, skipped = _all_parts(run, table, split, cache)
    test = by_name["test"]
    with writing(out) as temporary:
        if not len(test):
            shutil.copyfile(row.model, temporary)
            return None, skipped
        manifest = read_manifest(row.model)
        head = load_head(run, read_run(run))
        if manifest.training is not None:
            training = dataclasses.replace(
                manifest.training,
                images={name: len(part) for name, part in by_name.items()},
                images_sha256=images_digest(by_name),
            )
            manifest = dataclasses.replace(manifest, training=training)
        # As the file says it, whatever its precision.
        with Encoder.open(row.model) as encoder:
            encoding = encoder.predict(test.paths)
        if encoding.attributes is not None and head is not None:
            said = split_posteriors(schema, encoding.attributes)
            quality = judge_posteriors(
                [each.astype(np.float64) for each in said],
                schema,
                by_name["train"].rows.codes,
                test.rows.codes,
                [float(each) for each in head.temperature],
            )
            manifest = dataclasses.replace(manifest, quality=quality)
        save_model(onnx.load(row.model), manifest, temporary)
        place = {name: index for index, name in enumerate(table.names)}
        codes = table.codes[[place[name] for name in test.names]]
        return _summarise(average_precisions(encoding.embeddings, codes)), skipped


def _reason(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: not written: ")


def _all_parts(
    run: Path, table: LabelTable, split: Split, cache: Path | None
) -> tuple[tuple[Attribute, ...], dict[str, Part], tuple[ImageError, ...]]:
    """Return schema and parts of a run as if it had been trained with its test part.

    And what of the table cannot be read.
    """
    record = read_run(run)
    rows: list[int] = np.concatenate([split.train, split.val, split.test]).tolist()
    features = extract_features(
        load_backbone(run, record),
        [table.paths[row] for row in rows],
        resize=record.image.resize,
        cache=cache,
    )
    unread = {index for index, _ in features.skipped}
    encoded = {
        row: Encoded(digest=features.digests[index], features=features.matrix[index])
        for index, row in enumerate(rows)
        if index not in unread
    }
    return *make_parts(table, split, encoded), tuple(error for _, error in features.skipped)


def _summarise(precisions: NDArray[np.float64]) -> TestPart | None:
    asked = precisions[~np.isnan(precisions)]
    if not len(asked):
        return None
    return TestPart(images=len(precisions), map10=bootstrap_mean(100 * asked))
