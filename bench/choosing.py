"""``bench choose``: what it is worth to choose which images are labelled.

The labels of a table stand in for the person. The images to judge by are never asked for, nor are
copies of them; of all others some are labelled, a few hundred at a time: drawn by chance, or chosen
with the head that was trained on the labels so far (`boost_edge.runtime.choosing`). Both begin with
the same images, drawn by chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import gain_of, spread
from boost_edge.bench.heads import embed, train_head
from boost_edge.bench.judging import judge_embeddings, judge_posteriors
from boost_edge.bench.metrics import agreement_at_k
from boost_edge.bench.results import make_result
from boost_edge.bench.subject import Draw, Setup, Subject, carve
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.runtime.choosing import choose_rows, doubts
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Readout, ResizePolicy
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from boost_edge.models.head import BoostHead

__all__ = ["ChoosingPlan", "measure_choosing"]

_RAW = "raw"
_WAYS = ("chance", "chosen")
_HITS = 10
# Queries whose cosines to all images are held at once.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosingPlan:
    """What to measure: one readout of one recipe, after ``labels`` images (ascending).

    ``doubts_of`` are the attributes whose doubts count when choosing; None for all.
    """

    setup: Setup
    recipe: str
    readout: Readout
    resize: ResizePolicy
    doubts_of: tuple[str, ...] | None = None
    labels: tuple[int, ...] = (600, 1200, 1800, 2400, 3000)


def measure_choosing(
    labels: Path,
    *,
    images: Path,
    plan: ChoosingPlan,
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Label step by step in both ways, and return the result.

    ``rows`` are by labels and way (``chance``, ``chosen``): ``map10`` within the test part, and by
    attribute ``accuracy`` on it and ``agreement10``, the share of its images' ten nearest of the
    whole table that have their value; ``raw`` has the same of the features. What was chosen has
    its paired ``gain`` in mAP@10, and ``agreement_gain``, over as many labels drawn by chance:
    seeds, each with other labels, are averaged by query, and the interval is over the queries.

    Raises
    ------
    UsageError
        When the numbers of labels do not rise, or more are asked for than there are.
    """
    from boost_edge.export.recipes import RECIPES

    subject = Subject(labels, images=images, setup=plan.setup, cache=cache, progress=progress)
    work = _Work(subject, plan)
    description = subject.describe() | {"split": "hashed", "protocol": None}
    what = {
        "kind": "choosing",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None},
        "recipe": RECIPES[plan.recipe].settings(),
    }
    trials = run_trials(plan.setup.seeds, work.measure, what=what, out=out)
    attributes = subject.attributes
    rows: list[dict[str, Any]] = []
    for count in plan.labels:
        for way in _WAYS:
            name, base = f"{count}/{way}", f"{count}/chance"
            row = {"labels": count, "way": way, **_judged(trials, name, attributes)}
            row["accuracy"] = {
                each: spread(trials, name, f"accuracy.{each}") for each in attributes
            }
            row["gain_over_raw"] = gain_of(trials, _RAW, name)
            if way == "chosen":
                row["gain"] = gain_of(trials, base, name)
                row["agreement_gain"] = {
                    each: gain_of(trials, base, name, f"agreement.{each}") for each in attributes
                }
            rows.append(row)
    return make_result(
        "choosing",
        {
            **description,
            "recipe": plan.recipe,
            "readout": plan.readout,
            "resize": plan.resize,
            "doubts_of": None if plan.doubts_of is None else list(plan.doubts_of),
            "pool": len(work.pool),
            "test": len(work.test),
            "images": len(subject.table),
            "samples": [trial.sample for trial in trials.seeds],
            "raw": _judged(trials, _RAW, attributes),
            "rows": rows,
        },
    )


def _judged(trials: Trials, name: str, attributes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "map10": spread(trials, name, "map10"),
        "agreement10": {each: spread(trials, name, f"agreement.{each}") for each in attributes},
    }


class _Work:
    """The features of the whole table, its test part, and the pool that labels are asked of."""

    def __init__(self, subject: Subject, plan: ChoosingPlan) -> None:
        from boost_edge.export.recipes import RECIPES
        from boost_edge.export.splits import split_rows

        self.subject, self.plan, self.recipe = subject, plan, RECIPES[plan.recipe]
        wanted = subject.attributes if plan.doubts_of is None else plan.doubts_of
        if unknown := [name for name in wanted if name not in subject.attributes]:
            raise UsageError(
                f"{unknown[0]!r} is no attribute that is learnt here: those are "
                f"{', '.join(subject.attributes)}"
            )
        self.columns = [column for column, name in enumerate(subject.attributes) if name in wanted]
        split = split_rows(subject.table, seed=0)
        self.test = split.test
        pool = np.sort(np.concatenate([split.train, split.val]))
        if len(self.test) < 2:
            raise UsageError(f"{subject.table.path}: has fewer than two images to judge by")
        draw = Draw(train=pool, val=pool[:0], test=self.test)
        every = np.arange(len(subject.table))
        self.matrix = subject.features(subject.backbone(draw), every, plan.resize)
        self.sample = subject.sample_digest(draw)
        self.relevance = subject.relevance(self.test)
        # Copies of a file have the same features to the bit.
        self.contents = np.unique(
            [hash(row.tobytes()) for row in self.matrix], return_inverse=True
        )[1]
        self.pool = pool[~np.isin(self.contents[pool], self.contents[self.test])]
        counts = plan.labels
        if list(counts) != sorted(set(counts)) or not 10 <= counts[0] <= counts[-1] <= len(
            self.pool
        ):
            raise UsageError(
                f"labels {counts}: give rising numbers from 10 to {len(self.pool)}, as many images "
                "as can be labelled"
            )
        self.raw = self._retrieval(self.matrix)

    def measure(self, seed: int) -> Trial:
        """Return the scores of one seed."""
        counts = self.plan.labels
        order = np.random.default_rng(seed).permutation(self.pool)
        rows = {_RAW: self.raw}
        chosen = order[: counts[0]]
        asked = self._train(chosen, seed, f"{counts[0]:,} labels")
        rows |= dict.fromkeys((f"{counts[0]}/{way}" for way in _WAYS), self._judge(asked))
        for count in counts[1:]:
            by_chance = self._train(order[:count], seed, f"{count:,} by chance")
            rows[f"{count}/chance"] = self._judge(by_chance)
            chosen = np.concatenate([chosen, self._choose(asked, chosen, count, seed)])
            asked = self._train(chosen, seed, f"{count:,} chosen")
            rows[f"{count}/chosen"] = self._judge(asked)
        return Trial(sample=self.sample, rows=rows)

    def _choose(
        self, head: BoostHead, chosen: NDArray[np.int64], count: int, seed: int
    ) -> NDArray[np.int64]:
        """Choose so many rows that all of them are ``count``."""
        from boost_edge.export.calibrate import posteriors_of

        rest = np.setdiff1d(self.pool, chosen)
        features = self.matrix[rest]
        posteriors = posteriors_of(head, features)
        rows = choose_rows(
            self._embed(head, features),
            doubts([posteriors[column] for column in self.columns]),
            count - len(chosen),
            labelled=self._embed(head, self.matrix[chosen]),
            seed=seed,
        )
        return rest[rows]

    def _train(self, labelled: NDArray[np.int64], seed: int, name: str) -> BoostHead:
        # What was chosen first and last are unlike: validate on some of each.
        mixed = np.random.default_rng(seed).permutation(np.sort(labelled))
        part = carve(mixed, self.test)
        return train_head(
            self.subject.rows(self.matrix[part.train], part.train),
            self.subject.rows(self.matrix[part.val], part.val),
            self.subject.classes,
            self.recipe,
            seed=seed,
            progress=partial(self.subject.report, f"training ({name})"),
        )

    def _judge(self, head: BoostHead) -> dict[str, NDArray[np.float64]]:
        codes, attributes = self.subject.table.codes[self.test], self.subject.attributes
        return self._retrieval(self._embed(head, self.matrix)) | judge_posteriors(
            head, self.matrix[self.test], codes, attributes
        )

    def _retrieval(self, embeddings: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """Return mAP@10 within the test part, and how its images' hits of all agree with them."""
        scores = judge_embeddings(embeddings[self.test], self.relevance, ranking=False)
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        hits = _nearest(embeddings / np.maximum(lengths, 1e-12), self.test, self.contents)
        codes = self.subject.table.codes
        for column, name in enumerate(self.subject.attributes):
            own = codes[:, column]
            scores[f"agreement.{name}"] = agreement_at_k(own[self.test], own[hits])
        return scores

    def _embed(self, head: BoostHead, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return embed(head, features, self.plan.readout, blend=self.recipe.blend)


def _nearest(
    units: NDArray[np.float32], queries: NDArray[np.int64], contents: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the ten nearest of some rows, ``(Q, 10)``, best first, but for their own copies."""
    parts: list[NDArray[np.int64]] = []
    for rows in np.array_split(queries, len(queries) // _AT_ONCE + 1):
        cosines = units[rows] @ units.T
        cosines[contents[rows][:, None] == contents[None, :]] = -np.inf
        parts.append(np.argsort(-cosines, axis=1, kind="stable")[:, :_HITS])
    return np.concatenate(parts)
