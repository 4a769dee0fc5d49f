"""The report says what the results say, in both forms, and what is missing."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bench.tiny_results import TINY

from boost_edge.bench.paper import PAPER_FIGURES
from boost_edge.bench.report import make_sections, write_report
from boost_edge.bench.report_blocks import (
    Block,
    Bold,
    Code,
    Command,
    Figure,
    Link,
    Paragraph,
    Section,
    Table,
    plain,
)
from boost_edge.bench.report_evidence import MAKES, read_evidence
from boost_edge.bench.report_headline import FINDS_MOST, headline_section
from boost_edge.bench.report_honesty import honesty_section
from boost_edge.bench.report_html import STYLE, to_html
from boost_edge.bench.report_markdown import to_markdown
from boost_edge.bench.report_plots import log_ticks
from boost_edge.bench.report_quality import quality_section
from boost_edge.bench.report_svg import MARKERS, SERIES, add_legend, make_canvas
from boost_edge.bench.report_tradeoff import pareto, tradeoff_section
from boost_edge.bench.report_words import NONE, network, series_colour
from boost_edge.bench.results import read_result, write_result
from boost_edge.export.recipes import RECIPES
from boost_edge.models.architectures import BACKBONES
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import DEFAULT_READOUT, READOUTS
from boost_edge.runtime.page_frame import framed

COMMITTED = Path(__file__).resolve().parents[2] / "bench" / "results"
SVG = "{http://www.w3.org/2000/svg}"


def write_tiny(folder: Path, *, without: str = "") -> Path:
    """Write the tiny results into a folder, all but those of a kind."""
    for name, result in TINY.items():
        if result["kind"] != without:
            write_result(folder / name, result)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tiny results and their report."""
    folder = write_tiny(tmp_path_factory.mktemp("results"))
    write_report(folder, folder / "report.html", ("html", "md"))
    return folder


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a report of the committed results."""
    folder = tmp_path_factory.mktemp("report")
    write_report(COMMITTED, folder / "report.html", ("html", "md"))
    return folder


@pytest.fixture(params=["tiny", "committed"])
def rendered(request: pytest.FixtureRequest) -> Path:
    """Return a folder with ``report.html`` and ``report.md``: of tiny results, of our own."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def parsed(page: str) -> ET.Element:
    """Return a page as XML, which it has to be but for its two elements that have no end."""
    closed = re.sub(r"<(meta [^>]*)>", r"<\1/>", page.removeprefix("<!doctype html>"), count=2)
    return ET.fromstring(closed)  # noqa: S314


def page_of(folder: Path) -> ET.Element:
    """Return the page of a report."""
    return parsed((folder / "report.html").read_text(encoding="utf-8"))


def said_in(blocks: tuple[Block, ...]) -> list[str]:
    """Return the paragraphs of a section without their marks."""
    return [plain(block.text) for block in blocks if isinstance(block, Paragraph)]


def test_what_finds_most_is_said_beside_the_default(tmp_path: Path) -> None:
    """Where it was measured, in the same paragraph, with its own interval and its own verdict."""
    result = copy.deepcopy(TINY["quality/resnet.json"])
    row = result["rows"][1]
    most = {"recipe": "contrastive", "readout": "together", "map10": 36.75, "bytes_per_image": 976}
    more = {"mean": 19.25, "low": 18.75, "high": 19.75}
    result["rows"].append(
        {**row, **most, "gain": {**row["gain"], **more}, "relative_gain": 36.75 / 17.5 - 1,
         "map10_by_seed": [33.75, 36.75, 39.75]}
    )  # fmt: skip
    write_result(tmp_path / "quality" / "resnet.json", result)
    section = headline_section(read_evidence(tmp_path))
    [said] = [text for text in said_in(section.blocks) if "boosting gains" in text]
    assert "+90% over its own raw features" in said
    assert "With --recipe contrastive --readout together it gains +19.25 (95% over quer" in said
    assert "), +110%, at 976 bytes an image. The target was +100%: reached. (quality/re" in said
    [figure] = [block for block in section.blocks if isinstance(block, Figure)]
    assert "17.50 raw, 33.25 boosted (match), 36.75 boosted (together, contrastive)" in (
        figure.description
    )
    drawn = [[plain(cell) for cell in row][1:4] for row in figure.table.rows]
    assert drawn == [
        ["boost, match", "17.50", "33.25"],
        ["contrastive, together", "17.50", "36.75"],
    ]


def test_a_note_on_a_network_is_told_below_the_picture(tmp_path: Path) -> None:
    """Its bar is starred, in the picture, its table and what is read aloud, and no other's is."""
    write_tiny(tmp_path)
    noted = {**TINY["quality/resnet.json"], "note": "layer3 is its own", "taps": ["layer2"]}
    write_result(tmp_path / "quality" / "noted.json", noted)
    section = headline_section(read_evidence(tmp_path))
    [figure] = [block for block in section.blocks if isinstance(block, Figure)]
    starred = [plain(row[0]) for row in figure.table.rows if plain(row[0]).endswith(" *")]
    assert starred == ["ResNet-18 (layer2) *"]
    assert figure.description.count(" *:") == 1
    below = said_in(section.blocks[section.blocks.index(figure) + 1 :])
    assert below[0] == "* layer3 is its own."


def test_what_finds_most_was_chosen_without_a_test_part() -> None:
    """Of both recipes and all readouts of the committed ablation, it is the best."""
    result = read_result(COMMITTED / "ablation" / "resnet18-stages.json", kind="ablation")
    recipes = {("recipe", "as it is"): result["recipe"], ("contrast", "0.5"): "contrastive"}
    assert RECIPES["contrastive"] == dataclasses.replace(
        RECIPES[result["recipe"]], name="contrastive", contrast=0.5
    )
    found = {
        (recipes[row["factor"], row["value"]], row["readout"]): row["map10"]["mean"]
        for row in result["rows"]
        if (row["factor"], row["value"]) in recipes
    }
    assert len(found) == 2 * len([each for each in READOUTS if each != "raw"])
    assert max(found, key=lambda each: found[each]) == FINDS_MOST


def test_the_default_is_compared_first(tmp_path: Path) -> None:
    """Whatever the files are called, what is compared by default comes before what finds most."""
    other = copy.deepcopy(TINY["quality/resnet-versus-vit.json"])
    other["second"] = {**other["second"], "row": "crop/contrastive/together"}
    write_result(tmp_path / "quality" / "a-versus-b.json", other)
    write_result(tmp_path / "quality" / "z-versus-b.json", TINY["quality/resnet-versus-vit.json"])
    first, second = said_in(headline_section(read_evidence(tmp_path)).blocks)[:2]
    assert "(quality/z-versus-b.json)" in first
    assert "(quality/a-versus-b.json)" in second


@pytest.mark.parametrize(("mean", "said"), [(33.0, "reached"), (32.9, "not reached")])
def test_a_network_against_itself_is_to_gain_as_much_again(
    tmp_path: Path, mean: float, said: str
) -> None:
    """Another tap of the same backbone is measured by the target for gains."""
    write_tiny(tmp_path)
    staged = {**TINY["quality/resnet.json"], "taps": ["layer2:4x4", "layer3:4x4"]}
    write_result(tmp_path / "quality" / "stages.json", staged)
    versus = copy.deepcopy(TINY["quality/resnet-versus-vit.json"])
    versus["first"] |= {"file": "resnet.json", "row": "crop/none/raw"}
    versus["second"] |= {"file": "stages.json", "row": "crop/contrastive/together"}
    versus["first"]["map10"]["mean"], versus["second"]["map10"]["mean"] = 16.5, mean
    write_result(tmp_path / "quality" / "stages-versus-raw.json", versus)
    [claim] = [
        text
        for text in said_in(headline_section(read_evidence(tmp_path)).blocks)
        if "stages-versus-raw" in text
    ]
    assert claim.startswith("ResNet-18 against its own usual features. ")
    assert "ResNet-18 (layer2 and 3, 4x4 grids) boosted (recipe contrastive" in claim
    assert f"The target was +100%: {said}. (quality/stages-versus-raw.json)" in claim


def test_the_headline_says_what_the_results_say(tiny: Path) -> None:
    """Each sentence of the tiny results' headline has the number, its interval and its source."""
    section = headline_section(read_evidence(tiny))
    small, paper, networked, resnet, vit, labels, unseen, copies = said_in(section.blocks)
    assert "ResNet-18 (layer3, 4x4 grid) boosted (recipe boost, readout match) re" in small
    assert "mAP@10 33.25, ViT-Tiny/16 raw 16.50, on the same 1,234 queries of 3 seeds" in small
    assert "+16.75 (95% over queries: +16.25 to +17.25; over 3 seeds: +11.78 to +21.72)" in small
    assert "), 2.02 times (+102%)" in small
    assert small.startswith("Real weights, small networks. ")
    assert "Weights: w.safetensors." in small
    assert "The target was 2.3 times: not reached. (quality/resnet-versus-vit.json)" in small
    assert "The paper (quoted, not measured here) has ResNet-18 boosted at mAP@10 13.05" in paper
    assert "ViT-B/16 raw at 12.08" in paper
    assert "58.0 ms with the first and 484.0 ms with the second (p50, 1 thread)" in paper
    assert "10.7 times as long (95%: 10.4 to 10.9). (latency.json)" in paper
    assert "With ImageNet weights, to be run." in networked
    assert "ResNet-18 (layer3, 4x4 grid): boosting gains +15.75 (95% over queries: +15.2" in resnet
    assert "+15.25 to +16.25; over 3 seeds: +10.78 to +20.72) mAP@10, +90%" in resnet
    assert "+90% over its own raw features, at 808 bytes an image (1,024 raw)" in resnet
    assert "The target was +100%: not reached. (quality/resnet.json)" in resnet
    assert "+13.50 (95% over queries: +13.00 to +14.00; over 3 seeds: +8.53 to +18.47)" in vit
    assert "above ViT-Tiny/16 raw (mAP@10 16.50) from 206 labels on (95% over queries: 1" in labels
    assert "over queries: 182 to never; by seed: 150, never)." in labels
    assert "unseen groups mAP@10 14.00 raw, 9.88 boosted" in unseen
    assert "\u22124.12 (95% over queries: \u22124.62 to \u22123.62; by seed: \u22125.12, " in unseen
    assert "crop MRR 0.990 raw, 0.527 boosted" in copies
    commands = [block.line for block in section.blocks if isinstance(block, Command)]
    assert len(commands) == 1
    assert commands[0].count("--weights imagenet") == 2


def test_what_is_cheaper_is_said_with_intervals(tmp_path: Path) -> None:
    """Against ViT-B/16, 8 bits and the cheapest file are stated, with what the file finds."""
    latency = json.loads(json.dumps(TINY["latency.json"]))
    latency["reference"]["system"] = "vit_b_16"
    for row in latency["rows"]:
        if "ratio" in row:
            times = 470 / row["p50_ms"]
            row["times_cheaper"] = {"estimate": times, "low": times - 1, "high": times + 1}
    small, tiny = latency["systems"][0], latency["systems"][1]
    small |= {"random_weights": False, "precision": "int8"}
    tiny |= {"random_weights": False, "model_sha256": "f" * 64}
    models = json.loads(json.dumps(TINY["models.json"]))
    models["rows"][1]["sha256"] = "f" * 64
    for name, result in (("latency.json", latency), ("models.json", models)):
        (tmp_path / name).write_text(json.dumps(result, indent=1))
    section = headline_section(read_evidence(tmp_path))
    [int8, cheapest] = [text for text in said_in(section.blocks) if "times cheaper" in text]
    assert int8.startswith("resnet18+boost (int8, 224 px): its network is 10.7 (9.7 to 11.7) times")
    assert "The target was 15: not reached. (latency.json)" in int8
    assert cheapest.startswith("resnet18@layer3:4x4+boost (fp32, 224 px): its network is 13.4 (")
    assert "mAP@10 30.00, ResNet-18 raw 20.00 on the same queries: +10.00 (95%: +9.50" in cheapest
    [paper] = [text for text in said_in(section.blocks) if text.startswith("The paper's quality")]
    assert "8.1 times as long (95%: 7.1 to 9.1)" in paper


def test_every_file_that_is_cheap_is_said(tmp_path: Path) -> None:
    """Not the cheapest alone: each file that reaches the target, the cheapest first."""
    latency = json.loads(json.dumps(TINY["latency.json"]))
    latency["reference"]["system"] = "vit_b_16"
    names = ["resnet18@layer3:4x4+boost", "resnet18+boost"]
    for row in latency["rows"]:
        if "ratio" in row:
            times = 90 - 10 * names.index(row["system"]) if row["system"] in names else 5
            row["times_cheaper"] = {"estimate": times, "low": times - 1, "high": times + 1}
    for system in latency["systems"]:
        system["random_weights"] = system["system"] == "vit_b_16"
    (tmp_path / "latency.json").write_text(json.dumps(latency))
    said = [
        text
        for text in said_in(headline_section(read_evidence(tmp_path)).blocks)
        if "times cheaper" in text
    ]
    assert [text.partition(" (")[0] for text in said] == names
    assert all("The target was 40: reached." in text for text in said)


def numbers_in(value: Any) -> Iterator[float]:
    """Yield all numbers of a JSON value."""
    if isinstance(value, Mapping):
        for each in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from numbers_in(each)
    elif isinstance(value, list):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from numbers_in(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def test_every_number_of_the_headline_is_in_the_file_it_links_to() -> None:
    """Rounded numbers of our own headline occur in the result that the sentence leads to."""
    evidence = read_evidence(COMMITTED)
    files = {source.href: source.result for source in evidence.sources}
    checked = 0
    for block in headline_section(evidence).blocks:
        if not isinstance(block, Paragraph):
            continue
        links = [part.href.partition("#")[0] for part in block.text if isinstance(part, Link)]
        known = [2.3, *(each for name in PAPER_FIGURES for each in _figures(name))]
        for href in links:
            known += numbers_in(files[href])
            known += between_seeds(files[href])
            if files[href]["kind"] == "versus":
                first, second = (files[href][side]["map10"]["mean"] for side in ("first", "second"))
                known.append(second / first)
        text = plain(block.text).replace("\u2212", "-").replace("SqueezeNet 1.1", "")
        for token in re.findall(r"[-+]?\d[\d,]*\.\d+", text):
            digits = len(token.partition(".")[2])
            value = float(token.replace(",", ""))
            assert any(f"{each:.{digits}f}" == f"{value:.{digits}f}" for each in known), token
            checked += 1
    assert checked > 20


def between_seeds(result: Mapping[str, Any]) -> Iterator[float]:
    """Yield each seed's gain over raw, or over the other side, and the ends of their t interval."""
    quantiles = {3: 4.302653, 5: 2.776445}
    sides: list[tuple[Any, Any]] = []
    if result["kind"] == "versus":
        sides.append((result["first"]["map10"]["by_seed"], result["second"]["map10"]["by_seed"]))
    if result["kind"] == "quality":
        raws = {row["resize"]: row for row in result["rows"] if row["readout"] == "raw"}
        sides += [
            (raws[row["resize"]]["map10_by_seed"], row["map10_by_seed"])
            for row in result["rows"]
            if "gain" in row
        ]
    if result["kind"] == "models":
        rows = result["rows"]
        sides += [(rows[0]["map10"]["by_seed"], row["map10"]["by_seed"]) for row in rows[1:]]
    if result["kind"] == "honesty":
        raws = {row["test"]: row for row in result["rows"] if row["readout"] == "raw"}
        for row in result["rows"]:
            metric = row["metric"]
            sides.append((raws[row["test"]][metric]["by_seed"], row[metric]["by_seed"]))
    for before, after in sides:
        gains = [new - old for old, new in zip(before, after, strict=True)]
        yield from gains
        if len(gains) in quantiles:
            half = quantiles[len(gains)] * statistics.stdev(gains) / len(gains) ** 0.5
            yield from (statistics.mean(gains) - half, statistics.mean(gains) + half)


def _figures(name: str) -> tuple[float, float]:
    return PAPER_FIGURES[name].raw, PAPER_FIGURES[name].boosted


def test_links_lead_to_the_row(tiny: Path) -> None:
    """A link opens a file that is there, at the line on which the row begins."""
    evidence = read_evidence(tiny, seen_from=tiny / "elsewhere")
    checked = 0
    for source in evidence.sources:
        for place, row in enumerate(source.result.get("rows", ())):
            name, _, line = source.link("rows", place).href.partition("#L")
            path = (tiny / "elsewhere" / unquote(name)).resolve()
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            text = "".join(lines[int(line) - 1 :]).lstrip()
            assert json.JSONDecoder().raw_decode(text)[0] == row
            checked += 1
    assert checked > 20
    assert "#" not in evidence.sources[0].link("nothing").href


def test_the_page_is_well_formed_and_alone(rendered: Path) -> None:
    """The page is XML, names nothing twice, and needs no network, script or other file."""
    page = page_of(rendered)
    names = [each.attrib["id"] for each in page.iter() if "id" in each.attrib]
    assert len(names) == len(set(names))
    for each in page.iter():
        tag = each.tag.rpartition("}")[2]
        assert tag not in {"script", "link", "iframe", "img", "image", "object", "embed", "base"}
        for attribute, value in each.attrib.items():
            assert not re.search(r"(https?:)?//|javascript:|data:", value), value
            assert not attribute.startswith("on")
            if tag == "a":
                assert attribute == "href"
                where, _, anchor = value.partition("#")
                assert where.endswith(".json") if where else anchor in names
            elif "href" in attribute:
                assert value.startswith("#")
                assert value[1:] in names
    style = "".join(each.text or "" for each in page.iter("style"))
    assert not re.search(r"url\(|@import", style)


def test_pictures_say_what_they_show(rendered: Path) -> None:
    """Every picture has a name, a description, text as text, and the page's colours."""
    pictures = list(page_of(rendered).iter(f"{SVG}svg"))
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture.attrib["role"] == "img"
        assert len(picture.attrib["aria-label"]) > 40
        assert picture.findtext(f"{SVG}title")
        assert any(each.text for each in picture.iter(f"{SVG}text"))
        styles = " ".join(each.attrib.get("style", "") for each in picture.iter())
        assert "var(--ink)" in styles
        assert not re.search(r"(fill|stroke): #", styles)


def test_tables_of_the_markdown_have_equal_columns(rendered: Path) -> None:
    """Every row of a table has as many cells as its header; pictures are tables."""
    text = (rendered / "report.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(tables) >= 9
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table
    assert "<svg" not in text


def test_the_committed_report_is_that_of_the_committed_results() -> None:
    """bench/results/report.md is what bench report makes of the files beside it."""
    sections = make_sections(read_evidence(COMMITTED))
    text = (COMMITTED / "report.md").read_text(encoding="utf-8")
    for section in sections:
        for block in section.blocks:
            made = to_markdown([Section(title="t", anchor="a", blocks=(block,))], title="", lead="")
            assert made.partition("## t\n\n")[2].strip() in text


def test_every_section_shows_what_was_measured(tiny: Path) -> None:
    """With every kind of result there, each shows its numbers and none is missing."""
    text = (tiny / "report.md").read_text(encoding="utf-8").replace("\u2212", "-")
    assert "Missing" not in text
    assert "This makes it" not in text
    for row in (
        "| dropout | 0.0 | match | 27.00 | -3.00 (-3.50 to -2.50) | \u2013 | **worse**",
        "| width | 4096 | match | 31.00 | +1.00 (+0.50 to +1.50) | \u2013 | better |",
        "| +1.00 (+0.50 to +1.50) | -3.48 to +5.48 (-0.50 to +3.00) | cannot be told apart |",
        "| match | 400 | 200 | 70.5% (60.0% to 70.0%) | +6.0 points (+3.0 points to +9.0 points) |",
        "| ours | 0.9876 (not reached) | 1.50 | 4.50 | 42 | 1 | 600 | 600 | 1.25 | 0.50 |",
        "| 1 in 100 | by cluster | 1.0000 | 1.0000 | 1.50 | 4.50 | 88 |",
        "| 1 in 10 | by cluster | 1.0000 | 1.0000 | 1.50 | \u2013 | 88 |",
        "| 2,500 | 0.50 | 0.75 |",
        "| raw.onnx | ResNet-18 | raw | fp32 | 2.5 | 2,048 | 20.00 | 1.00 | 0.500 | \u2013 |",
        "| 400 | 30.00 | \u2013 | 0.625 | +10.00 (+9.50 to +10.50) | +9.00 to +11.00 | +50% |",
        "| 200 | 27.00 | 29.50 | +2.50 (+2.00 to +3.00) | \u2013 (+2.50 to +2.50) |",
        "| type | 37.0% | 39.5% | 30.0% | 37.0% | 39.5% | +3.40 (+2.90 to +3.90) | \u2013 |",
        "| type | new.onnx | 600 | 87.5% | 25.0% | 0.062 | 50.0% | \u2013 |",
        "Trained on another table, and may have seen test images: new.onnx.",
        "| vit\\_b\\_16 | 9.00 | 2.00 | 470.00 | 3.00 |",
        "| ResNet-18 + boost | 58.0 | 13.05 | yes |",
        "| ViT-B/16 | 484.0 | 12.08 | no |",
        "| ResNet-18 (layer3, 4x4 grid) + boost, match | 49.0 | 33.25 | yes |",
        "| ViT-Tiny/16, raw | 52.0 | 16.50 | no |",
        "| vit\\_b\\_16 | query | onnxruntime | 1 | 1 | 484.0 | 485.0 | \u2013 | 10.68",
        "| resnet18+boost | query | onnxruntime | 1 | 1 | 58.0 | 59.0 | 60.0 | 1.00",
        "their intervals are 95% bootstrap intervals over 10 blocks (3 with larger batches), too",
        "Which systems decode JPEGs in part was not recorded",
        "| resnet18@layer3:4x4+boost | fp32 | 224 | match | 1,032 | 46.0 | 200 | 700 |",
        "not measured: openvino is not installed |",
        "| 100 | match | 14.00 | -2.00 (-2.50 to -1.50) | \u2013 (-3.00 to -1.00) |",
        "| 20% | match | 22.00 | +6.00 (+5.50 to +6.50) | \u2013 (+5.00 to +7.00) |",
    ):
        assert row in text, row
    cost = TINY["cost.json"]["rows"][0]
    assert f"| resnet18+boost | {cost['usd_per_million_queries']:.2f} | " in text
    assert f" | {cost['break_even_queries']:,.0f} |" in text


@pytest.mark.parametrize(
    ("kind", "title"), [("models", "unseen products"), ("choosing", "Which images to label")]
)
def test_what_most_do_not_measure_is_no_gap(kind: str, title: str, tmp_path: Path) -> None:
    """A report without results of such a kind has no section of it, and does not miss it."""
    folder = write_tiny(tmp_path, without=kind)
    write_report(folder, folder / "report.md", ("md",))
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert title not in text
    assert "Missing" not in text


@pytest.mark.parametrize("kind", MAKES)
def test_what_is_missing_is_named(kind: str, tmp_path: Path) -> None:
    """A report without a kind of result says which file is missing and what makes it."""
    folder = write_tiny(tmp_path, without=kind)
    write_report(folder, folder / "report.md", ("md",))
    text = (folder / "report.md").read_text(encoding="utf-8")
    files, command = MAKES[kind]
    assert f"Missing: `{files}`" in text
    assert command in text


def test_where_boosting_hurts_stands_first(tiny: Path) -> None:
    """The section on honesty says plainly that the default loses, and calls each such row so."""
    section = honesty_section(read_evidence(tiny))
    said = said_in(section.blocks)
    assert said[1].startswith("On groups never seen in training boosting hurts")
    assert said[2].startswith("On finding edited copies of an image boosting hurts")
    assert "2 of 5 comparisons" in said[3]
    verdicts = {
        plain(row[0]): plain(row[5])
        for block in section.blocks
        if isinstance(block, Figure)
        for row in block.table.rows
        if plain(row[1]) == DEFAULT_READOUT
    }
    assert verdicts == {
        "the paper's protocol": "gains",
        "groups never seen in training": "hurts",
        "edited copy: crop": "hurts",
        "colour not trained on": "cannot be told from raw",
        # Its interval over queries is above zero, but one of its seeds is below.
        "type not trained on": "cannot be told from raw",
    }


def test_a_row_that_was_not_measured_says_so(tiny: Path) -> None:
    """Weights that could not be had leave the reason, and the paper's figure in its own column."""
    text = (tiny / "report.html").read_text(encoding="utf-8")
    assert "cannot fetch v.pth (&lt;no &amp; network&gt;)" in text
    row = next(line for line in text.splitlines() if ">not measured<" in line)
    assert "ViT-B/16" in row
    assert '<td class="right quoted">12.08</td>' in row


def test_what_a_choice_is_worth_is_seen_at_once(tiny: Path) -> None:
    """A row for each choice: bold where every seed says so, a dash where nothing changes."""
    [section] = [each for each in make_sections(read_evidence(tiny)) if each.anchor == "recipe"]
    overview, numbers = (each for each in section.blocks if isinstance(each, Table))
    assert overview.header == ("factor", "value", "match")
    said = {f"{plain(row[0])} {plain(row[1])}": row[2] for row in overview.rows}
    assert said["recipe boost"] == "mAP@10 30.00"
    assert [name for name, cell in said.items() if not isinstance(cell, str)] == [
        "width 4096",
        "dropout 0.0",
    ]
    assert plain(said["blend 0.5"]).startswith("+1.00 (")
    assert said["blend 0.65"] == NONE
    assert (numbers.folded, len(numbers.rows)) == (True, 5)


def test_long_tables_are_folded() -> None:
    """A page shows them to those who ask, by a line that says how long they are."""
    table = Table(caption="a < b", header=("c",), rows=(("1",), ("2",)), folded=True)
    [section] = [Section(title="S", anchor="s", blocks=(table,))]
    page = to_html([section], title="T", lead="L")
    assert '<details class="folded"><summary>a &lt; b: 2 rows</summary>' in page
    assert page.count("<td>") == 2
    assert "| 2 |" in to_markdown([section], title="T", lead="L")


@pytest.mark.parametrize(
    "names", [["raw"], ["hidden"] * 5, ["a name of thirty letters ......."] * 4]
)
def test_a_legend_stays_within_its_picture(names: list[str]) -> None:
    """In as many columns as there is room for, measured with a wide font."""
    figure, axes = make_canvas(200)
    seen = {f"{name} {place}": axes.plot([0], [0])[0] for place, name in enumerate(names)}
    add_legend(figure, seen)
    figure.draw_without_rendering()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(seen)
    assert legend.get_window_extent().width <= figure.bbox.width
    lines = {round(text.get_window_extent().y0) for text in legend.get_texts()}
    assert (len(lines) == 1) == (len(names[0]) < 10)


def test_what_is_no_result_is_named_or_refused(tmp_path: Path) -> None:
    """Another JSON file is named; a damaged result, an empty folder and no folder are refused."""
    with pytest.raises(UsageError, match="is no folder"):
        read_evidence(tmp_path / "gone")
    with pytest.raises(UsageError, match="has no result of bench"):
        read_evidence(tmp_path)
    write_tiny(tmp_path)
    (tmp_path / "prices.json").write_text("{}")
    assert read_evidence(tmp_path).others == ("prices.json",)
    (tmp_path / "cost.json").write_text((tmp_path / "cost.json").read_text()[:-9])
    with pytest.raises(UsageError, match=r"cost\.json: is no JSON"):
        read_evidence(tmp_path)


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb`` as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(dark: bool) -> None:
    """Text has the contrast of WCAG AA on what is behind it, in light and dark; marks too."""
    page = framed("", title="", lead="", style=STYLE)
    palettes = re.findall(
        r"(@media \(prefers-color-scheme: dark\) \{ )?:root \{(.*?)\}", page, re.S
    )
    colours: dict[str, str] = {}
    for only_dark, content in palettes:
        if dark or not only_dark:
            colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", content))

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(colours[one]), luminance(colours[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for text, grounds in (
        ("ink", ("paper", "card", "quoted", "hurts-paper")),
        ("soft", ("paper", "card", "quoted")),
        ("accent", ("paper", "card")),
        ("hurts", ("hurts-paper",)),
    ):
        for ground in grounds:
            assert contrast(text, ground) >= 4.5, (text, ground)
    for mark in (*SERIES, "hurts"):
        assert contrast(mark, "card") >= 3.0, mark


def test_every_readout_has_a_look_of_its_own() -> None:
    """No two readouts share a colour, light or dark, or a marker, nor with what is unknown."""
    colours = [series_colour(readout) for readout in (*READOUTS, "of a later version")]
    assert colours == [*READOUTS, "other"]
    for palette in zip(*(SERIES[each] for each in colours), strict=True):
        assert len(set(palette)) == len(colours)
    assert len({MARKERS[each] for each in (*colours, "ink")}) == len(colours) + 1


def test_every_readout_is_explained(tiny: Path) -> None:
    """The section on quality has a sentence for each readout."""
    said = " ".join(said_in(quality_section(read_evidence(tiny)).blocks))
    for readout in READOUTS:
        assert re.search(rf"(^|\. ){readout} (\(the default\) )?(is|are|weighs) ", said), readout


def test_names_of_networks() -> None:
    """A network's own end is not told, other taps and grids are; the ends are those of models/."""
    for name, spec in BACKBONES.items():
        if spec.network is not None:
            assert network(name, [spec.taps[-1]]) == network(name)
            assert network(name, [spec.taps[0]]) == f"{network(name)} ({spec.taps[0]})"
    assert network("resnet18", ["layer3:4x4"]) == "ResNet-18 (layer3, 4x4 grid)"
    assert network("resnet18", ["layer3", "layer4:2x2"]) == "ResNet-18 (layer3 + layer4, 2x2 grid)"
    assert network("resnet18", ["layer1:4x4", "layer2:4x4", "layer3:4x4", "layer4"]) == (
        "ResNet-18 (layer1, 2 and 3, 4x4 grids + layer4)"
    )
    assert network("pca", ["pca512"]) == "PCA (512)"


def test_points_are_of_the_default_resize_policy(tmp_path: Path) -> None:
    """A comparison of resize policies, though it comes first, is no quality of a network."""
    write_tiny(tmp_path)
    compared = copy.deepcopy(TINY["quality/resnet.json"])
    compared["rows"] += [{**row, "resize": "squash", "map10": 1.25} for row in compared["rows"]]
    compared["rows"].reverse()
    write_result(tmp_path / "a-resize.json", compared)
    [table] = [
        block.table
        for block in tradeoff_section(read_evidence(tmp_path)).blocks
        if isinstance(block, Figure) and block.name == "tradeoff-measured"
    ]
    assert [plain(row[2]) for row in table.rows] == ["33.25", "16.50"]


def test_files_that_were_judged_alike_stand_in_one_picture(tmp_path: Path) -> None:
    """By the file that was timed, or for raw features by the network; other images are no match."""
    write_tiny(tmp_path, without="models")
    judged = copy.deepcopy(next(each for each in TINY.values() if each["kind"] == "models"))
    raw, new = judged["rows"]
    design = {"backbone": "vit_tiny_patch16_224", "taps": ["encoder_layer_11"], "image_size": 224}
    judged["rows"] = [{**raw, **design}, {**new, "sha256": "1" * 64}]
    tuned = {**new, "model": "tuned.onnx", "sha256": "0" * 64, "map10": {"mean": 25.0}}
    untimed = {**new, "model": "untimed.onnx", "sha256": "e" * 64}
    write_result(tmp_path / "models.json", judged)
    write_result(tmp_path / "tuned.json", {**judged, "rows": [tuned, untimed]})
    write_result(tmp_path / "other.json", {**judged, "samples": ["x"], "rows": [tuned]})
    found = [
        [[plain(cell) for cell in row] for row in table.rows]
        for block in tradeoff_section(read_evidence(tmp_path)).blocks
        for table in [block.table if isinstance(block, Figure) else block]
        if isinstance(table, Table) and table.caption.startswith("Quality on unseen products")
    ]
    assert found == [
        [["ViT-Tiny/16, raw", "52.0", "20.00", "no"], ["new.onnx", "49.0", "30.00", "yes"],
         ["tuned.onnx", "58.0", "25.00", "no"]],
        [["tuned.onnx", "58.0", "25.00", "yes"]],
    ]  # fmt: skip


def test_the_first_picture_shows_every_network(tiny: Path) -> None:
    """Raw and boosted quality of each network, PCA last, with the gain's interval and its row."""
    [figure] = [
        block for block in headline_section(read_evidence(tiny)).blocks if isinstance(block, Figure)
    ]
    assert [[plain(cell) for cell in row] for row in figure.table.rows] == [
        ["ResNet-18 (layer3, 4x4 grid)", "boost, match", "17.50", "33.25",
         "+15.75 (+15.25 to +16.25)", "+10.78 to +20.72 (+13.75 to +17.75)", "+90%",
         "quality/resnet.json"],
        ["ViT-Tiny/16", "boost, match", "16.50", "30.00", "+13.50 (+13.00 to +14.00)",
         "+8.53 to +18.47 (+11.50 to +15.50)", "+82%", "quality/vit.json"],
    ]  # fmt: skip
    assert "ViT-Tiny/16: 16.50 raw, 30.00 boosted (match)" in figure.description
    assert figure.description.endswith("Dotted: ViT-Tiny/16 raw, 16.50.")


def test_log_ticks() -> None:
    """Whatever the range, there are three round numbers in it or more, and not too many."""
    for low in (0.3, 4.7, 21.6, 33.0, 740.0):
        for factor in (2.6, 10.0, 100.0, 5000.0):
            ticks = log_ticks(low, low * factor)
            assert 3 <= len(ticks) <= 7
            assert all(low <= tick <= low * factor for tick in ticks)
            assert ticks == sorted(ticks)


POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_the_front_is_what_none_surpasses(points: list[tuple[int, int]]) -> None:
    """Against the definition: no other point is at least as good in both and better in one."""
    expected = {
        (x, y)
        for x, y in points
        if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    }
    found = pareto(points)
    assert set(found) == expected
    assert found == sorted(found)


WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=20)


@given(WORDS, WORDS, WORDS)
def test_any_words_survive(cell: str, code: str, link: str) -> None:
    """Whatever a file says comes back from the page, and breaks no table of the Markdown."""
    table = Table(
        caption=cell,
        header=("a", "b"),
        rows=((cell, (Code(code), Bold(cell), Link(link, "x.json"))), ("1", "2")),
    )
    section = Section(title=cell, anchor="a", blocks=(table,))
    page = parsed(to_html([section], title=cell, lead=code))
    first, second = ("".join(each.itertext()) for each in list(page.iter("td"))[:2])
    assert (first, second) == (cell, code + cell + link)
    lines = to_markdown([section], title=cell, lead=code).splitlines()
    cells = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines if line[:1] == "|"]
    assert cells == [3] * 4


def test_bold_words_are_bold() -> None:
    """Spaces at the ends of bold words stand outside of the marks, or they would show."""
    text = (Bold("A. "), "b", Bold(" c "), Bold(" "), "d")
    block = Paragraph(text=text)
    made = to_markdown([Section(title="t", anchor="a", blocks=(block,))], title="t", lead="l")
    assert made.endswith("\n\n**A.** b **c**  d\n")


def test_rows_are_as_long_as_the_header() -> None:
    """A table with a row too short cannot be made."""
    with pytest.raises(ValueError, match="has not 2 cells"):
        Table(caption="c", header=("a", "b"), rows=(("1",),))
