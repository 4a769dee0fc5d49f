"""What is timed: whole model files, made from architectures with random weights, or given.

How long a network takes does not depend on its weights, so the real architectures are exported
with random ones, each with the head it would have, through the same code as trained ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boost_edge
from boost_edge.bench.latency_pictures import draw_photo, encode_jpeg
from boost_edge.runtime.encoder import read_manifest
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import (
    DEFAULT_DECODE,
    DEFAULT_RECIPE,
    Attribute,
    ImageSpec,
    Manifest,
    Readout,
    Training,
)

if TYPE_CHECKING:
    from boost_edge.models.fused import FusedEncoder

__all__ = [
    "Design",
    "System",
    "build_network",
    "describe_system",
    "export_design",
    "given_system",
    "parse_design",
]

# Attributes of the fashion data set and how many values each has there.
_HEAD = {
    "gender": 5,
    "masterCategory": 7,
    "subCategory": 45,
    "articleType": 143,
    "baseColour": 46,
    "season": 4,
    "usage": 8,
}
_BOOST = "+boost"
# At least two are needed to compare the exported graph with torch.
_SAMPLES = 3
_SAMPLE_EDGE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A system that is to be made: a backbone, its taps, and whether it has a boost head."""

    name: str
    backbone: str
    taps: tuple[str, ...] | None
    boosted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One model file to time; ``run`` is what torch's network is made from, absent where given."""

    name: str
    model: Path
    run: Path | None
    manifest: Manifest


def parse_design(text: str) -> Design:
    """Read ``resnet18``, ``resnet18+boost`` or ``resnet18@layer3+layer4+boost``.

    Raises
    ------
    UsageError
        When there is no such backbone or tap.
    """
    from boost_edge.models.backbones import BACKBONES, parse_taps

    boosted = text.endswith(_BOOST)
    backbone, _, taps = text.removesuffix(_BOOST).partition("@")
    if backbone not in BACKBONES or BACKBONES[backbone].network is None:
        known = ", ".join(name for name, spec in BACKBONES.items() if spec.network is not None)
        raise UsageError(f"backbone {backbone!r} is not one of {known} (with +boost for a head)")
    return Design(
        name=text,
        backbone=backbone,
        taps=parse_taps(taps, backbone) if taps else None,
        boosted=boosted,
    )


def export_design(design: Design, folder: Path, *, image_size: int | None, seed: int) -> System:
    """Make a system with random weights in a new folder: its run and its model file.

    Without a head the embedding is the pooled features (readout ``raw``); with one, width and
    readout are those of the recipe ``boost`` and the attributes those of the fashion data set.
    """
    from boost_edge.export.convert import export_model

    run = folder / "run"
    _write_run(design, run, image_size=image_size, seed=seed)
    manifest = export_model(run, folder / "model.onnx")
    return System(name=design.name, model=folder / "model.onnx", run=run, manifest=manifest)


def given_system(model: Path, name: str | None = None) -> System:
    """Return a system of a model file that exists, called as the file if not otherwise."""
    return System(name=name or model.name, model=model, run=None, manifest=read_manifest(model))


def build_network(run: Path) -> FusedEncoder:
    """Return torch's network with the weights that the system's model file was made from."""
    from boost_edge.export.run import load_backbone, load_head, read_run
    from boost_edge.models.fused import FusedEncoder

    record = read_run(run)
    return FusedEncoder(
        load_backbone(run, record), load_head(run, record), record.readout, blend=record.blend
    )


def _write_run(design: Design, run: Path, *, image_size: int | None, seed: int) -> None:
    import torch

    from boost_edge.export.artefacts import file_digest, write_tensors
    from boost_edge.export.recipes import RECIPES
    from boost_edge.export.run import (
        BACKBONE_FILE,
        HEAD_FILE,
        RUN_FORMAT_VERSION,
        SAMPLES_FOLDER,
        RunRecord,
        write_run,
    )
    from boost_edge.models.backbones import build_backbone
    from boost_edge.models.head import BoostHead

    recipe = RECIPES[DEFAULT_RECIPE]
    backbone = build_backbone(
        design.backbone, weights="none", taps=design.taps, image_size=image_size
    )
    write_tensors(run / BACKBONE_FILE, backbone.state_dict(), {})
    width = (recipe.width or backbone.width) if design.boosted else None
    if width is not None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            head = BoostHead(
                backbone.width,
                width,
                list(_HEAD.values()),
                standardise=True,
                components=recipe.components,
            )
        write_tensors(run / HEAD_FILE, head.state_dict(), {})
    samples = run / SAMPLES_FOLDER
    samples.mkdir()
    for number in range(_SAMPLES):
        picture = draw_photo(_SAMPLE_EDGE, _SAMPLE_EDGE, seed=seed + number)
        (samples / f"{number:03d}.jpg").write_bytes(encode_jpeg(picture))
    readout: Readout = "attributes" if design.boosted else "raw"
    record = RunRecord(
        format_version=RUN_FORMAT_VERSION,
        created_with=f"boost-edge {boost_edge.__version__}",
        backbone=design.backbone,
        taps=backbone.taps,
        features=backbone.width,
        weights=backbone.weights,
        image=ImageSpec(size=backbone.image_size, resize="crop", decode=DEFAULT_DECODE),
        backbone_sha256=file_digest(run / BACKBONE_FILE),
        attributes=_attributes() if design.boosted else (),
        head_width=width,
        head_sha256=file_digest(run / HEAD_FILE) if design.boosted else "",
        readout=readout,
        blend=recipe.blend,
        # Nothing was trained: the model serves to be timed and is thrown away.
        training=Training(
            labels_sha256="",
            images_sha256="",
            images={},
            recipe="none",
            settings=recipe.settings() if design.boosted else {},
            seed=seed,
            epochs=0,
        ),
        losses=None,
        quality=(),
        parts={},
    )
    write_run(run, record)


def describe_system(system: System) -> dict[str, Any]:
    """Return what a result says that was timed: docs/latency-format.md has the keys."""
    manifest = system.manifest
    return {
        "system": system.name,
        "backbone": manifest.backbone,
        "taps": list(manifest.taps),
        "weights": manifest.weights.name,
        "random_weights": system.run is not None,
        "readout": manifest.readout,
        "dimensions": manifest.dimensions,
        "precision": manifest.precision,
        "image_size": manifest.image.size,
        "resize": manifest.image.resize,
        "decode": manifest.image.decode,
        "model_bytes": system.model.stat().st_size,
    }


def _attributes() -> tuple[Attribute, ...]:
    return tuple(
        Attribute(name=name, values=tuple(f"{name} {number}" for number in range(count)))
        for name, count in _HEAD.items()
    )
