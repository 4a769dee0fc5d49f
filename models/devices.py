"""Where a network runs while it is trained or read: a GPU if there is one, else the CPU."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["best_device", "on_best_device"]


def best_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def on_best_device(network: nn.Module) -> Generator[torch.device]:
    """Have the network on the best device for a while, and compute there in full float32.

    That is as on the CPU but for the order of sums; CUDA's convolutions would take TensorFloat-32
    by default.
    """
    device = best_device()
    network.to(device)
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield device
    finally:
        network.to("cpu")
