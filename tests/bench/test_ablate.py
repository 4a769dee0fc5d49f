"""Ablations: judged without the test part, one change at a time, against the recipe as it is."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boost_edge.bench.ablate import (
    FACTORS,
    AblationPlan,
    Variant,
    measure_ablation,
    variants_of,
)
from boost_edge.bench.extra_losses import ExtraLosses, tag_matrix, train_with_extras
from boost_edge.bench.heads import train_head
from boost_edge.bench.subject import Setup, Subject
from boost_edge.export.calibrate import posteriors_of
from boost_edge.export.fit import Rows, make_head
from boost_edge.export.recipes import RECIPES, Recipe
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import MissingExtraError, UsageError
from boost_edge.runtime.manifest import Readout

Make = Callable[[Setup], Subject]
READOUTS: tuple[Readout, ...] = ("hidden", "attributes", "blend", "match")
SHORT = dataclasses.replace(RECIPES["boost"], epochs=6, width=32)


@pytest.fixture(scope="module")
def result(setup: Setup, on_catalogue: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one variant of most kinds."""
    chosen = [
        Variant(factor="width", value="16", recipe={"width": 16}),
        Variant(factor="blend", value="0.2", recipe={"blend": 0.2}),
        *FACTORS["calibration"],
        *FACTORS["flips"],
        FACTORS["tags"][0],
        FACTORS["contrast"][0],
        *FACTORS["refit"],
        *variants_of((), taps=[("features.7",)], sizes=[48]),
    ]
    plan = AblationPlan(setup=setup, recipe="boost", variants=tuple(chosen), readouts=READOUTS)
    return measure_ablation(plan=plan, **on_catalogue)


@pytest.mark.parametrize("variant", variants_of(tuple(FACTORS)), ids=lambda each: each.name)
def test_every_variant_of_our_recipe_makes_a_head(variant: Variant) -> None:
    """A change to one choice is possible as the other choices of the recipe are."""
    recipe = dataclasses.replace(RECIPES["boost"], **variant.recipe)
    features = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    rows = Rows(features=features, codes=np.arange(8)[:, None] % 3)
    head = make_head(rows, [3], recipe)
    assert head.standardise is recipe.standardise


def test_what_a_recipe_cannot_have_is_refused_at_once(
    setup: Setup, on_catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's recipe does not standardise, so that components make no sense with it."""
    monkeypatch.setattr("boost_edge.bench.ablate.run_trials", pytest.fail)
    plan = AblationPlan(
        setup=setup, recipe="paper", variants=FACTORS["components"], readouts=READOUTS
    )
    with pytest.raises(UsageError, match="recipe paper: principal components need standardised"):
        measure_ablation(plan=plan, **on_catalogue)


def test_every_variant_has_its_rows(result: dict[str, Any]) -> None:
    """There is a row per variant and readout, the recipe as it is first; gains are over it."""
    named = [f"{row['factor']}={row['value']}" for row in result["rows"]]
    assert list(dict.fromkeys(named)) == [
        "recipe=as it is", "width=16", "blend=0.2", "calibration=off", "flips=average",
        "flips=train", "tags=only", "contrast=0.1", "refit=True", "tap=features.7", "image_size=48",
    ]  # fmt: skip
    base = {row["readout"]: row for row in result["rows"] if row["factor"] == "recipe"}
    assert tuple(base) == READOUTS
    for row in result["rows"]:
        if row["factor"] == "recipe":
            assert "gain" not in row
            continue
        difference = row["map10"]["mean"] - base[row["readout"]]["map10"]["mean"]
        assert row["gain"]["mean"] == pytest.approx(difference)
    json.dumps(result, allow_nan=False)


def test_a_change_changes_what_it_should(result: dict[str, Any]) -> None:
    """A blend moves only the readout blend; tags alone train no attributes to read out."""
    rows = {(row["factor"], row["readout"]): row for row in result["rows"]}
    for readout in ("hidden", "attributes"):
        assert rows["blend", readout]["gain"]["mean"] == 0
    assert rows["calibration", "hidden"]["gain"]["mean"] == 0
    assert rows["width", "hidden"]["dimensions"] == 16
    assert ("tags", "hidden") in rows
    assert ("tags", "attributes") not in rows


def test_the_test_part_is_not_read(
    setup: Setup, on_catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variant asks for the features, codes or names of a row of the test part."""
    asked: set[int] = set()
    whole = Subject.features

    def watch(self: Subject, backbone: Any, rows: NDArray[np.int64], *more: Any) -> Any:
        asked.update(rows.tolist())
        return whole(self, backbone, rows, *more)

    monkeypatch.setattr(Subject, "features", watch)
    once = dataclasses.replace(setup, seeds=1)
    measure_ablation(
        plan=AblationPlan(setup=once, recipe="boost", variants=(), readouts=READOUTS),
        **on_catalogue,
    )
    subject = Subject(setup=once, **on_catalogue)
    draw = subject.draw(0)
    assert asked == set(draw.fitted.tolist())
    assert not asked & set(draw.test.tolist())


def test_a_mirrored_image_is_not_another_of_its_combination(
    setup: Setup, on_catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head trained on each image and its mirrored one knows the combinations of the images."""
    trained: list[tuple[int, NDArray[np.int64]]] = []

    def watch(rows: Rows, *more: Any, **options: Any) -> BoostHead:
        head = train_head(rows, *more, **options)
        trained.append((len(rows.codes), head.combinations.numpy()))
        return head

    monkeypatch.setattr("boost_edge.bench.ablate.train_head", watch)
    short = {"epochs": 2, "width": 32, "combination_images": 2}
    variants = tuple(
        Variant(factor="flips", value=flips, recipe=short, flips=flips)
        for flips in ("none", "train")
    )
    once = dataclasses.replace(setup, seeds=1)
    plan = AblationPlan(setup=once, recipe="boost", variants=variants, readouts=("hidden",))
    measure_ablation(plan=plan, **on_catalogue)
    (images, plain), (twice, mirrored) = trained[-2:]
    assert twice == 2 * images
    assert len(plain) > 0
    np.testing.assert_array_equal(mirrored, plain)


@pytest.mark.parametrize("contrast", [0.0, 0.5])
def test_the_loop_of_its_own_trains_as_the_recipe_does(
    contrast: float, setup: Setup, subject: Make
) -> None:
    """Without extra losses its posteriors are those of the recipe's own training."""
    recipe = dataclasses.replace(SHORT, contrast=contrast)
    found = subject(setup)
    draw = found.draw(0)
    backbone = found.backbone(draw)
    train, val = (
        found.rows(found.features(backbone, rows), rows) for rows in (draw.train, draw.val)
    )
    test = found.features(backbone, draw.test)
    heads = (
        train_head(train, val, found.classes, recipe, seed=3),
        _extra(train, val, found.classes, ExtraLosses(), seed=3, recipe=recipe),
    )
    np.testing.assert_array_equal(heads[0].importance, heads[1].importance)
    for ours, theirs in zip(*(posteriors_of(head, test) for head in heads), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.02)


@pytest.mark.parametrize("losses", [ExtraLosses(tags=1.0), ExtraLosses(attributes=0, tags=1)])
def test_extra_losses_change_the_hidden_vector(
    losses: ExtraLosses, setup: Setup, subject: Make
) -> None:
    """Each loss moves the head, the same way every time."""
    found = subject(setup)
    draw = found.draw(0)
    backbone = found.backbone(draw)
    train, val = (
        found.rows(found.features(backbone, rows), rows) for rows in (draw.train, draw.val)
    )
    plain, first, second = (
        _extra(train, val, found.classes, each, seed=1).hidden.weight
        for each in (ExtraLosses(), losses, losses)
    )
    assert np.array_equal(first.detach().numpy(), second.detach().numpy())
    assert not np.allclose(first.detach().numpy(), plain.detach().numpy())


def _extra(
    train: Any,
    val: Any,
    classes: list[int],
    losses: ExtraLosses,
    seed: int,
    recipe: Recipe = SHORT,
) -> BoostHead:
    tags = (np.arange(3 * len(train.codes)).reshape(-1, 3) % 2).astype(np.float32)
    return train_with_extras(train, val, classes, recipe, losses, tags=tags, seed=seed)


def test_tags_are_the_common_words() -> None:
    """Words of at least five of the names to fit are tags, the commonest first."""
    names = [*["Red Shirt"] * 5, *["Red Bag"] * 4, "Blue Bag", "Shirt Blue"]
    found = tag_matrix(names, fitted=10)
    # red stands in 9 of the ten to fit, bag and shirt in 5; blue in one.
    assert found.shape == (11, 3)
    np.testing.assert_array_equal(found[:, 0], [1] * 9 + [0, 0])
    np.testing.assert_array_equal(found[-1], [0, 0, 1])
    assert tag_matrix(["a"], fitted=1).shape == (1, 0)


def test_the_missing_library_is_named(
    setup: Setup, on_catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pytorch-metric-learning, one line says what to install."""
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    plan = AblationPlan(
        setup=setup, recipe="boost", variants=FACTORS["contrast"], readouts=READOUTS
    )
    with pytest.raises(MissingExtraError, match=r"pytorch-metric-learning.*'boost-edge\[train\]'"):
        measure_ablation(plan=plan, **on_catalogue)


def test_variants_have_names_of_their_own() -> None:
    """No two variants are called the same, and each recipe field exists."""
    found = variants_of(tuple(FACTORS), taps=[("a", "b"), ("c",)], sizes=[96, 160])
    names = [variant.name for variant in found]
    assert len(set(names)) == len(names)
    assert {"tap=a+b", "image_size=96"} <= set(names)
    for variant in found:
        dataclasses.replace(RECIPES["boost"], **variant.recipe)
