"""The report's last section: every file, when and on what it was measured, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.report_blocks import (
    Block,
    Cell,
    Code,
    Command,
    Paragraph,
    Section,
    Table,
    words,
)
from boost_edge.bench.report_evidence import MAKES, Evidence, Source
from boost_edge.bench.report_words import NONE, network, weights

__all__ = ["provenance_section"]


def provenance_section(evidence: Evidence) -> Section:
    """Return where every number comes from."""
    machines: list[Mapping[str, Any]] = []
    files: list[tuple[Cell, ...]] = []
    for source in evidence.sources:
        machine = source.result["machine"]
        if machine not in machines:
            machines.append(machine)
        files.append(_file(source, str(machines.index(machine) + 1)))
    blocks: list[Block] = [
        Paragraph(
            text=(
                "Every number above is read from one of these files and rounded. Computed here are "
                "only: how many times one mean is another, the gain of each seed where a file has "
                "but the means by seed, t intervals over seeds, four bytes for each dimension "
                "where a file does not say bytes, sums of stages, and which points are on a Pareto "
                "front. "
                "The paper's figures are quoted from its table, targets are the project's own.",
            )
        ),
        Table(
            caption="Files",
            header=(
                "file",
                "kind",
                "date",
                "seeds",
                "network",
                "weights",
                "label table",
                "machine",
            ),
            rows=tuple(files),
            right=(3,),
        ),
        Table(
            caption="Machines",
            header=("machine", "processor", "cores", "instructions", "system", "versions"),
            rows=tuple(_machine(str(place), each) for place, each in enumerate(machines, 1)),
            right=(2,),
        ),
    ]
    for kind in evidence.missing():
        named, command = MAKES[kind]
        blocks.append(
            Paragraph(text=words("Missing: ", Code(named), ". This makes it:"), tone="absent")
        )
        blocks.append(Command(line=command))
    if evidence.others:
        text = f"Not read, as they are no results: {', '.join(evidence.others)}."
        blocks.append(Paragraph(text=(text,), tone="source"))
    return Section(title="Where every number comes from", anchor="provenance", blocks=tuple(blocks))


def _file(source: Source, machine: str) -> tuple[Cell, ...]:
    result = source.result
    measured = "backbone" in result
    return (
        words(source.link()),
        source.kind,
        str(result["date"]),
        str(result.get("seeds", NONE)),
        network(result["backbone"], result.get("taps", ())) if measured else NONE,
        weights(result) if measured and "weights" in result else NONE,
        str(result.get("labels_sha256", NONE))[:12],
        machine,
    )


def _machine(name: str, machine: Mapping[str, Any]) -> tuple[Cell, ...]:
    versions = {
        "boost-edge": machine.get("boost_edge"),
        "Python": machine.get("python"),
        **machine.get("libraries", {}),
    }
    return (
        name,
        ", ".join(str(machine[key]) for key in ("processor", "architecture") if key in machine),
        str(machine.get("cores", NONE)),
        ", ".join(machine.get("instructions") or ["not recorded"]),
        str(machine.get("system", NONE)),
        ", ".join(f"{library} {version}" for library, version in versions.items() if version),
    )
