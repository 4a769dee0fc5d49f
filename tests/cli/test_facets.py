"""``boost-edge facets``: counts of values, as text and as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_json_counts_every_image_once(shop: Path, catalogue: Path, call: Call) -> None:
    """Each attribute's values add up to the images; a filter leaves out what does not pass."""
    facets = ("facets", "--gallery", shop / "gallery", "--json")
    done = call(*facets)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["images"] == 80
    assert list(said["facets"]) == ["type", "colour", "pattern", "sleeve", "background"]
    for facet in said["facets"].values():
        counts = list(facet["values"].values())
        assert sum(counts) == 80
        assert counts == sorted(counts, reverse=True)
        assert (facet["more"], facet["unknown"]) == (0, 0)
    colour, count = next(iter(said["facets"]["colour"]["values"].items()))
    fewer = call(*facets, "--where", f"colour = '{colour}'", "--attributes", "type,colour")
    said = json.loads(fewer.stdout)
    assert (said["images"], list(said["facets"])) == (count, ["type", "colour"])
    assert said["facets"]["colour"]["values"] == {colour: count}
    image = catalogue / "images" / "00000.jpg"
    where = ("--where", f"colour = '{colour}'", "-k", 80, "--facets", "--format", "json")
    hits = json.loads(call("query", image, "--gallery", shop / "gallery", *where).stdout)
    assert hits["facets"]["type"] == said["facets"]["type"]


def test_the_table_says_what_it_leaves_out(shop: Path, call: Call) -> None:
    """The attribute stands on its first row; values that are not listed are counted."""
    facets = ("facets", "--gallery", shop / "gallery", "--attributes", "colour", "--limit", 1)
    said = json.loads(call(*facets, "--json").stdout)["facets"]["colour"]
    [(value, count)] = said["values"].items()
    lines = call(*facets).stdout.splitlines()
    assert lines[0] == f"{shop / 'gallery'}: 80 images"
    assert lines[2].split() == ["attribute", "value", "images"]
    assert lines[3].split() == ["colour", *value.split(), str(count)]
    assert lines[4].split() == [f"({said['more']}", "more)"]
    assert said["more"] > 0


def test_what_is_unknown_is_counted(
    shop: Path, catalogue: Path, call: Call, tmp_path: Path
) -> None:
    """A label that one image has is unknown of the others; the label counts, not the prediction."""
    labels = tmp_path / "labels.csv"
    labels.write_text("file_name,season,colour\n00000.jpg,winter,mauve\n")
    images, gallery = catalogue / "images", tmp_path / "g"
    index = ("index", images, "--model", shop / "model.onnx", "--gallery", gallery)
    assert call(*index, "--labels", labels).returncode == 0
    lines = call("facets", "--gallery", gallery).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("season"))
    assert lines[at].split() == ["season", "winter", "1"]
    assert lines[at + 1].split() == ["(unknown)", "79"]
    assert any(line.split() == ["mauve", "1"] for line in lines)


def test_the_model_may_be_gone(
    shop: Path, catalogue: Path, call: Call, refused: Refused, tmp_path: Path
) -> None:
    """Facets, a filter and the names that a wrong one is near to are known from the images."""
    model, gallery = tmp_path / "model.onnx", tmp_path / "g"
    shutil.copy(shop / "model.onnx", model)
    assert call("index", catalogue / "images", "--model", model, "--gallery", gallery).stderr == ""
    facets = ("facets", "--gallery", gallery, "--json", "--where", "p(colour) >= 0.1")
    with_model = json.loads(call(*facets).stdout)
    model.unlink()
    done = call(*facets)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == with_model
    assert list(with_model["facets"]) == ["type", "colour", "pattern", "sleeve", "background"]
    assert "did you mean 'colour'?" in refused(2, *facets[:3], "--where", "colr = red")


def test_a_filter_that_nothing_passes(shop: Path, call: Call) -> None:
    """It is fine, and may be a wrong value: one line says where the right ones are."""
    done = call("facets", "--gallery", shop / "gallery", "--where", "colour = RED")
    assert (done.returncode, done.stdout) == (0, f"{shop / 'gallery'}: 0 images\n")
    assert done.stderr.startswith("boost-edge: no image passes 'colour = RED': ")


def test_an_empty_gallery(shop: Path, call: Call, tmp_path: Path) -> None:
    """No images is fine, and said."""
    empty = tmp_path / "empty"
    empty.mkdir()
    gallery = tmp_path / "g"
    call("index", empty, "--model", shop / "model.onnx", "--gallery", gallery)
    done = call("facets", "--gallery", gallery)
    assert (done.returncode, done.stdout) == (0, f"{gallery}: 0 images\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--where", "colour ="), "filter, column 9 (at ^): expected a value"),
        (("--attributes", "colr"), "no attribute is called 'colr', did you mean 'colour'?"),
        (("--attributes", 'a"b'), "a name with a quotation mark in it"),
        (("--attributes", "colour,a\udcff"), r"attribute 'a\udcff': expected text in UTF-8"),
        (("--gallery", "absent"), "there is no gallery here"),
    ],
)
def test_what_cannot_be_counted_is_one_line(
    arguments: tuple[str, ...], line: str, shop: Path, refused: Refused
) -> None:
    """Exit code 2, and what to do."""
    gallery = () if "--gallery" in arguments else ("--gallery", shop / "gallery")
    assert line in refused(2, "facets", *arguments, *gallery)
