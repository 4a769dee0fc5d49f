"""From a split to coded, readable rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boost_edge.export.labels import LabelTable, read_labels
from boost_edge.export.parts import NEVER_SEEN, Encoded, images_digest, make_parts
from boost_edge.export.splits import Split
from boost_edge.runtime.errors import LabelTableError

TYPES = ["shirt", "shirt", "skirt", "", "shirt", "skirt", "hat", "hat"]


def table_of(folder: Path, types: list[str]) -> LabelTable:
    """Return a label table with one attribute; the images need not be readable."""
    lines = ["file_name,type"]
    for index, value in enumerate(types):
        (folder / f"{index}.jpg").write_bytes(b"x")
        lines.append(f"{index}.jpg,{value}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return read_labels(folder / "labels.csv", images=folder, attributes=["type"])


def split(train: list[int], val: list[int], test: list[int]) -> Split:
    """Return a split by row numbers."""
    return Split(
        train=np.array(train), val=np.array(val, dtype=int), test=np.array(test, dtype=int)
    )


def encoded(rows: int) -> dict[int, Encoded]:
    """Return distinct digests and features for so many rows."""
    return {
        row: Encoded(digest=f"{row:064x}", features=np.full(3, row, dtype=np.float32))
        for row in range(rows)
    }


def test_schema_holds_what_training_shows(tmp_path: Path) -> None:
    """Values that only held-out rows have are no outputs: unknown in val, wrong in test."""
    table = table_of(tmp_path, TYPES)
    schema, parts = make_parts(table, split([0, 1, 2, 3], [4, 6], [5, 7]), encoded(8))
    assert schema[0].values == ("shirt", "skirt")
    assert parts["train"].rows.codes[:, 0].tolist() == [0, 0, 1, -1]
    assert parts["val"].rows.codes[:, 0].tolist() == [0, -1]
    assert parts["test"].rows.codes[:, 0].tolist() == [1, NEVER_SEEN]


def test_rows_stay_together(tmp_path: Path) -> None:
    """Names, files, digests, features and codes of a part are in the same order."""
    table = table_of(tmp_path, TYPES)
    _, parts = make_parts(table, split([5, 0, 2], [4], []), encoded(8))
    part = parts["train"]
    assert part.names == ("5.jpg", "0.jpg", "2.jpg")
    assert [path.name for path in part.paths] == list(part.names)
    assert part.rows.features[:, 0].tolist() == [5.0, 0.0, 2.0]
    assert part.digests == tuple(f"{row:064x}" for row in (5, 0, 2))
    assert part.rows.codes[:, 0].tolist() == [1, 0, 1]
    assert len(parts["test"]) == 0
    assert parts["test"].rows.features.shape == (0, 3)


def test_test_part_holds_no_training_image(tmp_path: Path) -> None:
    """A test image that is byte for byte one of the fitted images is left out."""
    table = table_of(tmp_path, TYPES)
    images = encoded(8)
    images[5] = images[0]
    images[7] = images[4]
    _, parts = make_parts(table, split([0, 1, 2], [4], [5, 6, 7]), images)
    assert parts["test"].names == ("6.jpg",)


def test_unreadable_rows_are_left_out(tmp_path: Path) -> None:
    """A row whose image could not be read is in no part."""
    table = table_of(tmp_path, TYPES)
    images = encoded(8)
    del images[1]
    _, parts = make_parts(table, split([0, 1, 2], [4], [5]), images)
    assert parts["train"].names == ("0.jpg", "2.jpg")


def test_one_value_in_training_is_refused(tmp_path: Path) -> None:
    """An attribute that the training part shows only one value of is named."""
    table = table_of(tmp_path, TYPES)
    with pytest.raises(LabelTableError, match="attribute type has 1 value"):
        make_parts(table, split([0, 1, 4], [2], [5]), encoded(8))


def test_nothing_readable_is_refused(tmp_path: Path) -> None:
    """A training part without a readable image is an error, not an empty training."""
    table = table_of(tmp_path, TYPES)
    with pytest.raises(LabelTableError, match="no image of the training part"):
        make_parts(table, split([0, 1], [2], [3]), {2: encoded(8)[2]})


def test_digest_depends_on_images_alone(tmp_path: Path) -> None:
    """The digest of the images is the same in any order, and changes with any image."""
    table = table_of(tmp_path, TYPES)
    images = encoded(8)
    _, parts = make_parts(table, split([0, 1, 2], [4], [5]), images)
    _, moved = make_parts(table, split([2, 0, 1], [5], [4]), images)
    _, other = make_parts(table, split([0, 1, 2], [4], [6]), images)
    assert images_digest(parts) == images_digest(moved) != images_digest(other)
