"""What ``bench overhead`` is asked to measure, and what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from boost_edge.bench.latency_stages import PHOTO
from boost_edge.runtime.errors import UsageError

__all__ = ["TARGETS", "OverheadPlan"]


TARGETS: Mapping[str, float] = MappingProxyType(
    {
        "query_share": 0.15,
        "indexing_efficiency": 0.9,
        "cold_start_ratio": 1.3,
        "peak_memory_bytes": 250e6,
    }
)
"""What a system should reach: at most, but for the efficiency, which is at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadPlan:
    """What to time, and for how long.

    Parameters
    ----------
    backbones
        Systems to make with random weights, as ``latency_systems.parse_design`` reads them.
    models
        Model files to measure beside them.
    threads
        Numbers of threads of a query, each at least 1; indexing has the largest.
    gallery_images
        Drawn vectors in the gallery that is searched.
    files
        Photos that are indexed at once.
    blocks, seconds, most
        Turns of each case, and its seconds and calls over all turns.
    starts
        Cold starts of each command, at least 1.
    photo
        Width and height in pixels of the photos.
    seed
        Of weights, pictures, vectors and orders.
    """

    backbones: tuple[str, ...] = ("resnet18+boost",)
    models: tuple[Path, ...] = ()
    threads: tuple[int, ...] = (1,)
    gallery_images: int = 100_000
    files: int = 256
    blocks: int = 10
    seconds: float = 10.0
    most: int = 200
    starts: int = 15
    photo: tuple[int, int] = PHOTO
    seed: int = 0

    def check(self) -> None:
        """Raise `UsageError` when the plan makes no sense."""
        names = (*self.backbones, *(model.name for model in self.models))
        if not names:
            raise UsageError("nothing to time: name a backbone or a model file")
        for what, values in (("system", names), ("number of threads", self.threads)):
            if len(set(values)) < len(values):
                raise UsageError(f"a {what} stands twice: {', '.join(map(str, values))}")
        counts = (*self.threads, self.gallery_images, self.files, self.blocks, self.most)
        if not self.threads or min(*counts, self.starts) < 1 or not self.seconds > 0:
            raise UsageError("threads, images, files, blocks, calls and seconds must be positive")

    def protocol(self) -> dict[str, Any]:
        """Return what two results must have in common to be compared."""
        return {
            "threads": list(self.threads),
            "gallery_images": self.gallery_images,
            "files": self.files,
            "blocks": self.blocks,
            "seconds": self.seconds,
            "most_calls": self.most,
            "starts": self.starts,
            "photo": list(self.photo),
            "seed": self.seed,
        }
