"""``boost-edge query``: five formats, and images and galleries that cannot be used."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import pytest

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

ATTRIBUTES = {"type", "colour", "pattern", "sleeve", "background"}
# Elements of HTML that have no end tag.
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture
def image(catalogue: Path) -> Path:
    """Return an image that is in the gallery."""
    return catalogue / "images" / "00000.jpg"


def test_json_is_as_the_design_prints_it(image: Path, shop: Path, call: Call) -> None:
    """One object: query, model, milliseconds, predicted attributes, hits with what agrees."""
    done = call("query", image, "--gallery", shop / "gallery", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert list(said) == ["query", "model", "took_ms", "attributes", "hits"]
    assert said["query"] == str(image)
    assert len(said["model"]) == 64
    assert set(said["took_ms"]) == {"decode", "encode", "search"}
    assert set(said["attributes"]) == ATTRIBUTES
    assert all(set(each) == {"value", "p"} for each in said["attributes"].values())
    assert [hit["rank"] for hit in said["hits"]] == list(range(1, 11))
    best = said["hits"][0]
    assert all(isinstance(hit["id"], str) and int(hit["id"]) > 0 for hit in said["hits"])
    keys = {"rank", "id", "path", "score", "preference", "attributes", "labels", "agrees"}
    assert set(best) == keys
    assert {hit["preference"] for hit in said["hits"]} == {0.0}
    assert best["path"] == str(image)
    assert best["score"] == pytest.approx(1.0, abs=1e-5)
    assert set(best["attributes"]) == set(best["agrees"]) == ATTRIBUTES
    for hit in said["hits"]:
        same = [
            name
            for name, each in said["attributes"].items()
            if hit["attributes"][name] == each["value"]
        ]
        assert hit["agrees"] == same


def test_json_is_short_for_its_format(
    image: Path, shop: Path, call: Call, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--json is --format json; another is refused beside it, unless only one of them is typed."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 2)
    hits = json.loads(call(*search, "--format", "json").stdout)["hits"]
    for options in (("--json",), ("--json", "--format", "json")):
        assert json.loads(call(*search, *options).stdout)["hits"] == hits
    line = refused(2, *search, "--json", "--format", "csv")
    assert line == "--json is --format json, and --format csv another: give one of them"
    monkeypatch.setenv("BOOST_EDGE_QUERY_FORMAT", "csv")
    assert json.loads(call(*search, "--json").stdout)["hits"] == hits
    monkeypatch.setenv("BOOST_EDGE_QUERY_JSON", "1")
    assert "give one of them" in refused(2, *search)
    assert call(*search, "--format", "csv").stdout.startswith("query,rank,")


def test_jsonl_is_one_object_a_line(image: Path, shop: Path, catalogue: Path, call: Call) -> None:
    """Two images are two lines, in the order given, each as ``json`` has them in a list."""
    other = catalogue / "images" / "00001.jpg"
    search = ("query", image, other, "--gallery", shop / "gallery", "-k", 2)
    lines = call(*search, "--format", "jsonl").stdout.splitlines()
    objects = [json.loads(line) for line in lines]
    assert [each["query"] for each in objects] == [str(image), str(other)]
    listed = json.loads(call(*search, "--format", "json").stdout)
    assert [each["hits"] for each in listed] == [each["hits"] for each in objects]


def test_csv_can_be_read_back(shop: Path, catalogue: Path, call: Call, tmp_path: Path) -> None:
    """A row per hit, with names that hold commas, quotes, newlines and undecodable bytes."""
    odd = os.fsdecode(os.fsencode(tmp_path) + b'/a,"b"\n\xff.jpg')
    shutil.copy(catalogue / "images" / "00000.jpg", odd)
    done = call("query", odd, "--gallery", shop / "gallery", "-k", 3, "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert list(rows[0]) == [
        "query", "rank", "score", "id", "path", "agrees",
        "type", "colour", "pattern", "sleeve", "background",
    ]  # fmt: skip
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["query"] for row in rows} == {f'{tmp_path}/a,"b"\n\\udcff.jpg'}
    assert rows[0]["path"] == str(catalogue / "images" / "00000.jpg")
    assert set(rows[0]["agrees"].split()) == ATTRIBUTES


class Page(HTMLParser):
    """Checks that every element ends where it should, and collects what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, and note its links."""
        if tag not in VOID:
            self.open.append(tag)
        self.pictures += tag == "img"
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self.open.pop() == tag


def test_what_is_more_likely_wrong_is_unknown(shop: Path, catalogue: Path, call: Call) -> None:
    """As `label` says it: below one half a value is a guess, in the table and on the page."""
    kinds: set[bool] = set()
    for number in range(6):
        asked = ("query", catalogue / "images" / f"{number:05}.jpg", "--gallery", shop / "gallery")
        attributes = json.loads(call(*asked, "--json").stdout)["attributes"]
        text = " ".join(call(*asked).stdout.split())
        page = call(*asked, "--format", "html").stdout
        for name, best in attributes.items():
            likely = best["p"] >= 0.5
            kinds.add(likely)
            said = f"{name} {best['value']} ({best['p']:.2f})"
            guess = f"{name} unknown ({best['value']} {best['p']:.2f})"
            assert (said in text, guess in text) == (likely, not likely)
            # What is not known agrees with nothing, and differs from nothing.
            assert likely or f'title="{name}: ' not in page
            tag = f"{best['value']} {best['p']:.0%}"
            assert f">{tag if likely else f'unknown ({tag})'}<" in page
    assert kinds == {True, False}


def test_html_stands_alone(image: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """The page is well-formed, names are escaped, and it needs no file and no network."""
    odd = tmp_path / "<b>&\udcff.jpg"
    shutil.copy(image, odd)
    done = call("query", odd, "--gallery", shop / "gallery", "-k", 3, "--format", "html")
    assert (done.returncode, done.stderr) == (0, "")
    page = Page()
    page.feed(done.stdout)
    page.close()
    assert page.open == []
    assert page.pictures == 4
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "http:" not in done.stdout
    assert "https:" not in done.stdout
    assert "url(" not in done.stdout
    assert "<b>" not in done.stdout
    assert r"&lt;b&gt;&amp;\udcff.jpg" in done.stdout


def test_table_fits_a_terminal(
    image: Path, shop: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns no line is longer: paths are cut at their beginning, names never."""
    monkeypatch.setenv("COLUMNS", "80")
    done = call("query", image, "--gallery", shop / "gallery")
    lines = done.stdout.splitlines()
    # The path of the query itself is given whole: a terminal wraps it.
    assert max(len(line) for line in lines[1:]) <= 80
    header = next(line for line in lines if line.startswith("rank"))
    assert header.split() == ["rank", "score", "path", "agrees", "with", "the", "query", "in"]
    rows = lines[lines.index(header) + 1 :]
    assert len(rows) == 10
    assert rows[0].split()[:2] == ["1", "1.000"]
    assert rows[0].endswith("00000.jpg  all")
    assert all(".jpg  " in row for row in rows)


def test_table_names_paths_from_the_working_folder(
    shop: Path, catalogue: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths work for images and gallery, and hits below the working folder are short."""
    monkeypatch.chdir(catalogue)
    gallery = os.path.relpath(shop / "gallery")
    done = call("query", "images/00000.jpg", "--gallery", gallery, "-k", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("images/00000.jpg\n  decode ")
    assert done.stdout.endswith("   1  1.000  images/00000.jpg  all\n")


def test_raw_readout_has_no_attributes(
    shop: Path, catalogue: Path, call: Call, tmp_path: Path
) -> None:
    """Without a head there is nothing to predict, and the table does without that column."""
    model, gallery = tmp_path / "raw.onnx", tmp_path / "g"
    assert call("export", shop / "run", "--out", model, "--readout", "raw").returncode == 0
    images = catalogue / "images"
    assert call("index", images, "--model", model, "--gallery", gallery).returncode == 0
    search = ("query", images / "00000.jpg", "--gallery", gallery, "-k", 2)
    table = call(*search).stdout.splitlines()
    assert table[3].split() == ["rank", "score", "path"]
    said = json.loads(call(*search, "--format", "json").stdout)
    assert said["attributes"] == {}
    assert [hit["agrees"] for hit in said["hits"]] == [[], []]


def test_more_hits_than_images(image: Path, shop: Path, call: Call) -> None:
    """A k larger than the gallery gives every image once."""
    done = call("query", image, "--gallery", shop / "gallery", "-k", 1000, "--format", "json")
    hits = json.loads(done.stdout)["hits"]
    assert len({hit["path"] for hit in hits}) == len(hits) == 80


def test_more_threads_than_there_can_be(image: Path, shop: Path, refused: Refused) -> None:
    """A number that no machine can mean is refused before anything is opened."""
    said = refused(2, "query", image, "--gallery", shop / "gallery", "--threads", 10**20)
    assert "is not in the range 1<=x<=1024" in said


def test_min_score(image: Path, shop: Path, call: Call) -> None:
    """Hits below the score are left out; none left is fine, and said."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 80)
    scores = [hit["score"] for hit in json.loads(call(*search, "--format", "json").stdout)["hits"]]
    bound = scores[5]
    kept = json.loads(call(*search, "--min-score", bound, "--format", "json").stdout)["hits"]
    assert [hit["score"] for hit in kept] == [score for score in scores if score >= bound]
    other = call(*search, "--min-score", 0.9999999, "--threads", 1)
    assert other.returncode == 0
    assert call("query", image, "--gallery", shop / "gallery", "--min-score", 2).returncode == 2


def test_no_hits_is_fine(image: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """An empty gallery answers with no hits."""
    empty, gallery = tmp_path / "empty", tmp_path / "g"
    empty.mkdir()
    made = call("index", empty, "--model", shop / "model.onnx", "--gallery", gallery)
    assert "0 added; 0 images in all" in made.stdout
    assert made.stderr == f"boost-edge: nothing was indexed: there are no images in {empty}\n"
    done = call("query", image, "--gallery", gallery)
    assert done.returncode == 0
    assert done.stdout.endswith("\n\nno hits\n")
    said = call("query", image, "--gallery", gallery, "--format", "csv").stdout
    assert said.count("\n") == 1
    assert "No hits" in call("query", image, "--gallery", gallery, "--format", "html").stdout


def test_one_thread_finds_the_same(image: Path, shop: Path, call: Call) -> None:
    """``--threads 1`` and ``--model`` with the gallery's own model change nothing."""
    search = ("query", image, "--gallery", shop / "gallery", "--format", "json")
    wanted = [hit["path"] for hit in json.loads(call(*search).stdout)["hits"]]
    done = call(*search, "--threads", 1, "--model", shop / "model.onnx")
    assert [hit["path"] for hit in json.loads(done.stdout)["hits"]] == wanted


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.jpg", "there is no such file"),
        ("", "it is a folder, not a file"),
        ("text.jpg", "it is not an image in a supported format"),
        ("cut.jpg", ""),
    ],
)
def test_an_image_that_cannot_be_read(
    name: str, said: str, image: Path, shop: Path, refused: Refused, tmp_path: Path
) -> None:
    """The only query image failing is exit 1, with one line that names it."""
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(image.read_bytes()[:400])
    line = refused(1, "query", tmp_path / name, "--gallery", shop / "gallery")
    assert line.startswith(f"{tmp_path / name}: ")
    assert said in line


def test_an_unreadable_image_among_others(
    image: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """The others are answered, the JSON has an error in its place, and the exit code is 3."""
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    search = ("query", bad, image, "--gallery", shop / "gallery", "-k", 1)
    done = call(*search, "--format", "json")
    assert done.returncode == 3
    assert done.stderr.startswith(f"boost-edge: skipped {bad}: ")
    assert done.stderr.count("\n") == 1
    error, answer = json.loads(done.stdout)
    assert error["query"] == str(bad)
    assert set(error["error"]) == {"reason", "detail"}
    assert answer["query"] == str(image)
    for style in ("table", "jsonl", "csv", "html"):
        assert call(*search, "--format", style).returncode == 3


@pytest.mark.parametrize("verb", ["query", "label"])
def test_what_may_not_be_read_is_left_to_the_reader(
    image: Path, shop: Path, call: Call, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Permission is no matter of usage: only opening a file tells, and the others are answered."""

    def may_read(path: str | os.PathLike[str], *_: object, **__: object) -> bool:
        return os.fspath(path) != str(image)

    monkeypatch.setattr(os, "access", may_read)
    where = ("--gallery", shop / "gallery") if verb == "query" else ()
    assert call(verb, image, *where).returncode == 0


def test_a_name_with_an_escape_sequence_stays_itself(
    image: Path, shop: Path, call: Call, tmp_path: Path
) -> None:
    """What looks like a colour in a file's name is in the CSV too, so that the file is found."""
    odd = tmp_path / "\x1b[31mred.jpg"
    shutil.copy(image, odd)
    done = call("query", odd, "--gallery", shop / "gallery", "--format", "csv")
    assert str(odd) in done.stdout
    assert odd.name in call("label", odd, "--format", "csv").stdout


def test_all_images_unreadable(shop: Path, call: Call, tmp_path: Path) -> None:
    """Where nothing could be answered, every image is named in order, and the exit code is 1.

    JSON has the error objects all the same.
    """
    done = call("query", tmp_path / "a", tmp_path / "b", "--gallery", shop / "gallery")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"boost-edge: {tmp_path / 'a'}: ")
    assert second.startswith(f"boost-edge: {tmp_path / 'b'}: ")
    done = call("query", tmp_path / "a", "--gallery", shop / "gallery", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["reason"] == "missing"


def test_a_folder_that_is_no_gallery(
    image: Path, catalogue: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No gallery in the working folder, a missing one, and other things are told apart."""
    monkeypatch.chdir(tmp_path)
    assert refused(2, "query", image).startswith(".boost-edge: there is no gallery here")
    assert "there is no gallery here" in refused(2, "query", image, "--gallery", "gone")
    assert "is not a gallery" in refused(2, "query", image, "--gallery", catalogue)
    assert "a gallery is a folder" in refused(2, "query", image, "--gallery", image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database"])
def test_a_damaged_gallery(
    content: bytes, image: Path, shop: Path, refused: Refused, tmp_path: Path
) -> None:
    """A database that is empty or something else is an integrity error."""
    gallery = tmp_path / "g"
    shutil.copytree(shop / "gallery", gallery)
    (gallery / "gallery.sqlite").write_bytes(content)
    line = refused(4, "query", image, "--gallery", gallery)
    assert line.startswith(f"{gallery / 'gallery.sqlite'}: is damaged")


def test_a_gallery_can_be_moved(
    image: Path, shop: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gallery answers from any folder it is moved to, and from any working folder."""
    shutil.copytree(shop / "gallery", tmp_path / "moved gallery")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    done = call("query", image, "--gallery", "../moved gallery", "-k", 1, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["hits"][0]["path"] == str(image)


def test_where_leaves_out_what_does_not_pass(image: Path, shop: Path, call: Call) -> None:
    """Every hit passes the filter, and all that pass are there; no hits is fine."""
    search = ("query", image, "--gallery", shop / "gallery", "--format", "json", "-k", 1000)
    everything = json.loads(call(*search).stdout)["hits"]
    colour = everything[-1]["attributes"]["colour"]
    done = call(*search, "--where", f"colour = '{colour}' and p(type) >= 0")
    assert (done.returncode, done.stderr) == (0, "")
    passing = [hit["id"] for hit in everything if hit["attributes"]["colour"] == colour]
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == passing
    none = call(*search, "--where", "colour = nothing")
    assert (none.returncode, json.loads(none.stdout)["hits"]) == (0, [])
    assert none.stderr == (
        "boost-edge: no image passes 'colour = nothing': boost-edge facets lists the values; "
        "capitals matter\n"
    )
    # Here it may be the bound on the score that leaves nothing.
    assert call(*search, "--where", "colour = nothing", "--min-score", 1).stderr == ""


def test_a_wrong_filter_points_at_the_place(image: Path, shop: Path, refused: Refused) -> None:
    """One line with the column, what was expected and the expression; the exit code is 2."""
    search = ("query", image, "--gallery", shop / "gallery", "--where")
    assert refused(2, *search, "colour = red and") == (
        "filter, column 17 (at ^): expected an attribute, p(...), not or (, found the end: "
        "colour = red and^"
    )
    assert "did you mean 'colour'?: ^colr = red" in refused(2, *search, "colr = red")


def test_prefer_lifts_what_is_preferred(image: Path, shop: Path, call: Call) -> None:
    """The order is by score and preference; the score stays the cosine."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 80, "--format", "json")
    plain = {hit["id"]: hit for hit in json.loads(call(*search).stdout)["hits"]}
    colour = list(plain.values())[-1]["attributes"]["colour"]
    done = call(*search, "--prefer", f"colour='{colour}':1", "--prefer", "type=none:-0.5")
    assert (done.returncode, done.stderr) == (0, "")
    hits = json.loads(done.stdout)["hits"]
    assert {hit["id"]: hit["score"] for hit in hits} == {i: h["score"] for i, h in plain.items()}
    order = [(-(hit["score"] + hit["preference"]), int(hit["id"])) for hit in hits]
    assert order == sorted(order)
    for hit in hits:
        assert (hit["preference"] > 0) == (hit["attributes"]["colour"] == colour)
    first = call(*search[:-4], "-k", 3, "--format", "json", "--prefer", f"colour='{colour}':1")
    assert [h["id"] for h in json.loads(first.stdout)["hits"]] == [h["id"] for h in hits[:3]]


def test_a_preference_without_effect_is_told(image: Path, shop: Path, call: Call) -> None:
    """A value that no image has is most often a misspelt one; the hits are as without it."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 3, "--format", "csv")
    plain, wrong = call(*search), call(*search, "--prefer", "type=SHIRT", "--prefer", "colour=x:-1")
    assert wrong.returncode == 0
    assert wrong.stderr.startswith(
        "boost-edge: no hit was lifted or lowered by --prefer type=SHIRT"
    )
    paths = [row["path"] for row in csv.DictReader(io.StringIO(wrong.stdout))]
    assert paths == [row["path"] for row in csv.DictReader(io.StringIO(plain.stdout))]


def test_preferences_are_shown_where_they_are_used(image: Path, shop: Path, call: Call) -> None:
    """Table and page show what was added; CSV has a column where it was asked for."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 2)
    said = json.loads(call(*search, "--format", "json").stdout)
    prefer = ("--prefer", f"type='{said['attributes']['type']['value']}':0.5")
    lines = call(*search, *prefer).stdout.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("rank"))
    assert lines[header].split()[:4] == ["rank", "score", "preference", "path"]
    score, bonus = lines[header + 1].split()[1:3]
    assert bonus.startswith("+0.")
    assert f"1. {score} {bonus}</span>" in call(*search, *prefer, "--format", "html").stdout
    rows = list(csv.DictReader(io.StringIO(call(*search, *prefer, "--format", "csv").stdout)))
    assert f"{float(rows[0]['preference']):+.3f}" == bonus
    unused = call(*search, "--prefer", "type=none")
    assert "preference" not in unused.stdout


def test_examples_are_one_query(image: Path, shop: Path, catalogue: Path, call: Call) -> None:
    """--like and --unlike make one answer, after those of the images; it names its examples."""
    other, third = (catalogue / "images" / f"0000{number}.jpg" for number in (1, 2))
    gallery = ("--gallery", shop / "gallery", "-k", 3, "--format", "json")
    alone = json.loads(call("query", "--like", image, *gallery).stdout)
    plain = json.loads(call("query", image, *gallery).stdout)
    assert alone["hits"] == plain["hits"]
    assert (alone["query"], alone["like"], alone["unlike"]) == ("<examples>", [str(image)], [])
    identity = plain["hits"][0]["id"]
    examples = ("--like", other, "--like", f"id:{identity}", "--unlike", third)
    first, second = json.loads(call("query", image, *examples, *gallery).stdout)
    assert first["hits"] == plain["hits"]
    assert "like" not in first
    assert second["like"] == [str(other), str(image)]
    assert second["unlike"] == [str(third)]
    weighed = call("query", *examples, "--unlike-weight", 0.9, *gallery)
    assert json.loads(weighed.stdout)["hits"] != second["hits"]
    table = call("query", *examples, "--gallery", shop / "gallery", "-k", 1).stdout
    assert table.startswith(f"like {other}, {image}\nunlike {third}\n  decode ")
    page = Page()
    page.feed(call("query", *examples, *gallery[:-1], "html").stdout)
    assert (page.open, page.pictures) == ([], 6)


def test_an_unreadable_example(image: Path, shop: Path, call: Call, tmp_path: Path) -> None:
    """The query of the examples fails as a whole, and is named by the file; others are answered."""
    gallery = ("--gallery", shop / "gallery", "-k", 1, "--format", "json")
    done = call("query", image, "--like", image, "--unlike", tmp_path / "gone.jpg", *gallery)
    assert done.returncode == 3
    assert done.stderr.startswith(f"boost-edge: skipped {tmp_path / 'gone.jpg'}: ")
    assert [set(each) & {"hits", "error"} for each in json.loads(done.stdout)] == [
        {"hits"},
        {"error"},
    ]
    assert call("query", "--like", tmp_path / "gone.jpg", *gallery).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("IMAGE", "--prefer", "colour:1"), "preference, column 9 (at ^): expected =, found the"),
        (("IMAGE", "--prefer", "colr=red"), "did you mean 'colour'?: ^colr=red"),
        (("IMAGE", "--prefer", "colour=red:7"), "expected a weight in [-1, 1]"),
        (("--unlike", "IMAGE"), "--unlike needs --like: say what to look for instead"),
        (("IMAGE", "--unlike", "IMAGE"), "--unlike needs --like: an IMAGE is a query of its own"),
        (("--like", "IMAGE", "--unlike-weight", "1"), "--unlike-weight needs --unlike"),
        (("--like", "id:0"), "id 0: the gallery has no such image"),
        (("--like", "id:1x"), "id:1x: an id is a number, as in id:17 (a file is ./id:1x)"),
        (("--like", "id:" + "9" * 19), "an id is a number"),
        (
            ("--like", "IMAGE", "--unlike", "IMAGE", "--unlike-weight", "1"),
            "the examples cancel each other out",
        ),
        (("--like", "IMAGE", "--unlike", "IMAGE", "--unlike-weight", "nan"), "finite"),
        (("IMAGE", "--facets", "--format", "csv"), "--facets has no place in csv"),
    ],
)
def test_what_makes_no_query_is_one_line(
    arguments: tuple[str, ...], line: str, image: Path, shop: Path, refused: Refused
) -> None:
    """Wrong preferences and examples are exit code 2, with what to do."""
    given = [str(image) if each == "IMAGE" else each for each in arguments]
    assert line in refused(2, "query", *given, "--gallery", shop / "gallery")


def test_facets_of_the_hits(image: Path, shop: Path, call: Call) -> None:
    """--facets counts the values of the hits in JSON, table and page."""
    search = ("query", image, "--gallery", shop / "gallery", "-k", 7, "--facets", "--format")
    said = json.loads(call(*search, "json").stdout)
    assert set(said["facets"]) == ATTRIBUTES
    for name, facet in said["facets"].items():
        values = [hit["attributes"][name] for hit in said["hits"]]
        assert facet["values"] == {value: values.count(value) for value in values}
        assert (facet["more"], facet["unknown"]) == (0, 0)
    table = call(*search, "table").stdout
    value, count = next(iter(said["facets"]["colour"]["values"].items()))
    assert f"\ncolour      {value} {count}" in table
    page = Page()
    page.feed(call(*search, "html").stdout)
    assert page.open == []
    assert f">{value} {count}</span>" in call(*search, "html").stdout
    nothing = call(*search, "table", "--where", "colour = none").stdout
    assert nothing.endswith("\n\nno hits\n")


def test_threads_are_those_of_opencv_too(image: Path, shop: Path, call: Call) -> None:
    """What resizes pictures keeps to ``--threads`` as the network does."""
    before = cv2.getNumThreads()
    try:
        done = call("query", image, "--gallery", shop / "gallery", "--threads", 1)
        assert done.returncode == 0
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
