"""A report says what weakens a figure: seeds, a busy machine, few calls, what is not alike."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bench.tiny_results import TINY

from boost_edge.bench.prices import find_machine, own_price, read_prices
from boost_edge.bench.report_blocks import Block, Figure, Paragraph, Section, Table, plain
from boost_edge.bench.report_evidence import Evidence, read_evidence
from boost_edge.bench.report_headline import headline_section
from boost_edge.bench.report_honesty import honesty_section
from boost_edge.bench.report_labels import labels_section, raw_passes
from boost_edge.bench.report_provenance import provenance_section
from boost_edge.bench.report_seeds import interval_with_seeds, over_seeds, row_seeds
from boost_edge.bench.report_speed import cost_section, stages_section
from boost_edge.bench.report_tradeoff import tradeoff_section
from boost_edge.bench.report_words import busy, p99, ratio_interval
from boost_edge.bench.results import read_result, write_result

COMMITTED = Path(__file__).resolve().parents[2] / "bench" / "results"


def evidence_of(folder: Path, **changed: Mapping[str, Any]) -> Evidence:
    """Return the tiny results, those of some names changed."""
    for name, result in TINY.items():
        write_result(folder / name, changed.get(Path(name).stem, result))
    return read_evidence(folder)


def said_in(section: Section) -> str:
    """Return the paragraphs of a section."""
    return "\n".join(plain(each.text) for each in section.blocks if isinstance(each, Paragraph))


def tables_in(blocks: tuple[Block, ...]) -> dict[str, Table]:
    """Return the tables, those of pictures too, by caption."""
    tables = [each.table if isinstance(each, Figure) else each for each in blocks]
    return {each.caption: each for each in tables if isinstance(each, Table)}


def test_labels_are_not_credited_for_what_raw_features_do(tmp_path: Path) -> None:
    """Where raw features pass the baseline, that is said once, and no number of labels."""
    curve = copy.deepcopy(TINY["curve/resnet.json"])
    curve["raw"]["mean"] = 16.75
    curve["passes"].append({**curve["passes"][0], "readout": "hidden"})
    changed = dict(TINY) | {"curve/resnet.json": curve}
    for name, result in changed.items():
        write_result(tmp_path / name, result)
    evidence = read_evidence(tmp_path)
    sentence = (
        "The raw features of ResNet-18 (layer3) (mAP@10 16.75) are above ViT-Tiny/16 raw "
        "(mAP@10 16.50): that takes no label."
    )
    assert said_in(labels_section(evidence)).count(sentence) == 1
    headline = said_in(headline_section(evidence))
    assert f"Labels needed. {sentence} (curve/resnet.json)" in headline
    assert "labels on" not in headline


@pytest.mark.parametrize(("raw", "passed"), [(16.75, True), (16.5000002, False), (16.25, False)])
def test_the_same_features_do_not_pass_themselves(raw: float, passed: bool) -> None:
    """A baseline that is the raw row itself, rounded to float32, is not passed by it."""
    assert raw_passes({"raw": {"mean": raw}}, {"map10": 16.5}) is passed


def test_our_own_headline_credits_no_labels_and_shows_the_seeds() -> None:
    """What the reviewed sentences were: the first network passes without labels; seeds scatter."""
    text = said_in(headline_section(read_evidence(COMMITTED)))
    versus = read_result(COMMITTED / "quality" / "resnet18-versus-vit.json", kind="versus")
    raw, gain = versus["first"]["map10"]["mean"], versus["gain"]
    assert f"are above ViT-Tiny/16 raw (mAP@10 {raw:.2f}): that takes no label" in text
    over_queries = f"+{gain['low']:.2f} to +{gain['high']:.2f}"
    said = f"+{gain['mean']:.2f} (95% over queries: {over_queries}; over 5 seeds: +"
    assert said in text


@given(st.lists(st.floats(0, 50), min_size=2, max_size=6), st.floats(-5, 5))
def test_gains_by_seed_come_from_old_and_new_files(raw: list[float], moved: float) -> None:
    """A file that says the gain by seed and one that has but the means give the same."""
    after = [value + moved * place for place, value in enumerate(raw)]
    gains = [new - old for old, new in zip(raw, after, strict=True)]
    base: dict[str, Any] = {"readout": "raw", "resize": "crop", "map10_by_seed": raw}
    row: dict[str, Any] = {
        "readout": "match", "resize": "crop", "map10_by_seed": after, "gain": {"mean": 0},
    }  # fmt: skip
    other = {**base, "resize": "squash", "map10_by_seed": [0.0] * len(raw)}
    result = {"kind": "quality", "rows": [other, base, row]}
    assert row_seeds(result, row) == gains
    assert row_seeds(result, {**row, "gain": {"by_seed": [1.0]}}) == [1.0]
    assert row_seeds(result, base) == []


def test_intervals_over_seeds_in_words() -> None:
    """From three seeds on there is an interval; of two the gains stand, of one nothing."""
    gain = {"mean": 2.0, "low": 1.5, "high": 2.5, "confidence": 0.95}
    assert interval_with_seeds(gain, [1.0, 2.0, 3.0]) == (
        "+2.00 (95% over queries: +1.50 to +2.50; over 3 seeds: \u22120.48 to +4.48)"
    )
    assert interval_with_seeds(gain, [1.0, 3.0]) == (
        "+2.00 (95% over queries: +1.50 to +2.50; by seed: +1.00, +3.00)"
    )
    assert interval_with_seeds(gain, [2.0]) == "+2.00 (95%: +1.50 to +2.50)"
    assert over_seeds([1.0, 2.0, 3.0]) == "\u22120.48 to +4.48 (+1.00 to +3.00)"
    assert over_seeds([1.0, 3.0], 1) == "\u2013 (+1.0 to +3.0)"
    assert over_seeds([1.0]) == "\u2013"


def test_a_busy_machine_is_named() -> None:
    """The load is told where more was at work than there are cores, at any of the three times."""
    machine = {"cores": 2}
    said = "The machine was not idle: load 0.50, 2.25, 1.00 (1, 5, 15 minutes before) on 2 cores. "
    assert busy({"load_average_before": [0.5, 2.25, 1.0], "machine": machine}) == said
    assert busy({"load_average_before": [0.5, 2.0, 1.0], "machine": machine}) == ""
    assert busy({"machine": machine}) == ""
    assert busy({"load_average_before": [9.0], "machine": {}}) == ""


def test_few_calls_have_no_p99() -> None:
    """Below a hundred calls the slowest is no percentile."""
    assert p99({"p99_ms": 3.25, "calls": 100}, 2) == "3.25"
    assert p99({"p99_ms": 3.25, "calls": 99}, 2) == "\u2013"
    assert p99({"p99_ms": 3.25, "searches": 80}, 2) == "\u2013"


def test_it_is_said_what_an_interval_of_ratios_is() -> None:
    """Older files have a bootstrap over blocks, which is too narrow; the others a t interval."""
    protocol = {"blocks": 10, "offline_blocks": 3}
    assert ratio_interval({"protocol": protocol, "ratio_interval": "t"}) == (
        "95% t intervals over 10 blocks (3 with larger batches)"
    )
    assert ratio_interval({"protocol": protocol}).endswith("too narrow for so few")
    assert ratio_interval({"protocol": {"rounds": 5}, "ratio_interval": "t"}) == (
        "95% t intervals over 5 rounds"
    )


def test_ways_of_decoding_are_told_where_they_differ(tmp_path: Path) -> None:
    """A table gets a column and a sentence where some systems decode whole; else neither."""
    latency = copy.deepcopy(TINY["latency.json"])
    for each in latency["systems"]:
        each["decode"] = "reduced"
    section = stages_section(evidence_of(tmp_path / "same", latency=latency))
    assert "JPEGs" not in tables_in(section.blocks)["Size and start"].header
    assert "decod" not in said_in(section)
    latency["systems"][1]["decode"] = None
    section = stages_section(evidence_of(tmp_path / "other", latency=latency))
    table = tables_in(section.blocks)["Size and start"]
    assert table.header[-1] == "JPEGs"
    assert [row[-1] for row in table.rows] == ["in part", "whole", "in part", "in part"]
    assert "resnet18@layer3:4x4+boost decode JPEGs whole, the others in part." in said_in(section)


@pytest.mark.parametrize(
    ("change", "matched"),
    [
        ({}, True),
        ({"image_size": 96}, False),
        ({"precision": "int8"}, False),
        ({"readout": "attributes"}, False),
        ({"resize": "crop"}, True),
        ({"resize": "squash"}, False),
    ],
)
def test_quality_and_latency_meet_where_they_are_of_the_same(
    change: dict[str, Any], matched: bool, tmp_path: Path
) -> None:
    """Size, precision, readout and, where it is known, resize policy must agree."""
    latency = copy.deepcopy(TINY["latency.json"])
    assert latency["systems"][1]["system"] == "resnet18@layer3:4x4+boost"
    latency["systems"][1] |= change
    blocks = tradeoff_section(evidence_of(tmp_path, latency=latency)).blocks
    table = tables_in(blocks)["Measured quality against measured latency"]
    names = [row[0] for row in table.rows]
    boosted = ["ResNet-18 (layer3, 4x4 grid) + boost, match"] if matched else []
    assert names == [*boosted, "ViT-Tiny/16, raw"]


def test_readouts_of_one_network_are_points_of_their_own(tmp_path: Path) -> None:
    """Two systems that differ by their readout alone are both shown, each with its own time."""
    latency = copy.deepcopy(TINY["latency.json"])
    system = {**latency["systems"][1], "system": "other.onnx", "readout": "blend"}
    latency["systems"].append(system)
    [query] = [
        row
        for row in latency["rows"]
        if (row["system"], row["stage"]) == ("resnet18@layer3:4x4+boost", "query")
    ]
    latency["rows"].append({**query, "system": "other.onnx", "p50_ms": 21.0})
    quality = copy.deepcopy(TINY["quality/resnet.json"])
    quality["rows"].append({**quality["rows"][1], "readout": "blend", "map10": 31.0})
    evidence = evidence_of(tmp_path, latency=latency)
    write_result(tmp_path / "quality" / "resnet.json", quality)
    evidence = read_evidence(tmp_path)
    table = tables_in(tradeoff_section(evidence).blocks)[
        "Measured quality against measured latency"
    ]
    assert [tuple(row[:3]) for row in table.rows] == [
        ("ResNet-18 (layer3, 4x4 grid) + boost, match", "49.0", "33.25"),
        ("ViT-Tiny/16, raw", "52.0", "16.50"),
        ("ResNet-18 (layer3, 4x4 grid) + boost, blend", "21.0", "31.00"),
    ]


def test_another_recipe_is_no_headline(tmp_path: Path) -> None:
    """What is said first is said of the default recipe; the other has pictures of its own name."""
    other = {**TINY["honesty/resnet.json"], "recipe": "contrastive"}
    both = evidence_of(tmp_path)
    before = said_in(headline_section(both))
    write_result(tmp_path / "honesty" / "another.json", other)
    both = read_evidence(tmp_path)
    assert said_in(headline_section(both)) == before
    blocks = honesty_section(both).blocks
    figures = [each for each in blocks if isinstance(each, Figure)]
    assert not figures[0].name.endswith("another")
    names = {
        f"honest-{metric}{suffix}" for metric in ("map10", "mrr") for suffix in ("", "-another")
    }
    assert {each.name for each in figures} == names
    assert len({each.caption for each in figures}) == len(names)


def test_two_machines_are_two_different_rows(tmp_path: Path) -> None:
    """Machines that go by one name differ by their instructions, which old results do not tell."""
    search, cost = copy.deepcopy(TINY["search.json"]), copy.deepcopy(TINY["cost.json"])
    search["machine"]["instructions"] = ["avx2", "avx512f"]
    del cost["machine"]["instructions"]
    changed = evidence_of(tmp_path, search=search, cost=cost)
    for evidence, least in ((read_evidence(COMMITTED), 2), (changed, 3)):
        machines = tables_in(provenance_section(evidence).blocks)["Machines"]
        assert machines.header[3] == "instructions"
        told = [row[1:] for row in machines.rows]
        assert len(set(told)) == len(told) >= least
    cells = [row[3] for row in machines.rows]
    assert {"avx2, avx512f", "not recorded"} < set(cells)


def test_a_list_price_is_dated(tmp_path: Path) -> None:
    """A price of a list changes, so its month is told; a user's own needs none."""
    listed = asdict(find_machine(read_prices(), "aws-c7i.large"))
    for number, (price, said) in enumerate(
        (
            (listed, f"aws-c7i.large (list price of {listed['as_of']}: check it)"),
            (own_price(0.5), "an hour for given, on"),
        )
    ):
        cost = json.loads(json.dumps(TINY["cost.json"])) | {"price": price}
        assert said in said_in(cost_section(evidence_of(tmp_path / str(number), cost=cost)))
