"""``bench curve``: quality against the number of labels, and against wrong labels.

Each seed's head is trained on the first 100, 250, ... of its training rows, and on all of them
with a share of their labels replaced by wrong ones. With the raw row of another measurement, the
result says how many labels make this backbone pass it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import common_seeds, gain_of, hurts, pooled, spread
from boost_edge.bench.heads import embed, train_head
from boost_edge.bench.judging import judge_embeddings
from boost_edge.bench.results import make_result
from boost_edge.bench.subject import Draw, Setup, Subject
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.bench.versus import Side, load_side
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Readout
from boost_edge.runtime.progress import Progress

__all__ = ["CurvePlan", "flip_labels", "labels_to_pass", "measure_curve"]

_RESAMPLES = 2000
_RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePlan:
    """What to measure: one recipe's readouts, trained on ``labels`` rows or with ``noise``.

    ``labels`` are numbers of labelled images, validation rows among them; ``noise`` are shares in
    [0, 1) of the labels of each attribute that are made wrong.
    """

    setup: Setup
    recipe: str
    readouts: tuple[Readout, ...]
    labels: tuple[int, ...] = (100, 250, 500, 1000, 2000, 3000)
    noise: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2)


def measure_curve(
    labels: Path,
    *,
    images: Path,
    plan: CurvePlan,
    baselines: Sequence[Side] = (),
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure both curves and return the result.

    ``rows`` are by labels and readout, ``noise`` by share and readout; ``passes`` says for each
    readout and baseline from how many labels on it is better (`labels_to_pass`).

    Raises
    ------
    UsageError
        When more labels are asked for than a seed trains on, or a baseline has other queries.
    IntegrityError
        When a baseline has no scores beside it.
    """
    from boost_edge.export.recipes import RECIPES

    loaded = [(side, *load_side(side)) for side in baselines]
    subject = Subject(labels, images=images, setup=plan.setup, cache=cache, progress=progress)
    most = len(subject.draw(0).fitted)
    if any(count < 10 or count > most for count in plan.labels):
        raise UsageError(f"labels {plan.labels}: a seed trains on 10 to {most} of them")
    if any(not 0 <= share < 1 for share in plan.noise):
        raise UsageError(f"noise {plan.noise}: shares from 0 to below 1 are possible")
    description = subject.describe()
    what = {
        "kind": "curve",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None},
        "recipe": RECIPES[plan.recipe].settings(),
    }
    trials = run_trials(plan.setup.seeds, partial(_measure_seed, subject, plan), what=what, out=out)
    trained = [readout for readout in plan.readouts if readout != "raw"]
    rows = [
        {"labels": count, "readout": readout, **_measured(trials, f"{count}/{readout}")}
        for readout in trained
        for count in plan.labels
    ]
    noise = [
        {"noise": share, "readout": readout, **_measured(trials, f"{share}/{readout}")}
        for readout in trained
        for share in plan.noise
    ]
    return make_result(
        "curve",
        {
            **description,
            "recipe": plan.recipe,
            "samples": [trial.sample for trial in trials.seeds],
            "raw": spread(trials, _RAW, "map10"),
            "rows": rows,
            "noise": noise,
            "hurts": hurts([*rows, *noise]),
            "passes": [
                {
                    "readout": readout,
                    "baseline": {"file": side.path.name, "row": row},
                    **_passes(trials, plan.labels, readout, theirs, row),
                }
                for side, theirs, row in loaded
                for readout in trained
            ],
        },
    )


def flip_labels(
    codes: NDArray[np.int64], classes: Sequence[int], share: float, *, seed: int
) -> NDArray[np.int64]:
    """Return a copy in which a share of each attribute's known labels is wrong.

    Which ones depends on the seed; the wrong value is any of the attribute's others, each as
    likely. Labels that are wrong at a small share are wrong at a larger one, too. ``codes`` are
    ``(n, A)``, -1 where unknown; ``classes`` the A numbers of values.
    """
    flipped = codes.copy()
    for column, count in enumerate(classes):
        rng = np.random.default_rng([seed, column])
        known = np.flatnonzero(codes[:, column] >= 0)
        chosen = rng.permutation(known)
        steps = rng.integers(1, count, len(chosen))
        wrong = round(share * len(known))
        rows = chosen[:wrong]
        flipped[rows, column] = (codes[rows, column] + steps[:wrong]) % count
    return flipped


def labels_to_pass(
    labels: Sequence[int],
    curve: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> dict[str, float | None]:
    """Return from how many labels on a curve passes a baseline, with its bootstrap interval.

    Between two numbers of labels the curve is taken as linear in their logarithm. The interval is
    the 95% percentile bootstrap over the queries, the same ones for curve and baseline; it takes
    the heads and the images drawn for given.

    Parameters
    ----------
    labels
        L numbers, ascending.
    curve
        (L, Q) each query's value at each number.
    baseline
        (Q,) each query's value.

    Returns
    -------
    ``labels``, ``low``, ``high``: the first number is given where the curve is above from the
    start (the truth is at most that), and None where it never is.
    """
    rng = np.random.default_rng(seed)
    queries = len(baseline)
    found = np.empty(resamples)
    for each in range(resamples):
        chosen = rng.integers(0, queries, queries)
        found[each] = _crossing(labels, curve[:, chosen].mean(axis=1), baseline[chosen].mean())
    low, high = np.quantile(found, (0.025, 0.975), method="nearest").tolist()
    middle = _crossing(labels, curve.mean(axis=1), float(baseline.mean()))
    return {"labels": _known(middle), "low": _known(low), "high": _known(high)}


def _crossing(labels: Sequence[int], means: NDArray[np.float64], level: float) -> float:
    """Return the least number from which on the curve stays above a level; inf for none."""
    above = means > level
    if not above[-1]:
        return np.inf
    below = np.flatnonzero(~above)
    if not below.size:
        return float(labels[0])
    before = int(below[-1])
    rise = means[before + 1] - means[before]
    part = float((level - means[before]) / rise)
    first, second = np.log(labels[before]), np.log(labels[before + 1])
    return float(np.exp(first + part * (second - first)))


def _measure_seed(subject: Subject, plan: CurvePlan, seed: int) -> Trial:
    from boost_edge.export.recipes import RECIPES

    recipe = RECIPES[plan.recipe]
    draw = subject.draw(seed)
    backbone = subject.backbone(draw)
    fitted, test = (subject.features(backbone, rows) for rows in (draw.fitted, draw.test))
    relevance = subject.relevance(draw.test)
    rows = {_RAW: judge_embeddings(test, relevance, ranking=False)}

    def measure(name: str, part: Draw, codes: NDArray[np.int64]) -> None:
        from boost_edge.export.fit import Rows

        held, count = len(part.val), len(part.fitted)
        head = train_head(
            Rows(features=fitted[held:count], codes=codes[held:count]),
            Rows(features=fitted[:held], codes=codes[:held]),
            subject.classes,
            recipe,
            seed=seed,
            progress=partial(subject.report, f"training ({name})"),
        )
        for readout in plan.readouts:
            if readout != "raw":
                embeddings = embed(head, test, readout, blend=recipe.blend)
                rows[f"{name}/{readout}"] = judge_embeddings(embeddings, relevance, ranking=False)

    codes = subject.table.codes[draw.fitted]
    for count in plan.labels:
        measure(str(count), draw.first(count), codes)
    for share in plan.noise:
        measure(str(share), draw, flip_labels(codes, subject.classes, share, seed=seed))
    return Trial(sample=subject.sample_digest(draw), rows=rows)


def _measured(trials: Trials, name: str) -> dict[str, Any]:
    return {"map10": spread(trials, name, "map10"), "gain": gain_of(trials, _RAW, name)}


def _passes(
    trials: Trials, labels: Sequence[int], readout: str, theirs: Trials, row: str
) -> dict[str, Any]:
    seeds = common_seeds(trials, theirs)
    level = pooled(theirs, row, "map10", seeds)
    names = [f"{count}/{readout}" for count in labels]
    curve = np.stack([pooled(trials, name, "map10", seeds) for name in names])
    return {
        "seeds": seeds,
        "map10": float(level.mean()),
        **labels_to_pass(labels, curve, level),
        "by_seed": [
            _known(
                _crossing(
                    labels,
                    np.array([trials.values(name, "map10")[seed].mean() for name in names]),
                    float(theirs.values(row, "map10")[seed].mean()),
                )
            )
            for seed in range(seeds)
        ],
    }


def _known(labels: float) -> float | None:
    return labels if np.isfinite(labels) else None
