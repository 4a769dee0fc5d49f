"""What the paper prints: its published figures, for comparison only. Nothing here is measured.

Source: Mersha, "Boosting image retrieval with accurately labelled small data", the table of
mAP@10 times 100 on 1,000 test images. Absolute values depend on the images drawn and on how ties
fall, and its code keeps the epoch that is best on the test part: compare relative gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["PAPER_ATTRIBUTES", "PAPER_FIGURES", "PaperFigure"]

PAPER_ATTRIBUTES = (
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "usage",
)
"""The attributes that the paper groups images by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """The paper's mAP@10 times 100 of one backbone's features, ``raw`` and ``boosted``."""

    raw: float
    boosted: float

    @property
    def relative_gain(self) -> float:
        """Return what boosting adds, as a share of ``raw``."""
        return self.boosted / self.raw - 1


PAPER_FIGURES: Mapping[str, PaperFigure] = MappingProxyType(
    {
        "pca": PaperFigure(raw=5.99, boosted=6.09),
        "resnet18": PaperFigure(raw=10.34, boosted=13.05),
        "resnet34": PaperFigure(raw=9.90, boosted=12.04),
        "resnet50": PaperFigure(raw=10.04, boosted=13.26),
        "resnet101": PaperFigure(raw=11.05, boosted=14.90),
        "vit_b_16": PaperFigure(raw=12.08, boosted=16.24),
    }
)
"""By the names of `boost_edge.models.architectures.BACKBONES`."""
