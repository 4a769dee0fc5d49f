"""What ``bench latency`` is asked to measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boost_edge.bench.latency_runtimes import RUNTIMES
from boost_edge.bench.latency_stages import PHOTO, SMALL
from boost_edge.bench.scenarios import SCENARIOS, Load
from boost_edge.runtime.errors import UsageError

__all__ = ["DEFAULT_BACKBONES", "LatencyPlan"]

DEFAULT_BACKBONES = ("resnet18+boost", "vit_b_16")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPlan:
    """What to time, and for how long.

    Parameters
    ----------
    backbones
        Systems to make, as ``parse_design`` reads them.
    models
        Model files to time beside them.
    runtimes
        Of ``RUNTIMES``; the first is what ratios refer to.
    reference
        The system that ratios refer to; ``None`` is the first.
    threads
        Numbers of threads, each at least 1.
    batches
        Images given to the network at once. Batch 1 is timed with each number of threads, larger
        ones (offline) with the largest number.
    image_size
        Edge S in pixels of the systems that are made; ``None`` is each backbone's own.
    gallery_images
        Drawn vectors in the gallery that is searched.
    blocks, seconds, most
        Turns of each case, and its seconds and calls over all turns. Offline has at most three.
    starts
        Cold starts of each command; 0 leaves cold start and peak memory out.
    scenarios, load
        MLPerf-style scenarios of ``SCENARIOS``, none or more, and their load.
    seed
        Of weights, pictures, vectors and orders.
    photo, small
        Width and height in pixels of the two query images.
    """

    backbones: tuple[str, ...] = DEFAULT_BACKBONES
    models: tuple[Path, ...] = ()
    runtimes: tuple[str, ...] = RUNTIMES
    reference: str | None = None
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1, 8, 32)
    image_size: int | None = None
    gallery_images: int = 20_000
    blocks: int = 10
    seconds: float = 10.0
    most: int = 200
    starts: int = 7
    scenarios: tuple[str, ...] = SCENARIOS
    load: Load = field(default_factory=Load)
    seed: int = 0
    photo: tuple[int, int] = PHOTO
    small: tuple[int, int] = SMALL

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all systems, in order."""
        return (*self.backbones, *self.model_names)

    @property
    def model_names(self) -> tuple[str, ...]:
        """Return the names of the model files: their paths where two are called the same."""
        names = [model.name for model in self.models]
        return tuple(
            str(model) if names.count(name) > 1 else name
            for model, name in zip(self.models, names, strict=True)
        )

    @property
    def offline_blocks(self) -> int:
        """Return how many turns an offline case has: its calls are long."""
        return min(self.blocks, 3)

    def check(self) -> None:
        """Raise `UsageError` when the plan makes no sense."""
        if not self.backbones and not self.models:
            raise UsageError("nothing to time: name a backbone or a model file")
        for what, given, known in (
            ("runtime", self.runtimes, RUNTIMES),
            ("scenario", self.scenarios, SCENARIOS),
        ):
            if unknown := [each for each in given if each not in known]:
                raise UsageError(f"{what} {unknown[0]!r} is not one of {', '.join(known)}")
        if self.reference is not None and self.reference not in self.names:
            raise UsageError(f"reference {self.reference!r} is not one of {', '.join(self.names)}")
        for what, values in (
            ("system", self.names),
            ("runtime", self.runtimes),
            ("number of threads", self.threads),
            ("batch", self.batches),
            ("scenario", self.scenarios),
        ):
            if len(set(values)) < len(values):
                raise UsageError(f"a {what} stands twice: {', '.join(map(str, values))}")
        if not self.runtimes or not self.threads or 1 not in self.batches:
            raise UsageError("at least one runtime, one number of threads and batch 1 are needed")
        counts = (*self.threads, *self.batches, self.gallery_images, self.blocks, self.most)
        if min(counts) < 1 or not self.seconds > 0 or self.starts < 0:
            raise UsageError("threads, batches, images, blocks, calls and seconds must be positive")

    def protocol(self) -> dict[str, Any]:
        """Return what two results must have in common to be compared."""
        return {
            "threads": list(self.threads),
            "batches": list(self.batches),
            "image_size": self.image_size,
            "gallery_images": self.gallery_images,
            "blocks": self.blocks,
            "offline_blocks": self.offline_blocks,
            "seconds": self.seconds,
            "most_calls": self.most,
            "photo": list(self.photo),
            "small": list(self.small),
            "seed": self.seed,
        }
