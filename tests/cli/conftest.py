"""The command line in this process, and a small shop that it has made."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from boost_edge.bench.catalogue import draw_catalogue
from boost_edge.cli.main import run

QUICK = ("--backbone", "pca", "--weights", "none", "--image-size", "16")


@pytest.fixture(scope="session", autouse=True)
def plain_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's variables and caches out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("BOOST_EDGE_", "_BOOST_EDGE_")) and name != "BOOST_EDGE_SHARED":
                patch.delenv(name)
        for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("BOOST_EDGE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Return a function that runs a command line in this process, as a shell would."""

    def call_it(*arguments: object) -> CompletedProcess[str]:
        capsys.readouterr()
        given = [str(each) for each in arguments]
        code = run(given)
        said = capsys.readouterr()
        return CompletedProcess(given, code, said.out, said.err)

    return call_it


@pytest.fixture
def refused(call: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """Return a function that runs what must fail with a code and one line, and returns the line."""

    def refuse(code: int, *arguments: object) -> str:
        done = call(*arguments)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("boost-edge: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("boost-edge: ").rstrip("\n")

    return refuse


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Return options of train that make it quick."""
    return QUICK


@pytest.fixture
def photos(catalogue: Path, tmp_path: Path) -> Path:
    """Return a folder of four images, two of them with equal bytes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        shutil.copy(catalogue / "images" / f"0000{number}.jpg", folder)
    shutil.copy(folder / "00000.jpg", folder / "copy.jpg")
    return folder


@pytest.fixture(scope="session")
def shop(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``run``, ``model.onnx`` and ``gallery`` of the catalogue. Read only."""
    folder = tmp_path_factory.mktemp("shop")
    images, model = str(catalogue / "images"), str(folder / "model.onnx")
    labels, made = str(catalogue / "labels.csv"), str(folder / "run")
    assert run(["train", labels, "--images", images, "--out", made, *QUICK]) == 0
    assert run(["export", made, "--out", model]) == 0
    assert run(["index", images, "--model", model, "--gallery", str(folder / "gallery")]) == 0
    return folder


@pytest.fixture(scope="session")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``labels.csv``, which says what is for validation, and ``images``.

    There are 120 images, 30 of them for validation and 10 for the test part. Read only.
    """
    folder = tmp_path_factory.mktemp("divided") / "garments"
    draw_catalogue(folder, count=120, seed=0, size=32)
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["split"] = ("val", "train", "train", "test" if number % 3 == 0 else "train")[number % 4]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def search_command(divided: Path) -> tuple[str, ...]:
    """Return ``tune`` with options that make it quick, but for where to write."""
    return (
        "tune", str(divided / "labels.csv"), "--images", str(divided / "images"),
        "--backbone", "pca", "--image-sizes", "8,16", "--attributes", "type,colour",
        "--readouts", "attributes,raw", "--precisions", "fp32",
    )  # fmt: skip


@pytest.fixture(scope="session")
def searched(search_command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``model.onnx``, its report and what ``tune`` kept. Read only.

    Of its two networks only the one of 8 px was timed before it was trained.
    """
    from boost_edge.export import tune_costs

    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        # Each costs seconds of torch's exporter.
        patch.setattr(tune_costs, "MOST_PROBES", 1)
        assert run([*search_command, "--out", str(folder / "model.onnx")]) == 0
    return folder
