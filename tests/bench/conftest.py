"""A setup small enough to measure everything on drawings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boost_edge.bench.relevance import Protocol
from boost_edge.bench.subject import Setup, Subject

SETUP = Setup(
    backbone="squeezenet1_1",
    weights="none",
    taps=("features.4",),
    image_size=32,
    attributes=("type", "background"),
    name_column="name",
    protocol=Protocol(groups=12, per_group=3, min_size=3, test=12),
    seeds=2,
)


@pytest.fixture(scope="session")
def setup() -> Setup:
    """Return the setup."""
    return SETUP


@pytest.fixture(scope="session")
def feature_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for features that the tests of this room share."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="session")
def on_catalogue(catalogue: Path, feature_cache: Path) -> dict[str, Any]:
    """Return the arguments that every measurement of the catalogue takes."""
    return {
        "labels": catalogue / "labels.csv",
        "images": catalogue / "images",
        "cache": feature_cache,
    }


@pytest.fixture
def subject(on_catalogue: dict[str, Any]) -> Callable[[Setup], Subject]:
    """Return a function that makes a subject of the catalogue."""

    def make(setup: Setup) -> Subject:
        return Subject(setup=setup, **on_catalogue)

    return make
