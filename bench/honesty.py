"""``bench honesty``: whether boosting helps where its labels do not reach, and where it hurts.

Tests, each of raw features and of every readout of one recipe's head:

``seen``
    The usual protocol, for comparison.
``unseen_groups``
    The test part is made of whole groups of which no image was trained on. They are larger there
    than in ``seen``, so compare the gains, not the means.
``without:<attribute>``
    The head never sees this attribute, but the relevance still asks for it.
``names_only``
    Relevance is the share of the query's name words alone, whatever the attributes say.
``copies:<edit>``
    The gallery holds the test images, the queries are the same images edited
    (`boost_edge.bench.edits`): recall at 1 and mean reciprocal rank of the original.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.comparing import gain_of, hurts, spread
from boost_edge.bench.edits import EDITS, edited_features
from boost_edge.bench.heads import embed, train_head
from boost_edge.bench.judging import judge_embeddings
from boost_edge.bench.metrics import original_ranks
from boost_edge.bench.relevance import relevance_matrix, unseen_groups
from boost_edge.bench.results import make_result
from boost_edge.bench.subject import Draw, Setup, Subject, carve
from boost_edge.bench.trials import Trial, Trials, run_trials
from boost_edge.runtime.manifest import DEFAULT_RESIZE, Readout
from boost_edge.runtime.progress import Progress

if TYPE_CHECKING:
    from boost_edge.export.recipes import Recipe
    from boost_edge.models.backbones import Backbone
    from boost_edge.models.head import BoostHead

__all__ = ["HonestyPlan", "measure_honesty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestyPlan:
    """What to test: the readouts of one recipe on one setup; ``edits`` are names of `EDITS`."""

    setup: Setup
    recipe: str
    readouts: tuple[Readout, ...]
    edits: tuple[str, ...] = tuple(EDITS)


def measure_honesty(
    labels: Path,
    *,
    images: Path,
    plan: HonestyPlan,
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the tests and return the result: rows by test and readout, and where boosting hurts.

    ``gain`` is the paired bootstrap interval of a row's first metric over ``raw`` in the same
    test; ``hurts`` lists the rows where it lies below 0.

    Raises
    ------
    UsageError
        When the label table cannot be used so; as `boost_edge.bench.quality.measure_quality`.
    """
    from boost_edge.export.recipes import RECIPES

    subject = Subject(labels, images=images, setup=plan.setup, cache=cache, progress=progress)
    description = subject.describe()
    what = {
        "kind": "honesty",
        "data": {**description, "seeds": None},
        "plan": {**asdict(plan), "setup": None},
        "recipe": RECIPES[plan.recipe].settings(),
    }
    trials = run_trials(plan.setup.seeds, partial(_measure_seed, subject, plan), what=what, out=out)
    rows = [_row(trials, name) for name in trials.rows]
    return make_result(
        "honesty",
        {
            **description,
            "recipe": plan.recipe,
            "samples": [trial.sample for trial in trials.seeds],
            "rows": rows,
            "hurts": hurts(rows),
        },
    )


def _measure_seed(subject: Subject, plan: HonestyPlan, seed: int) -> Trial:
    from boost_edge.export.recipes import RECIPES

    work = _Seed(subject, plan, RECIPES[plan.recipe], seed)
    rows: dict[str, dict[str, NDArray[np.float64]]] = {}
    for test, scores in work.tests():
        for readout, each in scores.items():
            rows[f"{test}/{readout}"] = each
    return Trial(sample=subject.sample_digest(work.draw), rows=rows)


_ByReadout = Mapping[Readout, dict[str, NDArray[np.float64]]]


class _Seed:
    """One seed's rows, features and heads."""

    def __init__(self, subject: Subject, plan: HonestyPlan, recipe: Recipe, seed: int) -> None:
        self.subject, self.plan, self.recipe, self.seed = subject, plan, recipe, seed
        self.draw = subject.draw(seed)
        self.backbone: Backbone = subject.backbone(self.draw)
        rows = np.concatenate([self.draw.fitted, self.draw.test])
        self.place = {row: place for place, row in enumerate(rows.tolist())}
        self.matrix = subject.features(self.backbone, rows)

    def tests(self) -> Iterator[tuple[str, _ByReadout]]:
        """Yield every test's name and scores."""
        subject, draw = self.subject, self.draw
        columns = list(range(len(subject.attributes)))
        head = self.train(draw, columns)
        yield "seen", self.search(head, draw, subject.relevance(draw.test))
        titles = subject.names_of(draw.test)
        if subject.titles is not None:
            words = relevance_matrix(np.zeros((len(draw.test), 1), np.int64), titles)
            yield "names_only", self.search(head, draw, words)
        for edit in self.plan.edits:
            yield f"copies:{edit}", self.copies(head, edit)
        if not subject.fixed:
            rows = np.concatenate([draw.fitted, draw.test])
            fitted, test = unseen_groups(
                subject.table.codes, rows, test=len(draw.test), seed=self.seed
            )
            apart = carve(fitted, test)
            other = self.train(apart, columns)
            yield "unseen_groups", self.search(other, apart, subject.relevance(test))
        for column, name in enumerate(subject.attributes if len(columns) > 1 else ()):
            blind = self.train(draw, [each for each in columns if each != column])
            yield f"without:{name}", self.search(blind, draw, subject.relevance(draw.test))

    def train(self, draw: Draw, columns: Sequence[int]) -> BoostHead:
        """Train a head on some of the attributes."""
        from boost_edge.export.fit import Rows

        train, val = (
            Rows(
                features=self.features(rows),
                codes=np.ascontiguousarray(self.subject.table.codes[rows][:, columns]),
            )
            for rows in (draw.train, draw.val)
        )
        return train_head(
            train,
            val,
            [self.subject.classes[column] for column in columns],
            self.recipe,
            seed=self.seed,
            progress=partial(self.subject.report, f"training ({self.recipe.name})"),
        )

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of rows of this seed."""
        return self.matrix[[self.place[row] for row in rows.tolist()]]

    def search(self, head: BoostHead, draw: Draw, relevance: NDArray[np.float32]) -> _ByReadout:
        """Judge every readout on a test part."""
        features = self.features(draw.test)
        return {
            readout: judge_embeddings(self.embed(head, features, readout), relevance)
            for readout in self.plan.readouts
        }

    def copies(self, head: BoostHead, edit: str) -> _ByReadout:
        """Search for the originals of edited images."""
        edited = edited_features(
            self.subject, self.backbone, self.draw.test, edit, seed=0, resize=DEFAULT_RESIZE
        )
        originals = self.features(self.draw.test)
        found: dict[Readout, dict[str, NDArray[np.float64]]] = {}
        for readout in self.plan.readouts:
            ranks = original_ranks(
                self.embed(head, originals, readout), self.embed(head, edited, readout)
            )
            found[readout] = {"mrr": 1 / ranks, "recall1": (ranks <= 1).astype(np.float64)}
        return found

    def embed(
        self, head: BoostHead, features: NDArray[np.float32], readout: Readout
    ) -> NDArray[np.float32]:
        """Read embeddings out of features."""
        return embed(head, features, readout, blend=self.recipe.blend)


def _row(trials: Trials, name: str) -> dict[str, Any]:
    test, readout = name.rsplit("/", 1)
    metrics = ("mrr", "recall1") if test.startswith("copies:") else ("map10", "trec_map", "ndcg10")
    row: dict[str, Any] = {"test": test, "readout": readout, "metric": metrics[0]}
    row |= {metric: spread(trials, name, metric) for metric in metrics}
    base = f"{test}/raw"
    if readout != "raw" and base in trials.rows:
        row["gain"] = gain_of(trials, base, name, metrics[0])
        before = row["gain"]["mean"], spread(trials, base, metrics[0])["mean"]
        row["relative_gain"] = before[0] / before[1] if before[1] else None
        row["gains"] = {metric: gain_of(trials, base, name, metric) for metric in metrics[1:]}
    return row
