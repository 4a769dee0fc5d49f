"""``bench quality``: the paper's retrieval protocol, raw against boosted, over several seeds.

Each seed draws its own images, trains its own heads and ranks its own test part; embeddings are
computed with torch from cached features, so that many rows cost little more than one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.bootstrap import paired_bootstrap
from boost_edge.bench.metrics import (
    agreement_at_k,
    average_precision_at_k,
    chance_map_at_k,
    nearest_others,
    precision_at_k,
    rank_others,
)
from boost_edge.bench.relevance import PAPER, Protocol, Sample, relevance_matrix, sample_rows
from boost_edge.bench.results import make_result
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.manifest import Readout, ResizePolicy
from boost_edge.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from boost_edge.export.labels import LabelTable
    from boost_edge.models.backbones import Backbone

__all__ = ["PAPER_ATTRIBUTES", "QualityPlan", "measure_quality"]

PAPER_ATTRIBUTES = (
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "usage",
)
_VALIDATION_SHARE = 0.1

_Scores = dict[str, NDArray[np.float64]]
_Embedded = tuple[tuple[str, Readout], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPlan:
    """What to measure: every combination of resize policy, recipe and readout, on one backbone.

    ``name_column`` is the column whose words grade the relevance.
    """

    backbone: str
    weights: str
    taps: tuple[str, ...] | None
    image_size: int | None
    resizes: tuple[ResizePolicy, ...]
    recipes: tuple[str, ...]
    readouts: tuple[Readout, ...]
    seeds: int
    attributes: tuple[str, ...] = PAPER_ATTRIBUTES
    name_column: str = "productDisplayName"
    protocol: Protocol = PAPER


def measure_quality(
    labels: Path,
    *,
    images: Path,
    plan: QualityPlan,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the protocol and return the result: one row per combination, with every seed's value.

    ``map10`` is the paper's mAP@10 times 100. ``gain`` is the paired bootstrap interval of its
    difference to the readout ``raw`` of the same resize policy, over all seeds' queries.

    Raises
    ------
    UsageError
        When the label table lacks the name column, or has too few groups.
    ImageError
        When an image that was drawn cannot be read: the protocol has no room for gaps.
    """
    from boost_edge.export.labels import read_labels
    from boost_edge.models.backbones import build_backbone

    report = progress or silent
    table = read_labels(labels, images=images, attributes=plan.attributes)
    if plan.name_column not in table.columns:
        raise UsageError(f"{labels}: has no column {plan.name_column}, whose words grade hits")
    backbone = build_backbone(
        plan.backbone, weights=plan.weights, taps=plan.taps, image_size=plan.image_size
    )
    scores: dict[tuple[str, str, str], list[_Scores]] = {}
    for seed in range(plan.seeds):
        sample = sample_rows(table.codes, table.names, seed=seed, protocol=plan.protocol)
        for resize in plan.resizes:
            features = _features(table, sample, backbone, resize, cache, report)
            for (recipe, readout), embeddings in _embeddings(
                table, sample, features, plan, seed, report
            ):
                judged = _judge(table, sample, embeddings, plan.name_column)
                scores.setdefault((resize, recipe, readout), []).append(judged)
    return make_result(
        "quality",
        {
            "labels_sha256": table.sha256,
            "attributes": plan.attributes,
            "protocol": asdict(plan.protocol),
            "seeds": plan.seeds,
            "backbone": backbone.spec.name,
            "weights": asdict(backbone.weights),
            "taps": backbone.taps,
            "image_size": backbone.image_size,
            "chance_map10": 100 * chance_map_at_k(plan.protocol.test),
            "rows": [_row(key, seeds, scores) for key, seeds in scores.items()],
        },
    )


def _features(
    table: LabelTable,
    sample: Sample,
    backbone: Backbone,
    resize: ResizePolicy,
    cache: Path | None,
    report: Progress,
) -> NDArray[np.float32]:
    """Return the features of the sample, training part first."""
    from boost_edge.export.features import extract_features

    rows: list[int] = np.concatenate([sample.train, sample.test]).tolist()
    features = extract_features(
        backbone,
        [table.paths[row] for row in rows],
        resize=resize,
        cache=cache,
        progress=partial(report, f"features ({resize})"),
    )
    if features.skipped:
        error: ImageError = features.skipped[0][1]
        raise error
    return features.matrix


def _embeddings(
    table: LabelTable,
    sample: Sample,
    features: NDArray[np.float32],
    plan: QualityPlan,
    seed: int,
    report: Progress,
) -> list[_Embedded]:
    """Train a head per recipe and return the test part's embeddings by recipe and readout."""
    import torch

    from boost_edge.export.calibrate import calibrate_head
    from boost_edge.export.fit import Rows, fit_head
    from boost_edge.export.recipes import RECIPES
    from boost_edge.models.fused import read_out

    count = len(sample.train)
    train = Rows(features=features[:count], codes=table.codes[sample.train])
    test = torch.from_numpy(features[count:])
    found: list[_Embedded] = []
    if "raw" in plan.readouts:
        found.append((("none", "raw"), features[count:]))
    boosted: list[Readout] = [readout for readout in plan.readouts if readout != "raw"]
    for name in plan.recipes if boosted else ():
        recipe = RECIPES[name]
        held = int(count * _VALIDATION_SHARE) if recipe.validation else 0
        fitted = fit_head(
            _rows(train, slice(held, None)),
            _rows(train, slice(held)) if held else None,
            [len(attribute.values) for attribute in table.attributes],
            recipe,
            seed=seed,
            progress=partial(report, f"training ({name})"),
        )
        if held:
            calibrate_head(fitted.head, _rows(train, slice(held)))
        with torch.inference_mode():
            for each in boosted:
                embeddings, _ = read_out(fitted.head, test, each, blend=recipe.blend)
                found.append(((name, each), embeddings.numpy()))
    return found


def _rows(rows: Any, part: slice) -> Any:
    return type(rows)(features=rows.features[part], codes=rows.codes[part])


def _judge(
    table: LabelTable, sample: Sample, embeddings: NDArray[np.float32], name_column: str
) -> _Scores:
    """Return every metric's value for every query of the test part."""
    codes = table.codes[sample.test]
    rows: list[int] = sample.test.tolist()
    names = [table.columns[name_column][row] for row in rows]
    relevance = relevance_matrix(codes, names)
    predicted = nearest_others(embeddings)
    scores = {
        "map10": 100 * average_precision_at_k(rank_others(relevance), predicted),
        "precision10": precision_at_k(relevance, predicted),
        "dimensions": np.array([float(embeddings.shape[1])]),
    }
    for column, attribute in enumerate(table.attributes):
        scores[attribute.name] = agreement_at_k(codes[:, column], codes[predicted, column])
    return scores


def _row(
    key: tuple[str, str, str],
    seeds: Sequence[_Scores],
    scores: Mapping[tuple[str, str, str], Sequence[_Scores]],
) -> dict[str, Any]:
    resize, recipe, readout = key
    values = [float(each["map10"].mean()) for each in seeds]
    row: dict[str, Any] = {
        "resize": resize,
        "recipe": recipe,
        "readout": readout,
        "dimensions": int(seeds[0]["dimensions"][0]),
        "map10": float(np.mean(values)),
        "map10_std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "map10_by_seed": values,
        "precision10": float(np.mean([each["precision10"].mean() for each in seeds])),
        "agreement10": {
            name: float(np.mean([np.nanmean(each[name]) for each in seeds]))
            for name in seeds[0]
            if name not in {"map10", "precision10", "dimensions"}
        },
    }
    base = scores.get((resize, "none", "raw"))
    if base is not None and readout != "raw":
        gain = paired_bootstrap(
            np.concatenate([each["map10"] for each in base]),
            np.concatenate([each["map10"] for each in seeds]),
        )
        row["gain"] = asdict(gain)
        row["relative_gain"] = gain.mean / float(np.mean([each["map10"].mean() for each in base]))
    return row
