"""``bench alternatives``: each contender really indexes and finds, in processes of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.drawn_model import DRAWN

from boost_edge.bench.alternatives import CONTENDERS, AlternativesPlan, measure_alternatives
from boost_edge.bench.alternatives_process import (
    Contender,
    ContenderAbsentError,
    describe_environment,
    usable,
)
from boost_edge.bench.fastembed_model import write_for_fastembed
from boost_edge.bench.latency_pictures import draw_photo
from boost_edge.bench.report_alternatives import alternatives_section
from boost_edge.bench.report_blocks import Table
from boost_edge.bench.report_evidence import read_evidence
from boost_edge.bench.report_provenance import provenance_section
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Return the comparison of one round over a few photos, with the model of drawn garments."""
    plan = AlternativesPlan(model=DRAWN, images=6, rounds=1)
    found: dict[str, Any] = json.loads(json.dumps(measure_alternatives(plan)))
    return found


def test_who_is_installed_has_figures(result: dict[str, Any]) -> None:
    """Ours and torch by hand are measured; figures are positive and ours is the measure of all."""
    rows = {row["contender"]: row for row in result["rows"]}
    assert list(rows) == list(CONTENDERS)
    for name in ("boost-edge", "torch-numpy", "torch-faiss"):
        row = rows[name]
        assert row["images_per_second"] > 0
        assert 0 < row["query_p50_ms"] <= row["query_p90_ms"]
        # A new process starts an interpreter, imports, opens the model: no query is as quick.
        assert row["cold_p50_ms"] > row["query_p50_ms"]
        assert 20e6 < row["query_peak_bytes"] < 4e9
    ours = rows["boost-edge"]["times_ours"]
    assert {each["estimate"] for each in ours.values()} == {1.0}
    assert rows["torch-numpy"]["query_peak_bytes"] > rows["boost-edge"]["query_peak_bytes"]


def test_who_is_absent_says_so(result: dict[str, Any], tmp_path: Path) -> None:
    """A contender whose library is not there has a reason, and others go on."""
    [row] = [row for row in result["rows"] if row["contender"] == "fastembed"]
    if importlib.util.find_spec("fastembed") is None:
        assert "not installed: fastembed" in row["unavailable"]
        assert "--python fastembed=PATH" in row["unavailable"]
    else:
        assert row["images_per_second"] > 0
    gone = Contender(name="torch-numpy", python=tmp_path / "python")
    with pytest.raises(ContenderAbsentError, match="No such file"):
        usable(gone, {}, tmp_path)


def test_the_report_lists_it(result: dict[str, Any], tmp_path: Path) -> None:
    """A folder of results with one of this kind can be reported."""
    (tmp_path / "alternatives.json").write_text(json.dumps(result))
    evidence = read_evidence(tmp_path)
    assert "alternatives" in str(provenance_section(evidence).blocks)
    [table] = [each for each in alternatives_section(evidence).blocks if isinstance(each, Table)]
    assert [row[0] for row in table.rows] == list(CONTENDERS)
    assert "1.00 (1.00 to 1.00)" in table.rows[0]


def test_fastembeds_file_is_the_same_network(tmp_path: Path) -> None:
    """With its layout turned the graph gives the embeddings of the file it was made from."""
    with Encoder.open(DRAWN, threads=1) as encoder:
        size = encoder.manifest.image.size
        images = np.stack([draw_photo(size, size, seed=seed) for seed in range(2)])
        expected = encoder.run(images).embeddings
    write_for_fastembed(DRAWN, tmp_path / "fastembed", size=size)
    session: Any = onnxruntime.InferenceSession(
        os.fspath(tmp_path / "fastembed" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    [given] = session.get_inputs()
    found = session.run(["embedding"], {given.name: images.transpose(0, 3, 1, 2)})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert session.get_outputs()[0].name == "embedding"


def test_only_own_environments_have_a_size() -> None:
    """The environment of all extras says nothing; one of its own is counted."""
    shared = describe_environment(Contender(name="boost-edge", python=None))
    assert shared == {"own": False, "installed_bytes": None, "packages": None}
    own = describe_environment(Contender(name="boost-edge", python=Path(sys.executable)))
    assert own["installed_bytes"] > 1e6
    assert own["packages"] > 1


@pytest.mark.parametrize(
    "changes",
    [{"images": 0}, {"rounds": 0}, {"threads": (0,)}, {"threads": ()}, {"threads": (10_000,)},
     {"environments": {"tensorflow": Path("python")}}],
)  # fmt: skip
def test_plans_that_make_no_sense(changes: dict[str, Any]) -> None:
    """Nothing is measured when the plan is wrong."""
    with pytest.raises(UsageError):
        AlternativesPlan(**changes).check()
