"""Scores on disk: what is written is read, and what is damaged is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from boost_edge.bench.comparing import gain_of, hurts, paired_gain, spread
from boost_edge.bench.trials import Trial, Trials, read_trials, run_trials, scores_path
from boost_edge.bench.versus import compare, parse_side
from boost_edge.cli.main import run
from boost_edge.runtime.errors import BoostEdgeError, IntegrityError, UsageError

VALUES = st.lists(st.floats(0, 100, width=32), min_size=3, max_size=3)


def trial(sample: str, **rows: list[float]) -> Trial:
    """Return a trial with values of map10, and of another metric."""
    return Trial(
        sample=sample,
        rows={
            f"crop/{name.replace('_', '/')}": {
                "map10": np.array(values),
                "trec_map": np.array(values) / 100,
            }
            for name, values in rows.items()
        },
    )


def trials(*seeds: Trial) -> Trials:
    """Return complete trials."""
    return Trials(key="k", complete=True, seeds=seeds)


@settings(max_examples=20, deadline=None)
@given(st.lists(hnp.arrays(np.float32, 4), min_size=1, max_size=3), st.text(max_size=8))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: list[np.ndarray], sample: str
) -> None:
    """Any scores of float32, NaN and infinity among them, come back as they were."""
    out = tmp_path_factory.mktemp("scores") / "a.json"
    made = [Trial(sample=sample, rows={"a/b": {"map10": each}}) for each in values]
    written = run_trials(len(made), made.__getitem__, what={"a": 1}, out=out)
    read = read_trials(scores_path(out))
    assert (read.key, read.complete) == (written.key, True)
    assert [each.sample for each in read.seeds] == [sample] * len(values)
    for ours, theirs in zip(read.values("a/b", "map10"), values, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_complete_file_keeps_what_comparisons_need(tmp_path: Path) -> None:
    """Metrics that no comparison between files uses are dropped when all seeds are there."""
    out = tmp_path / "a.json"

    def stop(seed: int) -> Trial:
        if seed:
            raise KeyboardInterrupt
        return trial("s", none_raw=[1, 2])

    with pytest.raises(KeyboardInterrupt):
        run_trials(2, stop, what={}, out=out)
    assert set(read_trials(scores_path(out)).seeds[0].rows["crop/none/raw"]) == {
        "map10", "trec_map",
    }  # fmt: skip
    found = run_trials(2, lambda _: trial("s", none_raw=[1, 2]), what={}, out=out)
    assert set(read_trials(scores_path(out)).seeds[0].rows["crop/none/raw"]) == {"map10"}
    assert "trec_map" in found.seeds[0].rows["crop/none/raw"]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_damage_is_named(content: bytes, tmp_path: Path) -> None:
    """A damaged file of scores, a foreign one and an absent one are each one line."""
    path = tmp_path / "a.scores.npz"
    with pytest.raises(IntegrityError, match="no such file"):
        read_trials(path)
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        read_trials(path)
    np.savez(path, other=np.zeros(2))
    with pytest.raises(IntegrityError, match="damaged"):
        read_trials(path)
    np.savez(path, meta=np.array(json.dumps({"format_version": 9})))
    with pytest.raises(IntegrityError, match="format version is 9"):
        read_trials(path)
    np.savez(path, meta=np.array([{"a": 1}], dtype=object))
    with pytest.raises(IntegrityError, match="damaged"):
        read_trials(path)


def test_any_cut_of_the_file_is_noticed_and_measured_again(tmp_path: Path) -> None:
    """A file that lost its end is refused, and a measurement starts anew instead of failing."""
    out = tmp_path / "a.json"
    whole = run_trials(1, lambda _: trial("s", none_raw=[1, 2]), what={}, out=out)
    data = scores_path(out).read_bytes()
    for length in range(0, len(data), 37):
        scores_path(out).write_bytes(data[:length])
        with pytest.raises(IntegrityError):
            read_trials(scores_path(out))
    again = run_trials(1, lambda _: trial("s", none_raw=[1, 2]), what={}, out=out)
    assert again.key == whole.key
    assert scores_path(out).read_bytes() == data


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The file is named when it cannot be written."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BoostEdgeError, match=r"a\.scores\.npz: cannot be written"):
        run_trials(1, lambda _: trial("s", none_raw=[1]), what={}, out=tmp_path / "file" / "a.json")


@settings(max_examples=30, deadline=None)
@given(VALUES, VALUES, VALUES, VALUES)
def test_gains_pool_or_average_the_seeds(
    a: list[float], b: list[float], c: list[float], d: list[float]
) -> None:
    """With other queries per seed they are pooled; with the same ones seeds are averaged."""
    for samples, queries in ((("s", "t"), 6), (("s", "s"), 3)):
        found = trials(
            trial(samples[0], none_raw=a, boost_hidden=b),
            trial(samples[1], none_raw=c, boost_hidden=d),
        )
        gain = gain_of(found, "crop/none/raw", "crop/boost/hidden")
        assert gain["queries"] == queries
        assert gain["mean"] == pytest.approx(np.mean([*b, *d]) - np.mean([*a, *c]), abs=1e-4)
        assert gain["low"] - 1e-9 <= gain["mean"] <= gain["high"] + 1e-9
        by_seed = [np.mean(b) - np.mean(a), np.mean(d) - np.mean(c)]
        assert gain["by_seed"] == pytest.approx(by_seed, abs=1e-4)
        assert spread(found, "crop/none/raw", "map10")["by_seed"] == pytest.approx(
            [np.mean(a), np.mean(c)]
        )


def test_queries_without_a_value_are_left_out() -> None:
    """NaN on one side leaves the pair out of the gain, and the query out of the mean."""
    found = trials(trial("s", none_raw=[1, np.nan, 3], boost_hidden=[2, 9, 5]))
    gain = gain_of(found, "crop/none/raw", "crop/boost/hidden")
    assert (gain["queries"], gain["mean"], gain["by_seed"]) == (2, 1.5, [1.5])
    empty = trials(
        trial("s", none_raw=[1, 2], boost_hidden=[np.nan, np.nan]),
        trial("t", none_raw=[1, 2], boost_hidden=[3, 4]),
    )
    assert gain_of(empty, "crop/none/raw", "crop/boost/hidden")["by_seed"] == [None, 2]
    assert spread(found, "crop/none/raw", "map10") == {"mean": 2, "std": None, "by_seed": [2]}
    empty = trials(trial("s", none_raw=[np.nan]))
    assert spread(empty, "crop/none/raw", "map10")["mean"] is None


def test_only_equal_queries_can_be_paired() -> None:
    """Other queries, rows or metrics are refused by name."""
    first, second = trials(trial("s", none_raw=[1, 2])), trials(trial("t", none_raw=[1, 2]))
    with pytest.raises(UsageError, match="seed 0 has other queries"):
        paired_gain(first, "crop/none/raw", second, "crop/none/raw")
    with pytest.raises(UsageError, match="no row crop/raw: the rows are crop/none/raw"):
        paired_gain(first, "crop/raw", first, "crop/none/raw")
    with pytest.raises(UsageError, match="no scores of ndcg10"):
        paired_gain(first, "crop/none/raw", first, "crop/none/raw", "ndcg10")


def test_hurts_are_the_rows_below_zero() -> None:
    """Only rows whose whole interval and every seed is below 0 are listed, by plain values."""
    rows: list[dict[str, Any]] = [
        {"test": "a", "labels": 3, "gain": {"low": -2, "high": -1}, "map10": {"mean": 3}},
        {"test": "b", "gain": {"low": -2, "high": 0.1}},
        {"test": "d", "gain": {"low": -2, "high": -1, "by_seed": [-3, 0.1]}},
        {"test": "c"},
    ]
    assert hurts(rows) == [{"test": "a", "labels": 3, "gain": {"low": -2, "high": -1}}]


def _one(rows: dict[str, list[float]], _: int) -> Trial:
    return trial("s", **rows)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with the scores of two results."""
    values = np.random.default_rng(0).random(50).tolist()
    better = [value + 0.5 for value in values]
    for name, rows in (
        ("vit", {"none_raw": values}),
        ("net", {"none_raw": values, "boost_hidden": better, "paper_hidden": values}),
    ):
        run_trials(
            1,
            partial(_one, rows),
            what={"name": name},
            out=tmp_path / f"{name}.json",
        )
    return tmp_path


def test_versus_compares_files(files: Path) -> None:
    """The gain of one file's row over another's is paired query by query."""
    first, second = (
        parse_side(f"{files / 'vit.json'}:raw"),
        parse_side(f"{files / 'net.json'}:boost/hidden"),
    )
    result = compare(first, second)
    assert result["gain"]["mean"] == pytest.approx(0.5)
    assert result["gain"]["low"] == pytest.approx(0.5)
    assert result["beats"] == "second"
    assert result["first"]["file"] == "vit.json"
    assert result["second"]["row"] == "crop/boost/hidden"
    assert result["gain"]["by_seed"] == pytest.approx([0.5])
    assert compare(second, first)["beats"] == "first"
    assert compare(first, first)["beats"] == "neither"
    json.dumps(result, allow_nan=False)


def test_neither_beats_the_other_where_seeds_disagree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hundreds of queries of two heads are certain, and tell nothing of a third head."""
    values = np.random.default_rng(0).random(400)
    for name, moved in (("one", (0.0, 0.0, 0.0)), ("two", (-0.2, 0.9, 0.8))):
        by_seed = [trial(str(seed), none_raw=(values + each).tolist()) for seed, each in
                   enumerate(moved)]  # fmt: skip
        run_trials(3, by_seed.__getitem__, what={"name": name}, out=tmp_path / f"{name}.json")
    sides = [f"{tmp_path / name}.json:raw" for name in ("one", "two")]
    result = compare(*map(parse_side, sides))
    assert result["gain"]["low"] > 0.4
    assert result["gain"]["by_seed"] == pytest.approx([-0.2, 0.9, 0.8], abs=1e-6)
    assert result["beats"] == "neither"
    assert run(["bench", "versus", *sides]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "by seed: -0.20, +0.90, +0.80; 95% over seeds: -1.01 to +2.01); neither is" in printed


def test_versus_names_what_it_does_not_find(files: Path) -> None:
    """A row that is not there or not alone, and a side without a row."""
    side = parse_side(f"{files / 'vit.json'}:raw")
    with pytest.raises(UsageError, match="2 rows are called hidden"):
        compare(side, parse_side(f"{files / 'net.json'}:hidden"))
    with pytest.raises(UsageError, match="no rows are called aw"):
        compare(side, parse_side(f"{files / 'net.json'}:aw"))
    with pytest.raises(IntegrityError, match="no such file"):
        compare(side, parse_side(f"{files / 'gone.json'}:raw"))
    for text in ("raw", ":raw", "file.json:"):
        with pytest.raises(UsageError, match=r"write FILE\.json:ROW"):
            parse_side(text)
