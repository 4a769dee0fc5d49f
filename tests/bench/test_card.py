"""The model card: every figure from the measurement of exactly this file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from boost_edge.bench.card import make_card
from boost_edge.bench.results import read_result, write_result
from boost_edge.cli.main import run
from boost_edge.cli.model import shipped_model
from boost_edge.runtime.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "models" / "zoo"
MEASURED = ROOT / "bench" / "results" / "models.json"
LATENCY = ZOO / "latency.json"


@pytest.fixture
def row() -> dict[str, Any]:
    """Return what was measured of the shipped model."""
    digest = hashlib.sha256(shipped_model().read_bytes()).hexdigest()
    rows: list[dict[str, Any]] = read_result(MEASURED)["rows"]
    return next(each for each in rows if each["sha256"] == digest)


def test_the_committed_card_is_what_the_measurements_say() -> None:
    """The zoo's README is the card of the shipped file, as its command writes it."""
    card = make_card(shipped_model(), measured=MEASURED, latency=LATENCY, notes=ZOO / "notes.md")
    assert (ZOO / "README.md").read_text(encoding="utf-8") == card


def test_figures_are_those_of_the_result(row: dict[str, Any]) -> None:
    """Each accuracy, the mAP and the digest stand in the card; of speed nothing, unmeasured."""
    card = make_card(shipped_model(), measured=MEASURED)
    lines = card.splitlines()
    for name, judged in row["attributes"].items():
        (line,) = [line for line in lines if line.startswith(f"| {name} |")]
        assert f"{judged['accuracy']:.3f}" in line
        assert f"{judged['calibration_error']:.3f}" in line
    assert f"| {row['map10']['mean']:.2f} |" in card
    assert row["sha256"] in card
    assert "How fast" not in card


def test_what_weakens_its_speed_is_said(tmp_path: Path) -> None:
    """A busy machine, what the intervals are, and no p99 of few calls; gains by sample too."""
    result = read_result(LATENCY)
    few = [row for row in result["rows"] if row.get("calls", 100) < 100 and row["stage"] == "query"]
    assert few
    result["load_average_before"] = [6.01, 11.99, 7.12]
    result.pop("ratio_interval", None)  # as results of before have it
    write_result(tmp_path / "busy.json", result)
    card = make_card(shipped_model(), measured=MEASURED, latency=tmp_path / "busy.json")
    assert "The machine was not idle: load 6.01, 11.99, 7.12" in card
    assert "95% bootstrap intervals over 10 blocks" in card
    assert "of single samples" in card
    for row in few:
        name = row["system"].replace("_", "\\_")
        (line,) = [each for each in card.splitlines() if f"| {name} | query |" in each]
        assert line.split(" | ")[5] == "\u2013"
    result |= {"load_average_before": [0.5, 0.5, 0.5], "ratio_interval": "t"}
    for row in few:
        row["calls"] = 100
    write_result(tmp_path / "idle.json", result)
    card = make_card(shipped_model(), measured=MEASURED, latency=tmp_path / "idle.json")
    assert "not idle" not in card
    assert "95% t intervals over 10 blocks" in card
    assert f"| {few[0]['p99_ms']:,.2f} |" in card


def test_a_result_of_other_files_is_refused(tmp_path: Path) -> None:
    """A card never tells of one file what was measured of another."""
    for source, name in ((MEASURED, "measured"), (LATENCY, "latency")):
        text = source.read_text(encoding="utf-8")
        digest = hashlib.sha256(shipped_model().read_bytes()).hexdigest()
        assert digest in text
        other = tmp_path / f"{name}.json"
        write_result(other, json.loads(text.replace(digest, "0" * 64)))
        files = {"measured": MEASURED, "latency": LATENCY, name: other}
        with pytest.raises(UsageError, match="measured other files"):
            make_card(shipped_model(), **files)


def test_command_writes_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The card goes to a file or to stdout, with the notes word by word."""
    notes = tmp_path / "notes.md"
    notes.write_text("## Licence\n\nNone *yet*.\n", encoding="utf-8")
    given = ["bench", "card", str(shipped_model()), "--measured", str(MEASURED)]
    given += ["--notes", str(notes)]
    assert run(given) == 0
    printed = capsys.readouterr().out
    assert "## Licence\n\nNone *yet*.\n" in printed
    assert run([*given, "--out", str(tmp_path / "card.md")]) == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == printed
