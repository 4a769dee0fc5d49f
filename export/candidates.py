"""What ``tune`` tries: image size x tap x width of the head, and what is read out of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boost_edge.models.architectures import BACKBONES, GRID
from boost_edge.runtime.manifest import Precision, Readout

__all__ = [
    "DEFAULT_READOUTS",
    "Candidate",
    "Network",
    "default_image_sizes",
    "default_taps",
    "list_candidates",
    "list_networks",
]

DEFAULT_READOUTS: tuple[Readout, ...] = ("match", "attributes", "hidden", "raw")
# Of the backbone's own edge; 96, 128, 160 and 224 where that is 224.
_SHARES = (3 / 7, 4 / 7, 5 / 7, 1.0)
_MULTIPLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is trained once: features of an image size and a tap, and a head of one width.

    ``taps`` is ``None`` for pca: as many components as can be had.
    """

    image_size: int
    taps: tuple[str, ...] | None
    width: int

    @property
    def tap(self) -> str:
        """Return the taps as they are written."""
        return "last" if self.taps is None else "+".join(self.taps)

    @property
    def name(self) -> str:
        """Return a name for files."""
        return f"{self.image_size}px-{self.tap.replace(':', '-')}-w{self.width}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model that could be exported."""

    network: Network
    readout: Readout
    precision: Precision = "fp32"

    @property
    def name(self) -> str:
        """Return what to call it in a line of text."""
        return (
            f"{self.network.image_size} px, {self.network.tap}, {self.readout}, "
            f"width {self.network.width}, {self.precision}"
        )


def default_image_sizes(backbone: str) -> tuple[int, ...]:
    """Return edges in pixels from less than half of a backbone's own to all of it."""
    spec = BACKBONES[backbone]
    step = max(spec.step, _MULTIPLE)
    sizes = {step * round(share * spec.image_size / step) for share in _SHARES[:-1]}
    possible = {size for size in sizes if size >= spec.smallest}
    return tuple(sorted(possible | {spec.image_size}))


def default_taps(backbone: str) -> tuple[tuple[str, ...] | None, ...]:
    """Return the last two stages, the first of them on a grid, and where a head reads best."""
    spec = BACKBONES[backbone]
    if spec.pool == "none":
        return (None,)
    *_, earlier, last = spec.taps
    return ((earlier,), (last,), (f"{earlier}:{GRID}",), spec.head_taps)


def list_networks(
    sizes: Sequence[int], taps: Sequence[tuple[str, ...] | None], widths: Sequence[int]
) -> tuple[Network, ...]:
    """Return every combination once, the smallest images first."""
    return tuple(
        Network(image_size=size, taps=tap, width=width)
        for size in sorted(set(sizes))
        for tap in dict.fromkeys(taps)
        for width in sorted(set(widths))
    )


def list_candidates(
    networks: Sequence[Network], readouts: Sequence[Readout]
) -> tuple[Candidate, ...]:
    """Return each network with each readout; raw features once, as no head has a say in them."""
    raw: set[tuple[int, tuple[str, ...] | None]] = set()
    found: list[Candidate] = []
    for network in networks:
        for readout in dict.fromkeys(readouts):
            features = (network.image_size, network.taps)
            if readout == "raw" and features in raw:
                continue
            if readout == "raw":
                raw.add(features)
            found.append(Candidate(network=network, readout=readout))
    return tuple(found)
