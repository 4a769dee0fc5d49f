"""A small training run that several tests start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from boost_edge.export.recipes import RECIPES
from boost_edge.export.train import TrainSettings, train


@pytest.fixture(scope="session")
def quick() -> TrainSettings:
    """Return settings that train in a second."""
    recipe = dataclasses.replace(RECIPES["boost"], width=32, epochs=4, combination_images=1)
    return TrainSettings(backbone="pca", image_size=16, recipe=recipe)


@pytest.fixture(scope="session")
def run_folder(
    catalogue: Path, quick: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a finished run on the drawn catalogue, good for every readout. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "pca"
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=folder,
        settings=quick,
        cache=tmp_path_factory.mktemp("cache"),
    )
    return folder
