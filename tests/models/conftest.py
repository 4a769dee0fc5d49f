"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def single_thread() -> Generator[None, None, None]:
    """Run torch on one thread: on a busy machine its threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
