"""What ``tune`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from boost_edge.export.budget import Budget
from boost_edge.export.candidates import Network
from boost_edge.export.train import TrainSettings
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_MAX_LOSS, Precision, Readout

__all__ = ["TuneSettings"]

# fp16 computes as float32 does: the same speed, half the file.
_PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """What to search, and within which limits.

    Parameters
    ----------
    base
        How every head is trained; image size, taps, readout and width are the search's, and none is
        refitted: the search judges by the validation part.
    image_sizes
        Edges of the network's input in pixels.
    taps
        Where features are taken, each as in `TrainSettings`; ``None``, for pca only, as many
        components as can be had.
    widths
        Widths of the head's hidden layer.
    readouts
        What the embedding may be.
    precisions
        What may be chosen, of ``fp32`` and ``int8``; float32 is measured in any case.
    threads
        Numbers of threads that the network may use; one thread is measured in any case.
    budget
        The limits.
    max_loss
        Most points of mAP@10 that ``int8`` may lose: see `boost_edge.export.gate`.
    seconds
        After so long no further candidate is begun; ``None`` for all of them.
    """

    base: TrainSettings
    image_sizes: tuple[int, ...]
    taps: tuple[tuple[str, ...] | None, ...]
    widths: tuple[int, ...]
    readouts: tuple[Readout, ...]
    precisions: tuple[Precision, ...]
    threads: tuple[int, ...]
    budget: Budget
    max_loss: float = DEFAULT_MAX_LOSS
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("image_sizes", "taps", "widths", "readouts", "precisions", "threads"):
            if not getattr(self, name):
                raise UsageError(f"nothing to search: {name} is empty")
        if not self.base.recipe.validation:
            raise UsageError(
                f"recipe {self.base.recipe.name} keeps no validation part, by which the search "
                "chooses: give another --recipe"
            )
        if min(*self.image_sizes, *self.widths, *self.threads) < 1:
            raise UsageError("image sizes, widths and numbers of threads must be at least 1")
        if unknown := [each for each in self.precisions if each not in _PRECISIONS]:
            raise UsageError(
                f"precision {unknown[0]!r} is not one of {', '.join(_PRECISIONS)}: fp16 computes "
                "as fp32 does, in the same time: export the chosen run with --precision fp16"
            )

    @property
    def all_threads(self) -> tuple[int, ...]:
        """Return the numbers of threads to measure, rising from one."""
        return tuple(sorted({1, *self.threads}))

    def of(self, network: Network) -> TrainSettings:
        """Return how to train one network: without the test part, which is for the chosen one."""
        readout: Readout = "raw" if set(self.readouts) == {"raw"} else "match"
        return replace(
            self.base,
            image_size=network.image_size,
            taps=network.taps,
            recipe=replace(self.base.recipe, width=network.width, refit=False),
            readout=readout,
            test_part=False,
        )
