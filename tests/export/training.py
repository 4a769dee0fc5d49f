"""What tests of training call."""

from __future__ import annotations

from collections.abc import Callable

from boost_edge.export.train import TrainReport

TrainInto = Callable[..., TrainReport]
"""The fixture ``train_into``: a folder, settings, and more for ``train``."""
