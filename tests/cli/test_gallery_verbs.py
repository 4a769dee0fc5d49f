"""index --prune and --dry-run, verify and compact, as a shell sees them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.cli.main import run

Call = Callable[..., CompletedProcess[str]]


@pytest.fixture
def pictures(catalogue: Path, tmp_path: Path) -> Path:
    """Return a folder of four pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for source in sorted((catalogue / "images").iterdir())[:4]:
        (folder / source.name).write_bytes(source.read_bytes())
    return folder


def test_prune_verify_compact(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is gone is noted, foretold, deleted and removed; damage is exit code 4."""
    gallery = tmp_path / "gallery"
    index = ["index", str(pictures), "--gallery", str(gallery)]

    assert run([*index, "--dry-run"]) == 0
    assert "nothing was written, would be 4 added" in capsys.readouterr().out
    assert not gallery.exists()
    assert run(index) == 0
    gone = sorted(pictures.iterdir())[0]
    gone.unlink()
    capsys.readouterr()

    assert run(["verify", str(gallery)]) == 0
    said = capsys.readouterr().out
    assert f"[file_missing]: {gone}" in said
    assert f"repair: boost-edge index FOLDER --gallery {gallery} --prune" in said
    assert f"{gallery}: sound, 4 images" in said

    assert run([*index, "--prune", "--dry-run"]) == 0
    assert f"would delete {gone}" in capsys.readouterr().out
    assert run([*index, "--prune", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["pruned"], report["images"], report["dry_run"]) == ([str(gone)], 3, False)

    assert run(["compact", str(gallery), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["removed"], report["images"]) == (1, 3)
    assert run(["compact", str(gallery)]) == 0
    assert "0 deleted images removed; 3 images in all" in capsys.readouterr().out

    (gallery / "vectors.usearch").write_bytes(b"no graph")
    assert run(["verify", str(gallery), "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["sound"] is False
    assert [each["code"] for each in report["findings"]] == ["cache_damaged"]
    assert run(["verify", str(gallery)]) == 4
    assert f"{gallery}: DAMAGED, 3 images" in capsys.readouterr().out
    assert run(["compact", str(gallery)]) == 0
    assert run(["verify", str(gallery)]) == 0


def test_the_default_gallery(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a bare index, bare verify and compact are about the same gallery."""
    monkeypatch.chdir(tmp_path)
    for verb in ("verify", "compact"):
        assert run([verb]) == 2
        assert ".boost-edge: there is no gallery here" in capsys.readouterr().err
    assert run(["index", str(pictures)]) == 0
    capsys.readouterr()
    for verb in ("verify", "compact"):
        assert run([verb]) == 0
        assert capsys.readouterr().out.startswith(".boost-edge: ")


def test_json_names_the_gallery_alike(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every verb that is about a gallery names its absolute path in ``gallery``, alike."""
    monkeypatch.chdir(tmp_path)
    assert run(["index", str(pictures), "--gallery", "g"]) == 0
    for line in (
        "index pictures --gallery g --json",
        "facets --gallery g --json",
        "duplicates --gallery g --json",
        "inspect g --json",
        "verify g --json",
        "compact g --json",
        "gallery export --gallery g --out x.jsonl --json",
        "gallery import x.jsonl --gallery g --json",
        "gallery merge g --into g2 --json",
    ):
        capsys.readouterr()
        assert run(line.split()) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["gallery"] == str(tmp_path / ("g2" if "--into" in line else "g")), line
        assert "path" not in said, line


def test_where_there_is_no_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both verbs say so in one line, with exit code 2."""
    for verb in ("verify", "compact"):
        assert run([verb, str(tmp_path / "absent")]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("sql", "code", "exit_code", "repair"),
    [
        ("UPDATE meta SET value = 99 WHERE key = 'format_version'",
         "format_newer", 4, "update boost-edge"),
        ("UPDATE meta SET value = 1 WHERE key = 'format_version'",
         "format_older", 1, "boost-edge compact {}"),
        ("DROP TABLE meta",
         "database_damaged", 4, "restore gallery.sqlite"),
        ("", "database_gone", 4, "restore gallery.sqlite"),
    ],
)  # fmt: skip
def test_verify_says_in_json_what_it_cannot_check(
    shop: Path, tmp_path: Path, call: Call, sql: str, code: str, exit_code: int, repair: str
) -> None:
    """Another format is no damage and not sound; with --json, all of it is JSON."""
    folder = tmp_path / "gallery"
    shutil.copytree(shop / "gallery", folder)
    database = folder / "gallery.sqlite"
    if sql:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(sql)
            connection.commit()
    else:
        database.rename(folder / "gallery.sqlite-wal")
    done = call("verify", folder, "--json")
    assert (done.returncode, done.stderr) == (exit_code, "")
    report = json.loads(done.stdout)
    assert (report["sound"], report["images"]) == (False, None)
    [finding] = report["findings"]
    assert finding["code"] == code
    assert finding["repair"].startswith(repair.format(folder))
    done = call("verify", folder)
    assert done.returncode == exit_code
    assert done.stdout.splitlines()[1].startswith(f"  repair: {repair.format(folder)}")
    other = code.startswith("format")
    assert (f"{folder}: NOT CHECKED (" in done.stdout) == other
    assert ("damage" in done.stdout.lower()) != other


def test_verify_a_model_that_moved(
    shop: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that is not where it was is a note; --model looks at where it is, and at what."""
    gallery, model = tmp_path / "my gallery", tmp_path / "model.onnx"
    model.write_bytes((shop / "model.onnx").read_bytes())
    assert run(["index", str(pictures), "--model", str(model), "--gallery", str(gallery)]) == 0
    moved = model.rename(tmp_path / "moved.onnx")
    capsys.readouterr()
    assert run(["verify", str(gallery)]) == 0
    said = capsys.readouterr().out
    assert f"note: the model is not where it was [model_missing]: {model}" in said
    assert f"boost-edge index FOLDER --gallery '{gallery}' --model FILE" in said
    assert run(["verify", str(gallery), "--model", str(moved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    moved.write_bytes(b"another")
    assert run(["verify", str(gallery), "--model", str(moved)]) == 4
    assert f"[model_changed]: {moved}" in capsys.readouterr().out
