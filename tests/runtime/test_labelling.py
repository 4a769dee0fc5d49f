"""Labels for many images: what the model says of each alone, and open where it is not sure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.drawn_model import DRAWN

from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.labelling import (
    DEFAULT_MIN_P,
    Labelled,
    check_min_p,
    label_images,
    posteriors_of,
)
from boost_edge.runtime.selection import Selection
from boost_edge.runtime.spread import images_at_once

WritePicture = Callable[..., Path]
BuildModel = Callable[..., Path]


def test_labels_are_those_of_each_image_alone(pictures: Path, encoder: Encoder) -> None:
    """In batches as one by one: the likeliest values, and as labels those at or above min_p."""
    found = list(label_images(encoder, [pictures], min_p={"light": 0.9}))
    assert len(found) == 9
    for each in found:
        assert isinstance(each, Labelled)
        alone = encoder.predict([each.path]).attributes
        assert alone is not None
        expected = encoder.describe(alone[0])
        assert {name: best.value for name, best in each.attributes.items()} == {
            name: best.value for name, best in expected.items()
        }
        for name, least in (("colour", DEFAULT_MIN_P), ("light", 0.9)):
            best = each.attributes[name]
            assert best.p == pytest.approx(expected[name].p, abs=1e-6)
            assert each.labels.get(name) == (best.value if best.p >= least else None)
    values = [cast("Labelled", each).labels["colour"] for each in found]
    assert values == [cast("Labelled", each).path.split("/")[-2] for each in found]


def test_the_bound_itself_is_enough(pictures: Path, encoder: Encoder) -> None:
    """A probability equal to min_p makes a label, and one below it does not."""
    [one] = label_images(encoder, [pictures / "red" / "0.png"])
    assert isinstance(one, Labelled)
    p = one.attributes["colour"].p
    for least, labels in ((p, {"colour": "red"}), (float(np.nextafter(p, 1)), {})):
        [again] = label_images(encoder, [one.path], min_p={"colour": least, "light": 1.0})
        assert cast("Labelled", again).labels == labels


def test_what_cannot_be_read_comes_in_its_place(
    pictures: Path, encoder: Encoder, write_picture: WritePicture
) -> None:
    """An error stands between the labels of its neighbours, also where a whole batch is errors."""
    for number in range(20):
        (pictures / "green" / f"x{number:02}.png").touch()
    write_picture(pictures / "green" / "y.png", "green")
    found = list(label_images(encoder, [pictures]))
    paths = [each.path for each in found]
    assert paths == sorted(paths)
    assert len(paths) == 9 + 20 + 1
    for each in found:
        if "/x" in each.path:
            assert isinstance(each, ImageError)
            assert each.reason == "empty"
        else:
            assert isinstance(each, Labelled)
            assert each.labels["colour"] == each.path.split("/")[-2]


def test_few_images_are_held(pictures: Path, encoder: Encoder) -> None:
    """Files are taken as they are needed, and the first answer comes long before the last file."""
    taken = 0

    def files() -> Iterator[str]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield str(pictures / "red" / "0.png")

    found = posteriors_of(encoder, files())
    with closing(found):
        path, row = cast("tuple[str, NDArray[np.float32]]", next(found))
        # A batch, one that the network has begun with, and two that are read meanwhile.
        assert taken <= 4 * images_at_once(encoder.manifest.image.size, encoder.threads) < 200
        assert path.endswith("red/0.png")
        assert row.shape == (5,)


def test_progress_and_selection(pictures: Path, encoder: Encoder) -> None:
    """Progress ends at the number of images wanted; those that are not wanted are left out."""
    told: list[tuple[str, int, int]] = []
    selection = Selection(exclude=("red/*",))
    found = list(
        label_images(
            encoder,
            [pictures],
            selection=selection,
            progress=lambda stage, done, total: told.append((stage, done, total)),
        )
    )
    assert not [each for each in found if "/red/" in each.path]
    assert told == [("label", done, 6) for done in range(1, 7)]


def test_what_makes_no_sense_is_refused_at_once(
    pictures: Path, encoder: Encoder, build_model: BuildModel, tmp_path: Path
) -> None:
    """Before the first image: a bad min_p, a path that is not there, a model without attributes."""
    for min_p, said in (
        (1.5, r"min_p is 1.5, but must be in \[0, 1\]"),
        (float("nan"), "min_p is nan"),
        ({"colour": -1}, "min_p of colour is -1.0"),
        (
            {"colr": 0.5},
            "given for 'colr', which is no attribute of .*: it has colour, light",
        ),
        (cast("Any", "0.5"), "min_p is '0.5', but must be a number"),
    ):
        with pytest.raises(UsageError, match=said):
            label_images(encoder, [pictures], min_p=min_p)
    with pytest.raises(UsageError, match="no such file"):
        label_images(encoder, [tmp_path / "gone"])
    raw = Encoder.open(build_model(tmp_path / "raw.onnx", head=False), threads=1)
    with raw, pytest.raises(UsageError, match="readout raw, which predicts no attributes: give a"):
        label_images(raw, [pictures])
    assert check_min_p(encoder, {"light": 1}) == {"colour": DEFAULT_MIN_P, "light": 1.0}


def test_the_default_is_right_more_often_than_wrong(garments: Path) -> None:
    """On drawings that the shipped model never saw, 0.5 parts what is mostly right from what isn't.

    Just above it values are still more often right than wrong; below it they are about as often
    wrong, so that a label there would gain nothing.
    """
    with (garments / "labels.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["file_name"]: row for row in csv.DictReader(file)}
    with Encoder.open(DRAWN, threads=1) as encoder:
        found = list(label_images(encoder, [garments / "images"]))
    judged = [
        (best.p, best.value == truth[Path(each.path).name][name])
        for each in found
        if isinstance(each, Labelled)
        for name, best in each.attributes.items()
        # Blank where a garment has no sleeves.
        if truth[Path(each.path).name][name]
    ]
    p = np.array([each for each, _ in judged])
    right = np.array([each for _, each in judged])
    assert right[p >= DEFAULT_MIN_P].mean() > 0.9
    assert right[(p >= DEFAULT_MIN_P) & (p < 0.7)].mean() > 0.5
    assert right[p < DEFAULT_MIN_P].mean() < 0.6
    assert 10 < (p < DEFAULT_MIN_P).sum() < 0.1 * len(p)
