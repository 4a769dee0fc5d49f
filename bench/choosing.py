"""``bench choose``: what it is worth to choose which images are labelled.

The labels of a table stand in for the person. Its test part is never asked for; of all other
images some are labelled, a few hundred at a time: drawn by chance, or chosen with the head that was
trained on the labels so far (`boost_edge.runtime.choosing`). Both begin with the same images, drawn
by chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import gain_of, spread
from boost_edge.bench.heads import embed, posteriors_of, train_head
from boost_edge.bench.judging import judge_embeddings, judge_posteriors
from boost_edge.bench.metrics import agreement_at_k
from boost_edge.bench.results import make_result
from boost_edge.bench.split_table import check_split_table, write_split_table
from boost_edge.bench.subject import Draw, Setup, Subject, carve
from boost_edge.bench.trials import Trial, run_trials
from boost_edge.runtime.choosing import choose_rows, doubts
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Readout, ResizePolicy
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from boost_edge.export.labels import LabelTable
    from boost_edge.models.head import BoostHead

__all__ = ["ChoosingPlan", "measure_choosing"]

_RAW = "raw"
_WAYS = ("chance", "chosen")


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
    chosen_labels: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Label step by step in both ways, and return the result.

    ``rows`` are by labels and way (``chance``, ``chosen``): ``map10`` within the test part, and by
    attribute ``accuracy`` on it and ``agreement10``, the share of its images' ten nearest of the
    whole table that have their value. What was chosen has its paired ``gain`` in mAP@10, and
    ``agreement_gain``, over as many labels drawn by chance.

    Parameters
    ----------
    chosen_labels
        Where to write what was chosen with seed 0, as a label table whose split column marks it
        as ``train``, and the test part as ``test``.

    Raises
    ------
    UsageError
        When more labels are asked for than there are, or ``chosen_labels`` is no CSV file.
    """
    from boost_edge.export.recipes import RECIPES

    if chosen_labels is not None:
        check_split_table(chosen_labels, labels)
    subject = Subject(labels, images=images, setup=plan.setup, cache=cache, progress=progress)
    work = _Work(subject, plan)
    if not 10 <= plan.labels[0] <= plan.labels[-1] <= len(work.pool):
        raise UsageError(f"labels {plan.labels}: 10 to {len(work.pool)} images can be labelled")
    description = subject.describe()
    what = {
        "kind": "choosing",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None},
        "recipe": RECIPES[plan.recipe].settings(),
        "labels_to": None if chosen_labels is None else str(chosen_labels),
    }

    def measure(seed: int) -> Trial:
        trial, chosen = work.measure(seed)
        if seed == 0 and chosen_labels is not None:
            _write(chosen_labels, subject.table, chosen, work.test)
        return trial

    trials = run_trials(plan.setup.seeds, measure, what=what, out=out)
    rows: list[dict[str, Any]] = []
    for count in plan.labels:
        for way in _WAYS:
            name = f"{count}/{way}"
            row: dict[str, Any] = {"labels": count, "way": way}
            row["map10"] = spread(trials, name, "map10")
            row["gain_over_raw"] = gain_of(trials, _RAW, name)
            for kind, metric in (("accuracy", "accuracy"), ("agreement10", "agreement")):
                row[kind] = {
                    each: spread(trials, name, f"{metric}.{each}") for each in subject.attributes
                }
            if way == "chosen":
                base = f"{count}/chance"
                row["gain"] = gain_of(trials, base, name)
                row["agreement_gain"] = {
                    each: gain_of(trials, base, name, f"agreement.{each}")
                    for each in subject.attributes
                }
            rows.append(row)
    return make_result(
        "choosing",
        {
            **description,
            "protocol": None,
            "recipe": plan.recipe,
            "readout": plan.readout,
            "resize": plan.resize,
            "doubts_of": plan.doubts_of and list(plan.doubts_of),
            "pool": len(work.pool),
            "test": len(work.test),
            "samples": [trial.sample for trial in trials.seeds],
            "raw": spread(trials, _RAW, "map10"),
            "rows": rows,
        },
    )


class _Work:
    """The features of the whole table, its test part, and the pool that labels are asked of."""

    def __init__(self, subject: Subject, plan: ChoosingPlan) -> None:
        from boost_edge.export.recipes import RECIPES
        from boost_edge.export.splits import split_rows

        self.subject, self.plan, self.recipe = subject, plan, RECIPES[plan.recipe]
        split = split_rows(subject.table, seed=0)
        self.test = split.test
        wanted = plan.doubts_of or subject.attributes
        unknown = [name for name in wanted if name not in subject.attributes]
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is no attribute that is learnt here: those are "
                f"{', '.join(subject.attributes)}"
            )
        self.columns = [subject.attributes.index(name) for name in wanted]
        self.pool = np.sort(np.concatenate([split.train, split.val]))

    def measure(self, seed: int) -> tuple[Trial, NDArray[np.int64]]:
        """Return the scores of one seed, and the rows that were chosen with it."""
        subject, plan = self.subject, self.plan
        order = np.random.default_rng(seed).permutation(self.pool)
        draw = Draw(train=self.pool, val=self.pool[:0], test=self.test)
        matrix = subject.features(
            subject.backbone(draw), np.arange(len(subject.table)), plan.resize
        )
        relevance = subject.relevance(self.test)
        rows = {_RAW: judge_embeddings(matrix[self.test], relevance, ranking=False)}
        chosen = order[: plan.labels[0]]
        head: BoostHead | None = None
        for count in plan.labels:
            if head is not None:
                chosen = np.concatenate([chosen, self._choose(head, matrix, chosen, count, seed)])
            for way, labelled in zip(_WAYS, (order[:count], chosen), strict=True):
                if way == "chosen" and count == plan.labels[0]:
                    # Both begin alike.
                    rows[f"{count}/chosen"] = rows[f"{count}/chance"]
                    continue
                head = self._train(matrix, labelled, seed, f"{count:,} {way}")
                rows[f"{count}/{way}"] = self._judge(head, matrix, relevance)
        return Trial(sample=subject.sample_digest(draw), rows=rows), chosen

    def _choose(
        self,
        head: BoostHead,
        matrix: NDArray[np.float32],
        chosen: NDArray[np.int64],
        count: int,
        seed: int,
    ) -> NDArray[np.int64]:
        """Choose so many rows that all of them are ``count``."""
        rest = np.setdiff1d(self.pool, chosen)
        embeddings = self._embed(head, matrix[rest])
        posteriors = posteriors_of(head, matrix[rest])
        doubt = doubts([posteriors[column] for column in self.columns])
        return rest[choose_rows(embeddings, doubt, count - len(chosen), seed=seed)]

    def _train(
        self, matrix: NDArray[np.float32], labelled: NDArray[np.int64], seed: int, name: str
    ) -> BoostHead:
        # What was chosen first and last are unlike: validate on some of each.
        mixed = np.random.default_rng(seed).permutation(np.sort(labelled))
        part = carve(mixed, self.test)
        return train_head(
            self.subject.rows(matrix[part.train], part.train),
            self.subject.rows(matrix[part.val], part.val),
            self.subject.classes,
            self.recipe,
            seed=seed,
            readouts=(self.plan.readout,),
            progress=partial(self.subject.report, f"training ({name})"),
        )

    def _judge(
        self, head: BoostHead, matrix: NDArray[np.float32], relevance: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float64]]:
        subject, codes = self.subject, self.subject.table.codes
        embeddings = self._embed(head, matrix)
        scores = judge_embeddings(embeddings[self.test], relevance, ranking=False)
        scores |= judge_posteriors(head, matrix[self.test], codes[self.test], subject.attributes)
        hits = _nearest(embeddings, self.test)
        for column, name in enumerate(subject.attributes):
            own = codes[:, column]
            scores[f"agreement.{name}"] = agreement_at_k(own[self.test], own[hits])
        return scores

    def _embed(self, head: BoostHead, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return embed(head, features, self.plan.readout, blend=self.recipe.blend)


def _nearest(embeddings: NDArray[np.float32], queries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ten nearest others of some rows, ``(Q, 10)``, best first."""
    cosines = embeddings[queries] @ embeddings.T
    cosines[np.arange(len(queries)), queries] = -np.inf
    return np.argsort(-cosines, axis=1, kind="stable")[:, :10]


def _write(
    out: Path, table: LabelTable, chosen: NDArray[np.int64], test: NDArray[np.int64]
) -> None:
    rows: list[int] = [*chosen.tolist(), *test.tolist()]
    columns = {
        name: [cells[row] for row in rows]
        for name, cells in ({table.image_column: table.names} | dict(table.columns)).items()
    }
    write_split_table(out, columns, ["train"] * len(chosen) + ["test"] * len(test))
