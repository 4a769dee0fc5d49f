"""Find the labels of a table that a model most disagrees with. Needs neither torch nor onnx.

An image's label is judged by what the model says of the image, so by a model that has learnt this
very label it is judged too well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.label_codes import UnknownValue, choose_known, encode_labels
from boost_edge.export.label_files import Table, read_table
from boost_edge.export.label_images import Located, locate_images
from boost_edge.export.label_quality import (
    NOT_CONFIDENT,
    confident_thresholds,
    confident_values,
    normalised_margin,
    self_confidence,
)
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.labelling import posteriors_of, require_attributes
from boost_edge.runtime.manifest import Attribute
from boost_edge.runtime.progress import Progress, silent

__all__ = ["MOST_LISTED", "Doubt", "Review", "UnknownValue", "review_labels"]

MOST_LISTED = 50
"""How many labels a person looks through at one go; the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A label that the model disagrees with.

    ``row`` is the line of the table where the image's row begins (the row of a Parquet file), and
    ``file_name`` what it calls the image, whose file is ``path``. ``given`` is the label, and
    ``suggested`` the model's likeliest value; ``p_given`` and ``p_suggested`` are their calibrated
    probabilities. ``score`` is the normalised margin, in [0, 0.5): the lower, the surer the model
    is that another value is right. ``likely`` says whether the label is off the diagonal of the
    confident joint, and so likely to be wrong.
    """

    row: int
    file_name: str
    path: Path
    attribute: str
    given: str
    suggested: str
    p_given: float
    p_suggested: float
    score: float
    likely: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a model thinks of a label table.

    ``model`` is the model's sha256, and ``trained_on_table`` whether it was trained on a table of
    the same bytes. ``labels`` counts the labels in ``attributes`` that were judged, and ``images``
    their images; ``disagreements`` counts the labels to which the model prefers another value, and
    ``likely`` those of them that are likely to be wrong. ``doubts`` lists the disagreements with
    the lowest score, lowest first. ``unknown_values`` were not judged, most frequent first.
    ``missing`` names the images that are in the table but not on disk, ``skipped`` those that
    cannot be read.
    """

    table: Path
    model: str
    trained_on_table: bool
    attributes: tuple[str, ...]
    images: int
    labels: int
    disagreements: int
    likely: int
    doubts: tuple[Doubt, ...]
    unknown_values: tuple[UnknownValue, ...]
    missing: tuple[str, ...]
    skipped: tuple[ImageError, ...]


def review_labels(
    table: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str],
    encoder: Encoder,
    attributes: Sequence[str] | None = None,
    image_column: str | None = None,
    limit: int = MOST_LISTED,
    progress: Progress = silent,
) -> Review:
    """Compare the labels of a table with what a model says of the images.

    The order is that of the normalised margin (`boost_edge.export.label_quality`), over all
    attributes together, as the probabilities are calibrated. Images are read a few at a time; four
    bytes are held for each image and each value of an attribute.

    Parameters
    ----------
    table
        A label file, as for training. Its rows are judged one by one, also where two are about the
        same image.
    images, image_column
        As for `boost_edge.export.labels.read_labels`.
    encoder
        The model; it must predict attributes.
    attributes
        The columns to judge; ``None`` for all that are attributes of the model.
    limit
        How many labels to list at most, at least 1.
    progress
        Called with (``review``, done, total) for each image.

    Raises
    ------
    LabelTableError
        When the table cannot be used as it is, or no column is an attribute of the model.
    UsageError
        When an argument makes no sense, or the model predicts no attributes.
    MissingExtraError
        When a Parquet file is given and pyarrow is not installed.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}, but must be at least 1")
    require_attributes(encoder)
    cells = read_table(Path(table))
    located = locate_images(cells, images=Path(images), image_column=image_column)
    schema = choose_known(cells, located.column, encoder, attributes)
    codes, unknown = encode_labels(cells, located, schema)
    wanted = [
        file
        for file, row in zip(located.files, codes, strict=True)
        if file is not None and (row >= 0).any()
    ]
    place, posteriors, skipped = _predict(encoder, dict.fromkeys(wanted), progress)
    doubts: list[Doubt] = []
    judged: set[Path] = set()
    labels = 0
    for column, (start, attribute) in enumerate(schema):
        rows = np.array(
            [
                row
                for row, file in enumerate(located.files)
                if file in place and codes[row, column] >= 0
            ],
            np.int64,
        )
        files = [cast("Path", located.files[row]) for row in rows.tolist()]
        judged.update(files)
        labels += len(rows)
        block = posteriors[[place[file] for file in files], start : start + len(attribute.values)]
        doubts += _doubts(cells, located, rows, attribute, codes[rows, column], block)
    # Where the model is all but certain, rounding makes scores equal. Then by attribute and row.
    doubts.sort(key=lambda doubt: (doubt.score, doubt.p_given))
    training = encoder.manifest.training
    return Review(
        table=cells.path,
        model=encoder.sha256,
        trained_on_table=training is not None and training.labels_sha256 == cells.sha256,
        attributes=tuple(attribute.name for _, attribute in schema),
        images=len(judged),
        labels=labels,
        disagreements=len(doubts),
        likely=sum(doubt.likely for doubt in doubts),
        doubts=tuple(doubts[:limit]),
        unknown_values=unknown,
        missing=located.missing,
        skipped=skipped,
    )


def _predict(
    encoder: Encoder, files: Mapping[Path, None], progress: Progress
) -> tuple[dict[Path, int], NDArray[np.float32], tuple[ImageError, ...]]:
    """Return the row of each file, the posteriors ``(F, sum K_a)``, and what cannot be read."""
    place: dict[Path, int] = {}
    rows: list[NDArray[np.float32]] = []
    skipped: list[ImageError] = []
    found = posteriors_of(encoder, map(os.fspath, files))
    with closing(found):
        for done, (file, each) in enumerate(zip(files, found, strict=True), start=1):
            if isinstance(each, ImageError):
                skipped.append(each)
            else:
                place[file] = len(rows)
                rows.append(each[1])
            progress("review", done, len(files))
    values = sum(len(attribute.values) for attribute in encoder.manifest.attributes)
    return place, np.array(rows, np.float32).reshape(len(rows), values), tuple(skipped)


def _doubts(
    table: Table,
    located: Located,
    rows: NDArray[np.int64],
    attribute: Attribute,
    labels: NDArray[np.int64],
    posteriors: NDArray[np.float32],
) -> list[Doubt]:
    """Return the labels of one attribute to which the model prefers another value."""
    given = self_confidence(labels, posteriors)
    scores = normalised_margin(labels, posteriors)
    best: list[int] = posteriors.argmax(axis=1).tolist()
    confident = confident_values(posteriors, confident_thresholds(labels, posteriors))
    likely = (confident != NOT_CONFIDENT) & (confident != labels)
    of_table: list[int] = rows.tolist()
    codes: list[int] = labels.tolist()
    doubted: list[int] = np.flatnonzero(scores < 0.5).tolist()
    return [
        Doubt(
            row=table.numbers[of_table[each]],
            file_name=located.names[of_table[each]],
            path=cast("Path", located.files[of_table[each]]),
            attribute=attribute.name,
            given=attribute.values[codes[each]],
            suggested=attribute.values[best[each]],
            p_given=float(given[each]),
            p_suggested=float(posteriors[each, best[each]]),
            score=float(scores[each]),
            likely=bool(likely[each]),
        )
        for each in doubted
    ]
