"""The built wheel, installed alone: a machine that serves has no torch and needs none."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.wheel

LISTS_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a publisher does, through the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def base_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, and nothing but its own requirements, in a new environment."""
    folder = tmp_path_factory.mktemp("base")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return python


def modules_after(python: Path, statement: str, cwd: Path) -> set[str]:
    """Return the top-level modules in a fresh process after a statement."""
    names = json.loads(run(python, "-c", f"{statement}; {LISTS_MODULES}", cwd=cwd))
    return {name.partition(".")[0] for name in names}


def test_wheel_holds_the_rooms_and_nothing_else(wheel: Path) -> None:
    """The wheel has every room once, the type marker and the licence; no tests, no links."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[1] for name in names if name.startswith("boost_edge/")}
    assert tops >= {"runtime", "models", "export", "bench", "cli", "py.typed", "__init__.py"}
    assert {name.split("/")[0] for name in names} == {
        "boost_edge",
        next(name.split("/")[0] for name in names if ".dist-info" in name),
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert len(names) == len(set(names))
    assert any(name.endswith(".onnx") for name in names)


@pytest.mark.parametrize(
    "module",
    ["runtime", "runtime.encoder", "runtime.gallery", "runtime.images", "runtime.manifest"],
)
def test_runtime_needs_no_torch(base_python: Path, tmp_path: Path, module: str) -> None:
    """The runtime loads neither torch nor onnx nor click, on the wheel installed alone."""
    loaded = modules_after(base_python, f"import boost_edge.{module}", tmp_path)
    assert not loaded & {"torch", "torchvision", "onnx", "click", "tqdm", "pyarrow"}


def test_base_environment_has_no_torch(base_python: Path, tmp_path: Path) -> None:
    """What the wheel requires brings neither torch nor onnx into the environment."""
    listed = run(base_python, "-m", "pip", "list", "--format=json", cwd=tmp_path)
    names = {each["name"].lower() for each in json.loads(listed)}
    assert "boost-edge" in names
    assert not names & {"torch", "torchvision", "onnx", "onnxscript", "pyarrow", "matplotlib"}


@pytest.mark.parametrize(
    "order",
    [
        "import usearch.index, onnxruntime",
        "import onnxruntime, usearch.index",
        "import boost_edge.runtime.hnsw, boost_edge.runtime.encoder",
        "import boost_edge.runtime.encoder, boost_edge.runtime.hnsw",
    ],
)
def test_both_import_orders_survive(base_python: Path, tmp_path: Path, order: str) -> None:
    """USearch before onnxruntime, which kills the process with some versions, and after it."""
    assert modules_after(base_python, order, tmp_path) >= {"usearch", "onnxruntime"}


def fails(python: Path, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Run a command line that must fail; return its exit code and what it says on stderr."""
    command = [str(python), "-m", "boost_edge", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_missing_extra_names_the_command(base_python: Path, tmp_path: Path) -> None:
    """Training on a base install fails in one line with the pip command that mends it."""
    (tmp_path / "labels.csv").write_text("file_name,type\n")
    code, message = fails(
        base_python, "train", "labels.csv", "--images", ".", "--out", "run", cwd=tmp_path
    )
    assert code == 1
    assert message.count("\n") == 1
    assert "pip install 'boost-edge[train]'" in message


def test_labels_on_the_base_install(base_python: Path, tmp_path: Path) -> None:
    """Images are labelled and a label table is reviewed without torch."""
    run(base_python, "-m", "boost_edge.bench.catalogue", "shop", "--count", "12", cwd=tmp_path)
    boost_edge = (base_python, "-m", "boost_edge")
    table = run(*boost_edge, "label", "shop/images", "--format", "csv", cwd=tmp_path)
    assert table.count("\n") == 13
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    said = run(*boost_edge, "review", "labels.csv", "--images", "shop/images", cwd=tmp_path)
    assert "the model disagrees with 0, of which 0 are likely to be wrong" in said


def test_demo_runs_on_the_base_install(base_python: Path, tmp_path: Path) -> None:
    """The demo draws, indexes, searches and writes its page without torch or network."""
    shown = run(base_python, "-m", "boost_edge", "demo", "--count", "60", cwd=tmp_path)
    assert "rank" in shown
    # What it says that it runs can be typed.
    [command] = [line for line in shown.splitlines() if line.startswith("$ boost-edge index ")]
    again = run(base_python, "-m", "boost_edge", *shlex.split(command)[2:], cwd=tmp_path)
    assert "60 unchanged; 60 images in all" in again
    page = (tmp_path / "boost-edge-demo" / "results.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 8 * 6
    code, message = fails(base_python, "demo", cwd=tmp_path)
    assert code == 2
    assert "already exists" in message
