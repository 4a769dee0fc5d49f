"""The results that a report is made from: every JSON of ``bench`` in a folder, by kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from boost_edge.bench.report_blocks import Link
from boost_edge.bench.results import read_result
from boost_edge.runtime.errors import UsageError

__all__ = ["MAKES", "Evidence", "Source", "read_evidence"]

MAKES: Mapping[str, tuple[str, str]] = {
    "quality": (
        "quality/*.json",
        "boost-edge bench quality labels.csv --images photos/ --name-column name "
        "--out results/quality/NAME.json",
    ),
    "versus": (
        "quality/*-versus-*.json",
        "boost-edge bench versus results/quality/A.json:raw "
        "results/quality/B.json:boost/match --out results/quality/B-versus-A.json",
    ),
    "honesty": (
        "honesty/*.json",
        "boost-edge bench honesty labels.csv --images photos/ --name-column name "
        "--out results/honesty/NAME.json",
    ),
    "curve": (
        "curve/*.json",
        "boost-edge bench curve labels.csv --images photos/ --name-column name "
        "--baseline results/quality/A.json:raw --out results/curve/NAME.json",
    ),
    "ablation": (
        "ablation/*.json",
        "boost-edge bench ablate labels.csv --images photos/ --name-column name "
        "--out results/ablation/NAME.json",
    ),
    "agreement": (
        "agreement*.json",
        "boost-edge bench agreement labels.csv --images photos/ --run RUN --gallery GALLERY "
        "--attribute NAME --out results/agreement.json",
    ),
    "search": (
        "search.json",
        "boost-edge bench search --rows 1000000 --work runs/search --out results/search.json",
    ),
    "crossover": ("crossover.json", "boost-edge bench crossover --out results/crossover.json"),
    "latency": ("latency.json", "boost-edge bench latency --out results/latency.json"),
    "cost": ("cost.json", "boost-edge bench cost results/latency.json --out results/cost.json"),
}
"""By kind of result: the files of it, as the project's own are called, and what makes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file: its path below the folder, where the report finds it, and what it says."""

    name: str
    href: str
    result: Mapping[str, Any]
    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Return what was measured."""
        return str(self.result["kind"])

    def link(self, key: str | None = None, row: int | None = None) -> Link:
        """Return a link to the file, at the line of a key, or of a row of the list there.

        Lines are what GitHub calls them; elsewhere the file is shown from its beginning.
        """
        number = self._line(key, row)
        return Link(self.name, self.href + (f"#L{number}" if number else ""))

    def _line(self, key: str | None, row: int | None) -> int | None:
        """Return the line of a key of the whole; ``write_result`` indents by one."""
        start = f' "{key}":'
        for place, line in enumerate(self.lines):
            if key is not None and line.startswith(start):
                if row is None:
                    return place + 1
                opening = [at for at in range(place, len(self.lines)) if self.lines[at] == "  {"]
                return opening[row] + 1 if row < len(opening) else None
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All results of a folder, in the order of their names, and JSON files that are none."""

    sources: tuple[Source, ...]
    others: tuple[str, ...]

    def of(self, kind: str) -> tuple[Source, ...]:
        """Return the results of a kind."""
        return tuple(each for each in self.sources if each.kind == kind)

    def missing(self) -> tuple[str, ...]:
        """Return the kinds that there is no result of."""
        return tuple(kind for kind in MAKES if not self.of(kind))


def read_evidence(folder: Path, *, seen_from: Path | None = None) -> Evidence:
    """Read every result below a folder; links are made for a page in ``seen_from``.

    JSON files that are no result are named, not read. One that cannot be read is an error: a
    report that leaves out what is damaged would not be true.

    Raises
    ------
    UsageError
        When there is no such folder, no result in it, or one of another format.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder: name the one that bench --out wrote to")
    sources: list[Source] = []
    others: list[str] = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if text and '"format_version"' not in text:
            others.append(name)
            continue
        href = quote(Path(os.path.relpath(path, seen_from or folder)).as_posix())
        result = read_result(path)
        lines = tuple(text.split("\n"))
        sources.append(Source(name=name, href=href, result=result, lines=lines))
    if not sources:
        raise UsageError(f"{folder}: has no result of bench: write one there with bench --out")
    return Evidence(sources=tuple(sources), others=tuple(others))
