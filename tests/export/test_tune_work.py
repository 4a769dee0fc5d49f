"""What a search keeps: found again by the same search, and by no other."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from boost_edge.export.budget import Budget
from boost_edge.export.candidates import Candidate, Network
from boost_edge.export.labels import read_labels
from boost_edge.export.splits import split_rows
from boost_edge.export.train import TrainSettings
from boost_edge.export.tune_settings import TuneSettings
from boost_edge.export.tune_work import (
    Scores,
    SkippedImage,
    Work,
    as_array,
    as_tuple,
    read_record,
    write_record,
)
from boost_edge.runtime.errors import UsageError

NETWORK = Network(image_size=64, taps=("layer3:2x2",), width=32)
SETTINGS = TuneSettings(
    base=TrainSettings(weights="none"),
    image_sizes=(64,),
    taps=(("layer3:2x2",),),
    widths=(32,),
    readouts=("match",),
    precisions=("fp32",),
    threads=(1,),
    budget=Budget(),
)


@pytest.fixture
def garments(catalogue: Path, tmp_path: Path) -> Path:
    """Return a copy of the catalogue that may be changed."""
    return Path(shutil.copytree(catalogue, tmp_path / "garments"))


def work_on(garments: Path, settings: TuneSettings = SETTINGS) -> Work:
    """Return the work of a search."""
    base = settings.base
    table = read_labels(
        garments / "labels.csv", images=garments / "images", attributes=base.attributes
    )
    split = split_rows(table, seed=base.seed, limit=base.limit)
    return Work(garments / "work", table, split, settings)


def test_the_same_search_finds_it_again(garments: Path) -> None:
    """Budget, time, threads and what else is searched do not matter to a network."""
    other = dataclasses.replace(
        SETTINGS,
        image_sizes=(32, 64),
        threads=(1, 2),
        precisions=("fp32", "int8"),
        readouts=("match", "hidden", "raw"),
        budget=Budget(max_ms=3.0),
        seconds=5.0,
        max_loss=2.0,
    )
    before = work_on(garments).network(NETWORK)
    assert work_on(garments, other).network(NETWORK) == before
    assert before.name.startswith("64px-layer3-2x2-w32-")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"limit": 50},
        {"attributes": ("type",)},
        {"backbone": "resnet34"},
        {"resize": "squash"},
        {"weights": "imagenet"},
    ],
)
def test_another_training_is_another_folder(change: dict[str, object], garments: Path) -> None:
    """Whatever decides the head is in the name."""
    base = dataclasses.replace(SETTINGS.base, **change)  # type: ignore[arg-type]
    other = dataclasses.replace(SETTINGS, base=base)
    assert work_on(garments, other).network(NETWORK) != work_on(garments).network(NETWORK)


def test_another_image_is_another_folder(garments: Path) -> None:
    """An image that was replaced since is noticed, and so is a label."""
    names = {work_on(garments).network(NETWORK)}
    for image in (garments / "images").iterdir():
        os.utime(image, ns=(0, 0))
    names.add(work_on(garments).network(NETWORK))
    labels = garments / "labels.csv"
    labels.write_text(labels.read_text().replace("red", "blue"))
    names.add(work_on(garments).network(NETWORK))
    assert len(names) == 3


def test_weights_are_known_by_their_content(garments: Path) -> None:
    """A file of other weights under the same name is other weights; a copy is the same."""
    file, copy = garments / "a.safetensors", garments / "b.safetensors"
    names: list[Path] = []
    for content, path in ((b"one", file), (b"one", copy), (b"two", file)):
        path.write_bytes(content)
        base = dataclasses.replace(SETTINGS.base, weights=str(path))
        names.append(work_on(garments, dataclasses.replace(SETTINGS, base=base)).network(NETWORK))
    assert names[0] == names[1] != names[2]


def test_files_of_candidates_differ(garments: Path) -> None:
    """Readouts, precisions and limits of the loss have files of their own."""
    work = work_on(garments)
    other = work_on(garments, dataclasses.replace(SETTINGS, max_loss=3.0))
    match = Candidate(network=NETWORK, readout="match")
    int8 = dataclasses.replace(match, precision="int8")
    raw = dataclasses.replace(match, readout="raw")
    files = [work.model(match), work.model(int8), work.model(raw), other.model(int8)]
    files += [work.probe(match), work.trial(int8), work.scores(NETWORK), work.run(NETWORK)]
    assert len(files) == len(set(files))
    assert other.model(match) == work.model(match)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Scores are the same after writing and reading; a damaged file counts as absent."""
    path = tmp_path / "folder" / "scores.json"
    precisions = np.array([0.25, np.nan, 1.0])
    scores = Scores(
        precisions={"match": as_tuple(precisions)},
        skipped=(SkippedImage(path="a\udcff.jpg", reason="empty", detail="no bytes"),),
    )
    assert read_record(path, Scores) is None
    write_record(path, scores)
    found = read_record(path, Scores)
    assert found is not None
    assert found == scores
    assert np.array_equal(as_array(found.precisions["match"]), precisions, equal_nan=True)
    path.write_text(path.read_text()[:-5])
    assert read_record(path, Scores) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precisions": ("fp16",)}, "export the chosen run with --precision fp16"),
        ({"widths": ()}, "widths is empty"),
        ({"threads": (0,)}, "must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(change: dict[str, object], said: str) -> None:
    """They are refused when they are made."""
    with pytest.raises(UsageError, match=said):
        dataclasses.replace(SETTINGS, **change)  # type: ignore[arg-type]
