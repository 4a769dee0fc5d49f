"""Fixtures that more than one room uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the shared data folder, or skip and say so.

    It stands beside the checkout, or where ``BOOST_EDGE_SHARED`` points.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("BOOST_EDGE_SHARED", beside))
    if not (folder / "datasets").is_dir():
        pytest.skip(f"needs the shared data folder, which is not at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Let torch use one thread: on small tensors, more only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a drawn catalogue: ``labels.csv`` and ``images/``. Read only."""
    from boost_edge.bench.catalogue import draw_catalogue

    folder = tmp_path_factory.mktemp("catalogue") / "garments"
    draw_catalogue(folder, count=80, seed=0, size=64)
    return folder


@pytest.fixture(scope="session")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalogue that the model of drawn garments knows, unseen by it. Read only."""
    from boost_edge.bench.catalogue import draw_catalogue

    folder = tmp_path_factory.mktemp("garments") / "garments"
    draw_catalogue(folder, count=240, seed=3, size=112)
    return folder
