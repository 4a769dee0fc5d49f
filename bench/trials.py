"""Seeds, one after the other, with every query's score on disk: resumable, and comparable later.

The file ``NAME.scores.npz`` beside ``NAME.json`` holds numpy arrays (no pickle)::

    meta                     a JSON text: format_version, key, complete, samples
    <seed>|<row>|<metric>    float32, one value for each query, or one for a whole test part

While seeds are missing it holds every metric, so that an interrupted measurement goes on with the
next seed; when it is complete only what a comparison between files needs.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.judging import Scores
from boost_edge.runtime.errors import BoostEdgeError, IntegrityError
from boost_edge.runtime.replace import replacing

__all__ = ["SCORES_FORMAT_VERSION", "Trial", "Trials", "read_trials", "run_trials", "scores_path"]

SCORES_FORMAT_VERSION = 1
_KEPT = ("map10", "ndcg10", "mrr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One seed: the digest of its test part, and each row's scores by the row's name."""

    sample: str
    rows: Mapping[str, Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The trials by seed, from 0. ``key`` identifies what was measured."""

    key: str
    complete: bool
    seeds: tuple[Trial, ...]

    @property
    def paired(self) -> bool:
        """Tell whether all seeds have the same queries, so that seeds are averaged by query."""
        return len({trial.sample for trial in self.seeds}) == 1

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the rows."""
        return tuple(self.seeds[0].rows)

    def values(self, row: str, metric: str) -> list[NDArray[np.float64]]:
        """Return a metric's values by seed."""
        return [trial.rows[row][metric] for trial in self.seeds]


def scores_path(out: Path) -> Path:
    """Return where the scores of a result file lie."""
    return out.with_name(f"{out.stem}.scores.npz")


def run_trials(
    seeds: int, measure: Callable[[int], Trial], *, what: Mapping[str, Any], out: Path | None
) -> Trials:
    """Measure the seeds from 0, and return all of them.

    With ``out``, the JSON file of the result, each seed is on disk beside it before the next one
    begins, and what an interrupted run of the same measurement left there is not measured again.
    A complete one is: whoever asks again wants new numbers. ``what`` is what the measurement
    depends on, as JSON can hold it.
    """
    key = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
    path = None if out is None else scores_path(out)
    done: list[Trial] = []
    if path is not None and path.exists():
        try:
            earlier = read_trials(path)
        except IntegrityError:
            earlier = None  # it would only have saved time
        if earlier is not None and earlier.key == key and not earlier.complete:
            done = list(earlier.seeds[:seeds])
    for seed in range(len(done), seeds):
        done.append(measure(seed))
        if path is not None:
            _write(path, Trials(key=key, complete=False, seeds=tuple(done)))
    trials = Trials(key=key, complete=True, seeds=tuple(done))
    if path is not None:
        _write(path, trials)
    return trials


def read_trials(path: Path) -> Trials:
    """Read a file of scores.

    Raises
    ------
    IntegrityError
        When it is absent, damaged, or of another version.
    """
    try:
        # Opened here: numpy leaves a file open that is no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        meta: dict[str, Any] = json.loads(str(arrays.pop("meta")))
        if meta["format_version"] != SCORES_FORMAT_VERSION:
            raise IntegrityError(
                f"{path}: its format version is {meta['format_version']}, not "
                f"{SCORES_FORMAT_VERSION}: measure again"
            )
        rows: list[dict[str, dict[str, NDArray[np.float64]]]] = [{} for _ in meta["samples"]]
        for name, values in arrays.items():
            seed, row, metric = name.split("|")
            rows[int(seed)].setdefault(row, {})[metric] = values.astype(np.float64)
        samples = cast("Sequence[str]", meta["samples"])
        return Trials(
            key=str(meta["key"]),
            complete=bool(meta["complete"]),
            seeds=tuple(
                Trial(sample=sample, rows=each) for sample, each in zip(samples, rows, strict=True)
            ),
        )
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{path}: there is no such file: it is written beside the result by --out"
        ) from error
    except (OSError, EOFError, KeyError, IndexError, ValueError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path}: is no file of scores, or damaged: measure again") from error


def _write(path: Path, trials: Trials) -> None:
    meta = {
        "format_version": SCORES_FORMAT_VERSION,
        "key": trials.key,
        "complete": trials.complete,
        "samples": [trial.sample for trial in trials.seeds],
    }
    arrays = {
        f"{seed}|{row}|{metric}": np.asarray(values, np.float32)
        for seed, trial in enumerate(trials.seeds)
        for row, scores in trial.rows.items()
        for metric, values in scores.items()
        if metric in _KEPT or not trials.complete
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
    except OSError as error:
        raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error
