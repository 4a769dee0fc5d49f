"""gallery export, import and merge, as a shell sees them."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.runtime.moving import a_row, make_gallery, rows_of

from boost_edge.cli.model import shipped_model
from boost_edge.runtime.gallery_model import MODEL_NAME
from boost_edge.runtime.verify import verify_gallery

Call = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

# Of a file that the process writes, in bytes: then its disk is full, as far as it can tell.
_LIMIT = 200_000


@pytest.fixture
def till(tmp_path: Path) -> Path:
    """Return a gallery of three rows, the last one deleted."""
    rows = [a_row("/a", "1"), a_row("/b\udcff", "2"), a_row("/c", "3", state="deleted")]
    return make_gallery(tmp_path / "till", rows)


def test_a_shop_moves(shop: Path, call: Call, tmp_path: Path) -> None:
    """Exported, imported with its model and exported again, a gallery is the same file."""
    gallery, out, copy = shop / "gallery", tmp_path / "shop.jsonl", tmp_path / "copy"
    done = call("gallery", "export", "--gallery", gallery, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{gallery}: 80 images written to {out}" in done.stdout
    done = call("gallery", "import", out, "--gallery", copy, "--model", shop / "model.onnx")
    assert f"{copy}: 80 added; 80 images in all" in done.stdout
    done = call("gallery", "import", out, "--gallery", copy, "--json")
    report = json.loads(done.stdout)
    assert (report["added"], report["unchanged"], report["images"]) == (0, 80, 80)
    assert report["sources"] == [str(out)]
    done = call("gallery", "export", "--gallery", copy, "--out", tmp_path / "again", "--format",
                "jsonl", "--json")  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["images"], report["format"], report["deleted"]) == (80, "jsonl", 0)
    assert (tmp_path / "again").read_bytes() == out.read_bytes()
    done = call("gallery", "merge", gallery, copy, "--into", tmp_path / "all", "--json")
    report = json.loads(done.stdout)
    assert (report["added"], report["images"], report["conflicts"]) == (80, 80, 0)
    assert verify_gallery(tmp_path / "all").sound


def test_the_shipped_model_is_found(garments: Path, call: Call, tmp_path: Path) -> None:
    """A gallery of the shipped model is imported without naming a file within the package."""
    first, out, copy = tmp_path / "first", tmp_path / "out.jsonl", tmp_path / "copy"
    photos = sorted((garments / "images").iterdir())[:3]
    assert call("index", *photos, "--gallery", first).returncode == 0
    assert call("gallery", "export", "--gallery", first, "--out", out).returncode == 0
    shutil.rmtree(first)
    done = call("gallery", "import", out, "--gallery", copy)
    assert (done.returncode, done.stderr) == (0, "")
    assert (copy / MODEL_NAME).read_bytes() == shipped_model().read_bytes()
    said = json.loads(call("query", photos[1], "--gallery", copy, "--json").stdout)
    assert said["hits"][0]["path"] == str(photos[1])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_pipes_carry_galleries(till: Path, tmp_path: Path, form: str) -> None:
    """Through a pipe, which cannot be read twice, as through a file."""
    target = make_gallery(tmp_path / "target")
    command = f"{sys.executable} -m boost_edge gallery"
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, "-c", f"{command} export --gallery {till} --deleted --format {form} | "
         f"{command} import - --gallery {target} --format {form} --under /till"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 added; 2 images in all" in done.stdout
    assert list(rows_of(target)) == ["/till/a", "/till/b\udcff", "/till/c"]
    assert [row.state for row in rows_of(target).values()] == ["live", "live", "deleted"]


def test_conflicts_are_one_line(till: Path, tmp_path: Path, refused: Refused, call: Call) -> None:
    """What is to be done is said, and can be typed."""
    other = make_gallery(tmp_path / "o=ther", [a_row("/b\udcff", "4")])
    target = make_gallery(tmp_path / "target")
    merge = ("gallery", "merge", till, other, "--into", target)
    said = refused(1, *merge)
    assert f"/b\\udcff (content: {till} and {other})" in said
    assert f"--under {other}=/FOLDER" in said
    assert rows_of(target) == {}
    done = call(*merge, "--under", f"{other}/=/o=ther")
    assert "3 added; 3 images in all" in done.stdout
    assert "/o=ther/b\udcff" in rows_of(target)
    done = call(*merge, "--on-conflict", "replace")
    assert "1 replaced, 1 unchanged, 1 conflicts settled" in done.stdout
    assert "is not SOURCE=FOLDER" in refused(2, *merge, "--under", "nobody=/x")
    assert "is not SOURCE=FOLDER" in refused(2, *merge, "--under", f"{till}=")


def test_exit_codes(till: Path, tmp_path: Path, refused: Refused, call: Call, shop: Path) -> None:
    """2 for wrong usage, 4 for what is damaged or of another model, one line each."""
    out = tmp_path / "till.jsonl"
    assert call("gallery", "export", "--gallery", till, "--out", out).returncode == 0
    assert "no gallery" in refused(2, "gallery", "export", "--gallery", tmp_path / "no")
    assert "--json needs --out" in refused(2, "gallery", "export", "--gallery", till, "--json")
    assert "no such file" in refused(2, "gallery", "import", tmp_path / "no.jsonl")
    at = ("--gallery", till, "--under", "")
    assert "the folder to put paths under is empty" in refused(2, "gallery", "import", out, *at)
    new = ("--gallery", tmp_path / "new")
    assert "--model FILE" in refused(2, "gallery", "import", out, *new)
    model = ("--model", shop / "model.onnx")
    assert "the model 555555555555" in refused(4, "gallery", "import", out, *new, *model)
    assert "of the model" in refused(4, "gallery", "merge", till, "--into", shop / "gallery")
    out.write_bytes(out.read_bytes()[:-9])
    assert "cut off" in refused(4, "gallery", "import", out, "--gallery", till)
    assert not (tmp_path / "new").exists()
    assert call("gallery", "merge", till).returncode == 2


def test_standard_output_holds_the_gallery_alone(
    till: Path, monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path
) -> None:
    """Without --out nothing but the file is written; stdin that can be read twice is taken too."""
    done = call("gallery", "export", "--gallery", till)
    assert [json.loads(line).get("digest", "")[:1] for line in done.stdout.splitlines()] == [
        "", "1", "2", ""
    ]  # fmt: skip
    target = make_gallery(tmp_path / "target")
    data = io.TextIOWrapper(io.BytesIO(done.stdout.encode()))
    monkeypatch.setattr(sys, "stdin", data)
    assert call("gallery", "import", "-", "--gallery", target).returncode == 0
    assert list(rows_of(target)) == ["/a", "/b\udcff"]


@pytest.mark.parametrize(
    ("verb", "closing", "line"),
    [
        ("import -", "<&-", "standard input is closed: there is no file to read"),
        ("export", ">&-", "standard output is closed: give --out FILE"),
    ],
)
def test_a_closed_stream(till: Path, verb: str, closing: str, line: str) -> None:
    """A process that was started without the stream it is to read or write says so."""
    command = [sys.executable, "-m", "boost_edge", "gallery", *verb.split(), "--gallery", str(till)]
    given = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"boost-edge: {line}\n")


def test_a_file_is_named_as_it_was_given(
    till: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """JSON repeats a relative path as it is; the gallery's is absolute."""
    monkeypatch.chdir(tmp_path)
    done = call("gallery", "export", "--gallery", till.name, "--out", "b.jsonl", "--json")
    said = json.loads(done.stdout)
    assert (said["gallery"], said["out"]) == (str(till), "b.jsonl")


def limited(*arguments: object) -> CompletedProcess[str]:
    """Run a command line that cannot write large files."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT))

    return subprocess.run(
        [sys.executable, "-m", "boost_edge", *map(str, arguments)],
        check=False, capture_output=True, text=True, preexec_fn=limit,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["import", "merge"])
def test_a_full_disk_is_resumed(tmp_path: Path, call: Call, verb: str) -> None:
    """Where a file cannot grow, the gallery is sound and holds whole batches; again, all of it."""
    rows = [a_row(f"/{number:04}", "0123456789abcdef"[number % 16]) for number in range(1500)]
    source = make_gallery(tmp_path / "source", rows)
    target = make_gallery(tmp_path / "target", [a_row("/mine", "0")])
    out = tmp_path / "source.jsonl"
    assert call("gallery", "export", "--gallery", source, "--out", out).returncode == 0
    arguments = ("gallery", "import", out, "--gallery", target)
    if verb == "merge":
        arguments = ("gallery", "merge", source, "--into", target)
    done = limited(*arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(target) in done.stderr
    assert verify_gallery(target).sound
    held = len(rows_of(target))
    assert held < 1501
    assert f"{1501 - held:,} added" in call(*arguments).stdout
    assert rows_of(target) == {row.path: row for row in [a_row("/mine", "0"), *rows]}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_full_disk_leaves_an_older_export(tmp_path: Path, form: str) -> None:
    """An export that cannot be written is one line, and what was at its place stays."""
    # Nothing that a compressor could make smaller.
    dice = random.Random(0)  # noqa: S311 - names, not secrets
    paths = (f"/{dice.randbytes(100).hex()}" for _ in range(1500))
    source = make_gallery(tmp_path / "source", [a_row(path) for path in paths])
    out = tmp_path / f"out.{form}"
    out.write_text("older")
    options = ("--gallery", source, "--out", out)
    done = limited("gallery", "export", *options)
    assert done.returncode == 1, done.stderr
    assert f"{out}: cannot be written: File too large: it is as it was" in done.stderr
    assert done.stderr.count("\n") == 1
    assert out.read_text() == "older"
    assert sorted(each.name for each in tmp_path.iterdir()) == [out.name, "source"]
