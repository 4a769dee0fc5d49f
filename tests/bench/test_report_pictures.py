"""Pictures of a report as files of their own show what the page shows, on any ground."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.bench.tiny_results import TINY

from boost_edge.bench.report import make_sections, write_report
from boost_edge.bench.report_blocks import Figure, Section
from boost_edge.bench.report_evidence import read_evidence
from boost_edge.bench.report_pictures import chosen_pictures, standalone
from boost_edge.bench.report_svg import SERIES
from boost_edge.bench.results import write_result
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.page_frame import PALETTE

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {**PALETTE, **SERIES}
SVG = "{http://www.w3.org/2000/svg}"
TEXTS = (f"{SVG}title", f"{SVG}desc", f"{SVG}text")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    """Return the pictures of a report of the tiny results."""
    folder = tmp_path_factory.mktemp("results")
    for name, result in TINY.items():
        write_result(folder / name, result)
    return chosen_pictures(make_sections(read_evidence(folder)))


def texts_in(picture: ET.Element) -> list[str]:
    """Return a picture's title, description and words, in order."""
    return ["".join(each.itertext()).strip() for each in picture.iter() if each.tag in TEXTS]


def test_files_say_what_the_page_says(pictures: dict[str, Figure]) -> None:
    """A file has the picture's title, description and words, and needs no page around it."""
    assert set(pictures) == {
        "raw-and-boosted", "gains", "tradeoff-measured", "tradeoff-paper", "honest-map10",
        "honest-mrr", "labels", "labels-wrong", "stages",
    }  # fmt: skip
    for figure in pictures.values():
        text = standalone(figure)
        inline = texts_in(ET.fromstring(figure.svg))  # noqa: S314
        picture = ET.fromstring(text)  # noqa: S314
        title, description, shown, *words = texts_in(picture)
        assert (title, description, shown) == (figure.caption, figure.description, figure.caption)
        assert words == inline[1:]
        assert "var(" not in text
        # Only names of XML itself look like addresses.
        assert set(re.findall(r'"(?:https?:)?//[^"]*"', text)) == {
            '"http://www.w3.org/2000/svg"', '"http://www.w3.org/1999/xlink"'
        }  # fmt: skip


def test_files_have_their_own_ground_and_colours(pictures: dict[str, Figure]) -> None:
    """The ground fills the file; every colour is the palette's, and has its dark one."""
    for figure in pictures.values():
        picture = ET.fromstring(standalone(figure))  # noqa: S314
        ground = picture.find(f"{SVG}rect")
        assert ground is not None
        box = [ground.attrib[name] for name in ("x", "y", "width", "height")]
        assert picture.attrib["viewBox"].split() == box
        style = picture.findtext(f"{SVG}style") or ""
        dark = dict(re.findall(r"\.([\w-]+) \{ (?:fill|stroke): (#[0-9a-f]{6})", style))
        coloured = 0
        for each in picture.iter():
            classes = each.attrib.get("class", "").split()
            for what in ("fill", "stroke"):
                assert f"{what}: #" not in each.attrib.get("style", "")
                if (light := each.attrib.get(what)) is not None:
                    coloured += 1
                    [called] = [
                        name for name in classes
                        if name in ("ground", "title") or name.startswith(f"{what}-")
                    ]  # fmt: skip
                    own = {"ground": "card" if what == "fill" else "line", "title": "ink"}
                    name = own.get(called, called.removeprefix(f"{what}-"))
                    assert light == COLOURS[name][0]
                    if (called, what) != ("ground", "stroke"):
                        assert dark[called] == COLOURS[name][1]
        assert coloured > 10


def test_pictures_that_are_called_alike(pictures: dict[str, Figure]) -> None:
    """Two files of a kind give pictures with names of their own; an unknown name is refused."""
    section = Section(title="t", anchor="a", blocks=tuple(pictures.values()))
    twice = chosen_pictures((section, section))
    assert twice == {**pictures, **{f"{name}-2": each for name, each in pictures.items()}}
    assert list(chosen_pictures([section], ["gains"])) == ["gains"]
    with pytest.raises(UsageError, match="no picture 'gain', only raw-and-boosted, gains"):
        chosen_pictures([section], ["gain"])


def test_committed_pictures_are_those_of_the_committed_results(tmp_path: Path) -> None:
    """docs/pictures is what bench report makes of bench/results, and README shows each."""
    shown = re.findall(
        r"!\[([^\]]+)\]\(docs/pictures/([\w-]+)\.svg\)", (ROOT / "README.md").read_text("utf-8")
    )
    there = sorted(path.stem for path in (ROOT / "docs" / "pictures").iterdir())
    assert sorted(name for _, name in shown) == there
    assert there
    write_report(ROOT / "bench" / "results", tmp_path / "a.md", (), pictures=tmp_path, names=there)
    for alt, name in shown:
        assert len(alt) > 40
        committed, made = (
            texts_in(ET.parse(folder / f"{name}.svg").getroot())  # noqa: S314
            for folder in (ROOT / "docs" / "pictures", tmp_path)
        )
        assert committed == made
