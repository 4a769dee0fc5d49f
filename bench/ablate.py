"""``bench ablate``: one choice at a time around a recipe, judged without the test part.

Of the rows that a seed may train on (drawn as for ``bench quality``, in shuffled order), the first
quarter is set apart to be searched: the queries and the gallery of every variant. The next tenth of
what is left is the validation part that the recipe itself chooses its epoch and calibrates by; the
rest trains. The seed's test part is never read, so what wins here can be measured there afterwards.

Each variant is judged by the readouts asked for; ``gain`` is over the recipe as it is, same
readout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import gain_of, hurts, spread
from boost_edge.bench.edits import edited_features
from boost_edge.bench.extra_losses import ExtraLosses, tag_matrix, train_with_extras
from boost_edge.bench.heads import embed, train_head
from boost_edge.bench.judging import judge_embeddings
from boost_edge.bench.results import make_result
from boost_edge.bench.subject import Setup, Subject, carve
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.runtime.manifest import DEFAULT_RESIZE, Readout
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from boost_edge.models.head import BoostHead

__all__ = ["FACTORS", "AblationPlan", "Variant", "measure_ablation", "variants_of"]

_JUDGED_SHARE = 0.25
_BASE = "recipe=as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change to the recipe.

    ``recipe`` are fields to replace; ``taps`` and ``image_size`` of another backbone; ``flips``
    says whether mirrored images are averaged with the originals (``average``) or trained on as
    well (``train``); without ``calibrated`` the temperatures are left at 1.
    """

    factor: str
    value: str
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    taps: tuple[str, ...] | None = None
    image_size: int | None = None
    flips: str = "none"
    calibrated: bool = True
    losses: ExtraLosses | None = None

    @property
    def name(self) -> str:
        """Return the start of the names of its rows."""
        return f"{self.factor}={self.value}"


def _recipe_variants(factor: str, values: Sequence[Any]) -> tuple[Variant, ...]:
    return tuple(
        Variant(factor=factor, value=str(value), recipe={factor: value}) for value in values
    )


FACTORS: Mapping[str, tuple[Variant, ...]] = {
    "width": _recipe_variants("width", (256, 1024, 4096)),
    "dropout": _recipe_variants("dropout", (0.0, 0.25, 0.75)),
    # Components are of standardised features.
    "standardise": (
        Variant(
            factor="standardise", value="False", recipe={"standardise": False, "components": None}
        ),
    ),
    "label_smoothing": _recipe_variants("label_smoothing", (0.05, 0.1, 0.2)),
    "weight_decay": _recipe_variants("weight_decay", (1e-4, 1e-1)),
    "blend": _recipe_variants("blend", (0.5, 0.65, 0.9)),
    "components": _recipe_variants("components", (64, 128)),
    "importance": _recipe_variants("importance", ("equal",)),
    "calibration": (Variant(factor="calibration", value="off", calibrated=False),),
    "flips": tuple(
        Variant(factor="flips", value=value, flips=value) for value in ("average", "train")
    ),
    "tags": (
        Variant(factor="tags", value="only", losses=ExtraLosses(attributes=0.0, tags=1.0)),
        Variant(factor="tags", value="0.3", losses=ExtraLosses(tags=0.3)),
        Variant(factor="tags", value="1", losses=ExtraLosses(tags=1.0)),
    ),
    "refit": _recipe_variants("refit", (True,)),
    "contrast": _recipe_variants("contrast", (0.1, 0.5, 2.0)),
}
"""The variants by factor; those of ``tap`` and ``image_size`` depend on the backbone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPlan:
    """What to compare: variants of one recipe, on one setup."""

    setup: Setup
    recipe: str
    variants: tuple[Variant, ...]
    readouts: tuple[Readout, ...]


def variants_of(
    factors: Sequence[str], *, taps: Sequence[tuple[str, ...]] = (), sizes: Sequence[int] = ()
) -> tuple[Variant, ...]:
    """Return the variants of some factors (keys of `FACTORS`), of other taps and image sizes."""
    found = [variant for factor in factors for variant in FACTORS[factor]]
    found += [Variant(factor="tap", value="+".join(each), taps=each) for each in taps]
    found += [Variant(factor="image_size", value=str(size), image_size=size) for size in sizes]
    return tuple(found)


def measure_ablation(
    labels: Path,
    *,
    images: Path,
    plan: AblationPlan,
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure every variant and return the result: rows by factor, value and readout.

    Raises
    ------
    UsageError
        As `boost_edge.bench.quality.measure_quality`; for a variant that the recipe cannot have.
    MissingExtraError
        When a variant needs a library that is not installed.
    """
    from boost_edge.export.recipes import RECIPES

    for variant in plan.variants:
        _recipe(plan.recipe, variant)  # one that cannot be is refused before anything is measured
    make = partial(Subject, labels, images=images, cache=cache, progress=progress)
    subject = make(setup=plan.setup)
    others = {
        variant.name: make(
            setup=dataclasses.replace(
                plan.setup,
                taps=variant.taps or plan.setup.chosen_taps,
                image_size=variant.image_size or plan.setup.image_size,
            )
        )
        for variant in plan.variants
        if variant.taps or variant.image_size
    }
    description = subject.describe()
    what = {
        "kind": "ablation",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None},
        "recipe": RECIPES[plan.recipe].settings(),
    }
    measure = partial(_measure_seed, subject, others, plan)
    trials = run_trials(plan.setup.seeds, measure, what=what, out=out)
    rows = [_row(trials, name) for name in trials.rows]
    return make_result(
        "ablation",
        {
            **description,
            "recipe": plan.recipe,
            "judged_on": "a quarter of each seed's training rows; its test part is unread",
            "samples": [trial.sample for trial in trials.seeds],
            "rows": rows,
            "hurts": hurts(rows),
        },
    )


def _measure_seed(
    subject: Subject, others: Mapping[str, Subject], plan: AblationPlan, seed: int
) -> Trial:
    fitted = subject.draw(seed).fitted
    judged = int(len(fitted) * _JUDGED_SHARE)
    draw = carve(fitted[judged:], fitted[:judged])
    relevance = subject.relevance(draw.test)
    rows: dict[str, dict[str, NDArray[np.float64]]] = {}
    factor, value = _BASE.split("=")
    for variant in (Variant(factor=factor, value=value), *plan.variants):
        where = others.get(variant.name, subject)
        head, features = _train(where, draw, plan, variant, seed)
        blend = variant.recipe.get("blend", _recipe(plan.recipe, variant).blend)
        for readout in plan.readouts:
            if variant.losses and not variant.losses.attributes and readout != "hidden":
                continue  # its attributes were never trained
            embeddings = embed(head, features, readout, blend=blend)
            rows[f"{variant.name}/{readout}"] = judge_embeddings(
                embeddings, relevance, ranking=False
            )
    return Trial(sample=subject.sample_digest(draw), rows=rows)


def _recipe(name: str, variant: Variant) -> Any:
    from boost_edge.export.recipes import RECIPES

    return dataclasses.replace(RECIPES[name], **variant.recipe)


def _train(
    subject: Subject, draw: Any, plan: AblationPlan, variant: Variant, seed: int
) -> tuple[BoostHead, NDArray[np.float32]]:
    """Return the variant's head, and the features of the rows that are judged."""
    from boost_edge.export.fit import Rows

    recipe = _recipe(plan.recipe, variant)
    backbone = subject.backbone(draw)
    parts = (draw.train, draw.val, draw.test)
    train, val, test = (subject.features(backbone, rows) for rows in parts)
    codes = subject.table.codes[draw.train]
    if variant.flips != "none":
        mirrored = [
            edited_features(subject, backbone, rows, "flip", seed=0, resize=DEFAULT_RESIZE)
            for rows in (parts if variant.flips == "average" else parts[:1])
        ]
        if variant.flips == "average":
            train, val, test = (
                (one + two) / np.float32(2)
                for one, two in zip((train, val, test), mirrored, strict=True)
            )
        else:
            train, codes = np.concatenate([train, mirrored[0]]), np.concatenate([codes, codes])
            # A mirrored image is not another image of its combination.
            recipe = dataclasses.replace(recipe, combination_images=2 * recipe.combination_images)
    rows, held = Rows(features=train, codes=codes), subject.rows(val, draw.val)
    if variant.losses is None:
        head = train_head(
            rows,
            held,
            subject.classes,
            recipe,
            seed=seed,
            progress=partial(subject.report, f"training ({variant.name})"),
        )
    else:
        head = train_with_extras(
            rows,
            held,
            subject.classes,
            recipe,
            variant.losses,
            tags=tag_matrix(subject.names_of(draw.train), len(draw.train)),
            seed=seed,
        )
    if not variant.calibrated:
        head.temperature.fill_(1.0)
        head.typical = None
    return head, test


def _row(trials: Trials, name: str) -> dict[str, Any]:
    change, readout = name.rsplit("/", 1)
    factor, value = change.split("=", 1)
    row: dict[str, Any] = {
        "factor": factor,
        "value": value,
        "readout": readout,
        "dimensions": int(trials.values(name, "dimensions")[0][0]),
        "map10": spread(trials, name, "map10"),
    }
    if change != _BASE:
        row["gain"] = gain_of(trials, f"{_BASE}/{readout}", name)
    return row
