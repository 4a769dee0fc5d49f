"""A small training run that several tests start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.export.training import TrainInto

from boost_edge.export.recipes import RECIPES
from boost_edge.export.train import TrainReport, TrainSettings, train


@pytest.fixture(scope="session")
def quick() -> TrainSettings:
    """Return settings that train in a second."""
    recipe = dataclasses.replace(RECIPES["boost"], width=32, epochs=4, combination_images=1)
    return TrainSettings(backbone="pca", image_size=16, recipe=recipe)


@pytest.fixture(scope="session")
def train_into(catalogue: Path) -> TrainInto:
    """Return what trains on the drawn catalogue: a folder, settings, and more for ``train``.

    The features are kept beside the folder.
    """

    def start(out: Path, settings: TrainSettings, **more: Any) -> TrainReport:
        return train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=out,
            settings=settings,
            cache=out.parent / "cache",
            **more,
        )

    return start


@pytest.fixture(scope="session")
def run_folder(
    train_into: TrainInto, quick: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a finished run on the drawn catalogue, good for every readout. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "pca"
    train_into(folder, quick)
    return folder
