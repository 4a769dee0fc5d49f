"""What every candidate will take, before anything is trained: counted, and scaled by a few probes.

Time does not depend on what weights hold, so the probes' heads need no training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from boost_edge.export.artefacts import writing
from boost_edge.export.candidates import Candidate, Network
from boost_edge.export.combinations import need_combinations
from boost_edge.export.convert import convert_network
from boost_edge.export.cost_model import Cost, CostModel, calibrate_costs, count_cost
from boost_edge.export.labels import LabelTable
from boost_edge.export.model_latency import measure_latency
from boost_edge.export.recipes import Recipe
from boost_edge.export.splits import Split
from boost_edge.export.tune_report import Row
from boost_edge.export.tune_settings import TuneSettings
from boost_edge.export.tune_work import Work
from boost_edge.export.whole import make_backbone
from boost_edge.models.backbones import Backbone
from boost_edge.models.fused import FusedEncoder
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import BoostEdgeError, UsageError, WeightsError

__all__ = ["MOST_PROBES", "count_candidates", "fit_cost_models", "predict_rows"]

# Three rates, and one to see that they are not made up.
MOST_PROBES = 4
"""How many networks are timed to find the rates of this machine."""


def count_candidates(
    candidates: Sequence[Candidate],
    table: LabelTable,
    split: Split,
    settings: TuneSettings,
    begin: Callable[[str], None],
) -> tuple[Row, ...]:
    """Return a row for each candidate, with its cost or why it is impossible.

    Raises
    ------
    UsageError, WeightsError
        When all are impossible: the reason of the first. When a readout is asked for that the
        labels do not allow.
    LabelTableError, RunError
        When no backbone can be made.
    """
    rows: dict[Candidate, Row] = {}
    backbones: dict[tuple[int, tuple[str, ...] | None], Backbone | BoostEdgeError] = {}
    for candidate in candidates:
        network = candidate.network
        key = (network.image_size, network.taps)
        if key not in backbones:
            begin(f"counting {network.image_size} px, {network.tap}")
            try:
                backbone = make_backbone(table, split, settings.of(network))
                # Only its shapes are needed now.
                backbones[key] = backbone.to("meta")
            except WeightsError as error:
                if settings.base.weights == "imagenet":
                    # Cannot be had at all.
                    raise
                backbones[key] = error
            except UsageError as error:
                backbones[key] = error
        found = backbones[key]
        if isinstance(found, BoostEdgeError):
            rows[candidate] = Row(candidate=candidate, status="impossible", reason=str(found))
            continue
        encoder = _untrained(found, candidate, table, split, settings.base.recipe)
        rows[candidate] = Row(
            candidate=candidate,
            status="planned",
            dimensions=encoder.dimensions,
            cost=count_cost(encoder),
        )
    errors = [each for each in backbones.values() if isinstance(each, BoostEdgeError)]
    if len(errors) == len(backbones):
        raise errors[0]
    return tuple(rows[candidate] for candidate in candidates)


def fit_cost_models(
    rows: Sequence[Row],
    table: LabelTable,
    split: Split,
    settings: TuneSettings,
    work: Work,
    begin: Callable[[str], None],
) -> tuple[dict[int, CostModel], frozenset[Network]]:
    """Time a few of the candidates; return a cost model by number of threads, and their networks.

    Raises
    ------
    ParityError
        When a network cannot be converted.
    """
    probes = _choose_probes(rows)
    paths: list[Path] = []
    for row in probes:
        path = work.probe(row.candidate)
        if not path.is_file():
            begin(f"converting an untrained network to time: {row.candidate.name}")
            _write_probe(path, row.candidate, table, split, settings)
        paths.append(path)
    begin(f"timing {len(probes)} untrained networks")
    times = measure_latency(paths, settings.all_threads)
    costs = [row.cost for row in probes if row.cost is not None]
    models = {
        count: calibrate_costs(costs, [each[count] for each in times])
        for count in settings.all_threads
    }
    return models, frozenset(row.candidate.network for row in probes)


def predict_rows(rows: Sequence[Row], models: dict[int, CostModel]) -> tuple[Row, ...]:
    """Return the rows with the milliseconds that they should take."""
    return tuple(
        row if row.cost is None else replace(row, predicted_ms=_predicted(row.cost, models))
        for row in rows
    )


def _predicted(cost: Cost, models: dict[int, CostModel]) -> dict[int, float]:
    return {count: model.predict(cost) for count, model in models.items()}


def _choose_probes(rows: Sequence[Row]) -> list[Row]:
    """Return the cheapest and the dearest, and some between, each of another network."""
    first: dict[Network, Row] = {}
    for row in rows:
        if row.cost is not None:
            first.setdefault(row.candidate.network, row)
    ordered = sorted(first.values(), key=lambda row: row.cost.macs if row.cost else 0)
    places = np.linspace(0, len(ordered) - 1, min(MOST_PROBES, len(ordered))).round().astype(int)
    return [ordered[place] for place in places.tolist()]


def _write_probe(
    path: Path, candidate: Candidate, table: LabelTable, split: Split, settings: TuneSettings
) -> None:
    import onnx

    backbone = make_backbone(table, split, settings.of(candidate.network))
    encoder = _untrained(backbone, candidate, table, split, settings.base.recipe)
    model = convert_network(encoder)
    with writing(path) as temporary:
        onnx.save_model(model, temporary)


def _untrained(
    backbone: Backbone, candidate: Candidate, table: LabelTable, split: Split, recipe: Recipe
) -> FusedEncoder:
    """Return a candidate with a head as wide as the trained one will be, give or take a value."""
    if candidate.readout == "raw":
        return FusedEncoder(backbone, None, "raw")

    device = next(backbone.parameters()).device
    with torch.device(device), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = BoostHead(
            backbone.width,
            candidate.network.width,
            [len(attribute.values) for attribute in table.attributes],
            standardise=recipe.standardise,
            components=recipe.components,
        )
        if candidate.readout == "together":
            found = need_combinations(table.codes[split.train], recipe.combination_images)
            head.combinations = torch.from_numpy(found).to(device)
    return FusedEncoder(backbone, head, candidate.readout, blend=recipe.blend)
