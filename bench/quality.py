"""``bench quality``: raw features against every readout of trained heads, over several seeds.

Each seed draws its own images (or takes the label table's own split), trains its own heads and
ranks its own test part; embeddings are computed with torch from cached features, so that many
rows cost little more than one. The result is described in docs/results-format.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boost_edge.bench.comparing import gain_of, spread
from boost_edge.bench.heads import embed, train_head
from boost_edge.bench.judging import judge_embeddings, judge_posteriors
from boost_edge.bench.metrics import chance_map_at_k
from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.ranking import RANKING_METRICS
from boost_edge.bench.results import make_result
from boost_edge.bench.subject import Draw, Setup, Subject
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.runtime.errors import WeightsError
from boost_edge.runtime.manifest import Readout, ResizePolicy
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from boost_edge.models.head import BoostHead

__all__ = ["QualityPlan", "measure_quality", "row_name"]

# Of one value of an embedding: galleries keep float32.
_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPlan:
    """What to measure: every combination of resize policy, recipe and readout, on one setup.

    ``note`` is kept in the result, for what its reader must know of the weights.
    """

    setup: Setup
    resizes: tuple[ResizePolicy, ...]
    recipes: tuple[str, ...]
    readouts: tuple[Readout, ...]
    note: str | None = None


def row_name(resize: str, recipe: str, readout: str) -> str:
    """Return the name of a row, such as ``crop/boost/attributes`` or ``crop/none/raw``."""
    return f"{resize}/{recipe}/{readout}"


def measure_quality(
    labels: Path,
    *,
    images: Path,
    plan: QualityPlan,
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the protocol and return the result: one row per combination, with every seed's value.

    ``map10`` is the paper's mAP@10 times 100. ``gain`` is the paired bootstrap interval of its
    difference to the readout ``raw`` of the same resize policy. With ``out`` the scores of every
    query are kept beside that file (`boost_edge.bench.trials`), and an interrupted measurement
    goes on with the next seed. Where torchvision's weights cannot be had, the rows say so.

    Raises
    ------
    UsageError
        When the label table lacks the name column, or has too few groups.
    ImageError
        When an image that was drawn cannot be read: the protocol has no room for gaps.
    WeightsError
        When a weights file is damaged or does not fit, or one that was named is absent.
    """
    from boost_edge.export.recipes import RECIPES

    plan = _read_where_the_paper_does(plan)
    try:
        subject = Subject(labels, images=images, setup=plan.setup, cache=cache, progress=progress)
    except WeightsError as error:
        # What it says after the colon is for whoever runs this, with folders of this machine.
        reason = str(error).partition(": ")[0]
        if plan.setup.weights != "imagenet" or not reason.startswith("cannot fetch "):
            raise
        return _unavailable(plan, reason)
    description = subject.describe()
    what = {
        "kind": "quality",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None, "note": None},
        "recipes": [RECIPES[name].settings() for name in plan.recipes],
    }
    trials = run_trials(plan.setup.seeds, partial(_measure_seed, subject, plan), what=what, out=out)
    tested = [len(values) for values in trials.values(trials.rows[0], "map10")]
    return make_result(
        "quality",
        {
            **description,
            "note": plan.note,
            "images": {"fitted": len(subject.draw(0).fitted), "test": tested[0]},
            "samples": [trial.sample for trial in trials.seeds],
            "chance_map10": 100 * chance_map_at_k(tested[0]),
            "rows": [
                _row(trials, each, plan.setup.backbone, subject.attributes)
                for each in _combinations(plan)
            ],
        },
    )


_Combination = tuple[ResizePolicy, str, Readout]


def _combinations(plan: QualityPlan) -> list[_Combination]:
    found: list[_Combination] = []
    for resize in plan.resizes:
        if "raw" in plan.readouts:
            found.append((resize, "none", "raw"))
        found.extend(
            (resize, recipe, readout)
            for recipe in plan.recipes
            for readout in plan.readouts
            if readout != "raw"
        )
    return found


def _measure_seed(subject: Subject, plan: QualityPlan, seed: int) -> Trial:
    from boost_edge.export.recipes import RECIPES

    draw = subject.draw(seed)
    codes = subject.table.codes[draw.test]
    relevance = subject.relevance(draw.test)
    rows: dict[str, dict[str, NDArray[Any]]] = {}
    for resize in plan.resizes:
        features = _features(subject, draw, resize, tested_only=plan.readouts == ("raw",))
        heads: dict[str, BoostHead] = {}
        for policy, name, readout in _combinations(plan):
            if policy != resize:
                continue
            recipe = RECIPES.get(name)
            if recipe is not None and name not in heads:
                heads[name] = train_head(
                    subject.rows(features[1], draw.train),
                    subject.rows(features[0], draw.val),
                    subject.classes,
                    recipe,
                    seed=seed,
                    progress=partial(subject.report, f"training ({name})"),
                )
            embeddings = embed(
                heads.get(name), features[2], readout, blend=recipe.blend if recipe else 0.0
            )
            row = judge_embeddings(embeddings, relevance, codes, subject.attributes)
            if name in heads:
                row |= judge_posteriors(heads[name], features[2], codes, subject.attributes)
            rows[row_name(resize, name, readout)] = row
    return Trial(sample=subject.sample_digest(draw), rows=rows)


def _features(
    subject: Subject, draw: Draw, resize: ResizePolicy, *, tested_only: bool
) -> Sequence[NDArray[Any]]:
    """Return the features of the validation, training and test rows.

    Raw features alone train nothing: a slow backbone then sees the test rows only.
    """
    import numpy as np

    backbone = subject.backbone(draw, resize)
    if tested_only:
        draw = replace(draw, val=draw.val[:0], train=draw.train[:0])
    parts = (draw.val, draw.train, draw.test)
    matrix = subject.features(backbone, np.concatenate(parts), resize)
    return np.split(matrix, np.cumsum([len(part) for part in parts])[:-1])


def _row(
    trials: Trials, combination: _Combination, backbone: str, attributes: Sequence[str]
) -> dict[str, Any]:
    resize, recipe, readout = combination
    name = row_name(*combination)
    headline = spread(trials, name, "map10")
    dimensions = int(trials.values(name, "dimensions")[0][0])
    row: dict[str, Any] = {
        "resize": resize,
        "recipe": recipe,
        "readout": readout,
        "dimensions": dimensions,
        "bytes_per_image": _BYTES * dimensions,
        "map10": headline["mean"],
        "map10_std": headline["std"],
        "map10_by_seed": headline["by_seed"],
        **{metric: spread(trials, name, metric) for metric in RANKING_METRICS},
        "agreement10": {
            each: spread(trials, name, f"agreement.{each}")["mean"] for each in attributes
        },
    }
    if recipe != "none":
        row["attributes"] = {
            each: {
                metric: spread(trials, name, f"{metric}.{each}")
                for metric in ("accuracy", "calibration_error")
            }
            for each in attributes
        }
    base = row_name(resize, "none", "raw")
    if readout != "raw" and base in trials.rows:
        row["gain"] = gain_of(trials, base, name)
        row["relative_gain"] = row["gain"]["mean"] / spread(trials, base, "map10")["mean"]
        row["gains"] = {metric: gain_of(trials, base, name, metric) for metric in RANKING_METRICS}
    return row | _published(backbone, recipe, readout)


def _published(backbone: str, recipe: str, readout: str) -> dict[str, Any]:
    """Return the paper's figures where a row measures what the paper did, or its rival."""
    figure = PAPER_FIGURES.get(backbone)
    if figure is None:
        return {}
    if readout == "raw":
        return {"paper": {"map10": figure.raw}}
    same = recipe == "paper" and readout == "hidden"
    return {
        "paper": {
            "map10": figure.boosted,
            "relative_gain": figure.relative_gain,
            "same_method": same,
        }
    }


def _read_where_the_paper_does(plan: QualityPlan) -> QualityPlan:
    """Take the network's end where no taps are named, and a recipe reads that."""
    from boost_edge.export.recipes import RECIPES
    from boost_edge.models.backbones import BACKBONES

    setup = plan.setup
    papers = any(RECIPES[name].reads_the_end for name in plan.recipes)
    if setup.taps is not None or setup.backbone == "pca" or not papers:
        return plan
    return replace(plan, setup=replace(setup, taps=BACKBONES[setup.backbone].taps[-1:]))


def _unavailable(plan: QualityPlan, reason: str) -> dict[str, Any]:
    """Return a result whose rows say why there is no number."""
    setup = plan.setup
    return make_result(
        "quality",
        {
            "note": plan.note,
            "backbone": setup.backbone,
            "weights": {"name": setup.weights},
            "taps": list(setup.chosen_taps or ()),
            "image_size": setup.image_size,
            "seeds": setup.seeds,
            "rows": [
                {
                    "resize": resize,
                    "recipe": recipe,
                    "readout": readout,
                    "unavailable": reason,
                    **_published(setup.backbone, recipe, readout),
                }
                for resize, recipe, readout in _combinations(plan)
            ],
        },
    )
