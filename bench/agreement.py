"""``bench agreement``: how often a gallery's hits share a label with the query.

The whole way a user goes: the gallery that was indexed, the model it was indexed with, image files
as queries. Queries are images that took no part in the training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.metrics import agreement_at_k, chance_agreement
from boost_edge.bench.results import make_result
from boost_edge.runtime.bootstrap import bootstrap_mean, paired_bootstrap
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.images import content_digest, read_bytes
from boost_edge.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from boost_edge.export.labels import LabelTable

__all__ = ["draw_queries", "measure_agreement", "others_of"]

_HITS = 10


def measure_agreement(
    labels: Path,
    *,
    images: Path,
    galleries: Sequence[Path],
    attribute: str,
    run: Path,
    queries: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return, for each gallery, the mean share of the ten hits with the query's label.

    Queries are drawn from the label table's rows whose label is known and whose image took no
    part in the training or validation of ``run``, nor did one with the same bytes, in the order of
    sha256 of seed and name. An image never counts as its own hit, nor does one with the same
    bytes. Hits are judged by the label table, not by what the model predicts. ``gain_over_first``
    is the mean difference to the first gallery on the same queries, with its 95% paired bootstrap
    interval; ``chance`` is the share that a random ranking of the gallery's other images would
    have.

    Raises
    ------
    UsageError
        When too few images are left to draw the queries from, or a gallery holds images that the
        table does not label.
    """
    from boost_edge.export.labels import read_labels
    from boost_edge.export.run import read_run

    report = progress or silent
    table = read_labels(labels, images=images, attributes=[attribute])
    record = read_run(run)
    fitted = {name for part in ("train", "val") for name in record.parts[part]}
    drawn = draw_queries(table, fitted, queries, seed)
    code_of = {
        os.path.realpath(path): int(code)
        for path, code in zip(table.paths, table.codes[:, 0], strict=True)
    }
    rows: list[dict[str, Any]] = []
    first: NDArray[np.float64] | None = None
    for folder in galleries:
        with Gallery.open(folder, create=False) as gallery:
            shares = _shares(gallery, table, drawn, code_of, report)
            manifest = gallery.encoder.manifest
            interval = bootstrap_mean(shares)
            first = shares if first is None else first
            gain = paired_bootstrap(first, shares)
            paths = {os.path.realpath(path) for path in gallery.paths()}
            chance = chance_agreement(
                table.codes[drawn, 0],
                np.array([code_of.get(path, -1) for path in paths], np.int64),
                np.array([os.path.realpath(table.paths[row]) in paths for row in drawn]),
            )
            rows.append(
                {
                    "readout": manifest.readout,
                    "dimensions": manifest.dimensions,
                    "model_sha256": gallery.model_sha256,
                    "run_sha256": manifest.run_sha256,
                    "weights": manifest.weights.name,
                    "images": len(gallery),
                    "agreement": interval.mean,
                    "interval": [interval.low, interval.high],
                    "chance": float(np.nanmean(chance)),
                    "gain_over_first": gain.mean,
                    "gain_interval": [gain.low, gain.high],
                }
            )
    return make_result(
        "agreement",
        {
            "labels_sha256": table.sha256,
            "attribute": attribute,
            "queries": queries,
            "hits": _HITS,
            "seed": seed,
            "rows": rows,
        },
    )


def draw_queries(table: LabelTable, fitted: set[str], queries: int, seed: int) -> list[int]:
    """Return the rows of the query images, in the order in which they are drawn.

    Their label is known, and neither they nor an image with the same bytes is among ``fitted``,
    the names of the images that were trained on.

    Raises
    ------
    UsageError
        When there are too few.
    """
    open_rows = [
        row
        for row, name in enumerate(table.names)
        if name not in fitted and table.codes[row, 0] >= 0
    ]
    open_rows.sort(key=lambda row: hashlib.sha256(f"{seed}:{table.names[row]}".encode()).digest())
    trained = _Contents(
        path for name, path in zip(table.names, table.paths, strict=True) if name in fitted
    )
    drawn = list(islice((row for row in open_rows if table.paths[row] not in trained), queries))
    if len(drawn) < queries:
        raise UsageError(
            f"{table.path}: only {len(drawn)} labelled images took no part in the training, "
            f"but {queries} queries are wanted: ask for fewer"
        )
    return drawn


class _Contents:
    """The bytes of some files: only those of a size that is asked for are read."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_size: dict[int, list[Path]] = {}
        self._digests: dict[int, set[str]] = {}
        for path in paths:
            self._by_size.setdefault(path.stat().st_size, []).append(path)

    def __contains__(self, path: Path) -> bool:
        size = path.stat().st_size
        if size not in self._by_size:
            return False
        if size not in self._digests:
            self._digests[size] = {content_digest(read_bytes(each)) for each in self._by_size[size]}
        return content_digest(read_bytes(path)) in self._digests[size]


def _shares(
    gallery: Gallery,
    table: LabelTable,
    drawn: Sequence[int],
    code_of: Mapping[str, int],
    report: Progress,
) -> NDArray[np.float64]:
    """Return each query's share of hits that have its label."""
    hit_codes = np.full((len(drawn), _HITS), -1, np.int64)
    for place, row in enumerate(drawn):
        for rank, path in enumerate(others_of(gallery, table.paths[row], _HITS)):
            real = os.path.realpath(path)
            if real not in code_of:
                raise UsageError(f"{gallery.path}: {path} is not in the label table")
            hit_codes[place, rank] = code_of[real]
        report(gallery.path.name, place + 1, len(drawn))
    return agreement_at_k(table.codes[np.array(drawn), 0], hit_codes, k=_HITS)


def others_of(gallery: Gallery, query: Path, k: int) -> list[str]:
    """Return the paths of an image's best hits, without itself and its copies."""
    own = content_digest(read_bytes(query))
    # Room for the image itself and a few copies of it.
    hits = gallery.query(query, k=2 * k).hits
    return [hit.path for hit in hits if content_digest(read_bytes(hit.path)) != own][:k]
