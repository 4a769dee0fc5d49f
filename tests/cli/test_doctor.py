"""``boost-edge doctor``: on this machine, and where libraries are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.runtime.broken_modules import KILLED, break_module

import boost_edge

Call = Callable[..., CompletedProcess[str]]

# Reports which of the modules that may be broken are loaded in the doctor's own process.
WATCHED = """
import sys
from boost_edge.cli.main import run
code = run(["doctor", *sys.argv[1:]])
loaded = {"numpy", "cv2", "onnxruntime", "usearch", "sqlite3", "_sqlite3", "torch"} & {*sys.modules}
print(code, *sorted(loaded), file=sys.stderr)
"""


def watched(*arguments: str, path: Path | None = None) -> CompletedProcess[str]:
    """Run the doctor in a process whose search path begins with a folder."""
    before = [str(path)] if path else []
    inherited = os.environ.get("PYTHONPATH")
    searched = os.pathsep.join([*before, *([inherited] if inherited else [])])
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        env={**os.environ, "PYTHONPATH": searched},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sound_machine(shop: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what there is and how fast it is, finds what is set wrong, and ends with 0."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "1000")
    monkeypatch.setenv("BOOST_EDGE_INDEX_THREADS", "2000")
    done = call("doctor", "--gallery", shop / "gallery", "--seconds", 0.1)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"boost-edge  {boost_edge.__version__}, Python 3.")
    named = [line[:12].strip() for line in lines[: lines.index("")]]
    wanted = ["system", "processor", "cores", "memory", "libraries", "threads", "start"]
    assert [name for name in named if name in wanted] == wanted
    rows = [line.split()[0] for line in lines if " ms" in line]
    assert rows[0] == "decode"
    assert rows[-1] == "search"
    assert set(rows[1:-1]) == {"encode"}
    assert any(line.endswith("search: 80 images") for line in lines)
    changes = lines[lines.index("what to change") :]
    assert any(line.startswith("  OpenCV uses 1000 threads on ") for line in changes)
    assert any("BOOST_EDGE_INDEX_THREADS asks for 2000 threads" in line for line in changes)
    assert lines[-1].startswith("boost-edge works here (")
    # Words without a place to break, such as paths, are not broken.
    assert all(len(line) <= 80 for line in lines if "/" not in line)


def test_nothing_is_imported_before_it_was_tried(tmp_path: Path) -> None:
    """With every library deadly the doctor lives, names each signal, and loads none of them."""
    deadly = {
        "numpy": "SIGILL", "cv2": "SIGBUS", "onnxruntime": "SIGSEGV", "usearch": "SIGABRT",
        "sqlite3": "SIGILL",
    }  # fmt: skip
    for name, by in deadly.items():
        break_module(tmp_path, name, KILLED.format(signal=by))
    done = watched("--json", path=tmp_path)
    assert done.stderr == "1\n"
    said = json.loads(done.stdout)
    assert not said["works"]
    statuses = [(each["status"], each["signal"]) for each in said["libraries"]]
    assert statuses == [("crashed", by) for by in deadly.values()]
    assert (said["orders"], said["start"], said["benchmark"]) == ([], None, None)
    assert [each["code"] for each in said["findings"][:5]] == ["library_crashed"] * 5
    assert "SIGILL (illegal instruction)" in said["findings"][0]["what"]
    assert said["processor"]["name"]


def test_a_sound_doctor_loads_nothing_either() -> None:
    """Where all is well, what is measured is measured in another process."""
    done = watched("--seconds", "0")
    assert done.stderr == "0\n"
    assert done.stdout.splitlines()[-1].startswith("boost-edge works here (")


def test_one_broken_library(tmp_path: Path) -> None:
    """What depends on it is not tried, what does not is, and text says what to do."""
    break_module(tmp_path, "onnxruntime", KILLED.format(signal="SIGILL"))
    done = watched(path=tmp_path)
    assert done.stderr == "1\n"
    assert "onnxruntime CRASHED" in done.stdout
    assert "BROKEN: onnxruntime cannot be imported: killed by SIGILL" in done.stdout
    assert "its wheel is for a newer processor than this one" in done.stdout
    assert done.stdout.count("BROKEN") == 1
    assert "DOES NOT WORK here" in done.stdout.splitlines()[-1]


def test_a_model_that_is_none(call: Call, tmp_path: Path) -> None:
    """It cannot be measured, which is said with what the model's reader says of it."""
    (tmp_path / "m.onnx").write_text("no model")
    done = call("doctor", "--model", tmp_path / "m.onnx", "--seconds", 0)
    assert (done.returncode, done.stderr) == (4, "")
    assert "model or gallery cannot be used" in done.stdout
    assert "works here" in done.stdout
    assert "BROKEN" not in done.stdout
    assert f"{tmp_path / 'm.onnx'}: is not an ONNX model" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "gone.onnx"), "'gone.onnx' does not exist"),
        (("--gallery", "gone"), "'gone' does not exist"),
        (("--seconds", "-1"), "-1.0 is not in the range"),
        (("--seconds", "nan"), "Invalid value for '--seconds': 'nan' is not a finite number: see "),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str, refused: Callable[..., str]) -> None:
    """Paths that are not there, and times that are none, are exit code 2."""
    assert said in refused(2, "doctor", *arguments)
