"""Where the model of drawn garments lies."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DRAWN"]

DRAWN = Path(__file__).resolve().parents[1] / "models" / "zoo" / "garments-drawn.onnx"
"""A model whose training drew with seed 1; see ``models/zoo/garments-drawn.md``."""
