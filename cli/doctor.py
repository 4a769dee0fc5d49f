"""``boost-edge doctor``."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import boost_edge
from boost_edge.cli.exits import ExitCode
from boost_edge.cli.model import shipped_model
from boost_edge.cli.options import json_option
from boost_edge.cli.progress import show_step
from boost_edge.cli.ranges import RealNumber
from boost_edge.cli.render import print_json, printable, table, wrapped

if TYPE_CHECKING:
    from boost_edge.runtime.doctor import Diagnosis
    from boost_edge.runtime.import_probes import Probe

__all__ = ["command"]

# Of PEP 249, as sqlite3.threadsafety gives it.
_SQLITE_THREADS = {0: "single-thread", 1: "multi-thread", 3: "serialized"}
_LABEL = 12


@click.command("doctor")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The ONNX file to measure; default: that of --gallery, else the shipped one.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The gallery to search; default: a small made one.",
)
@click.option(
    "--seconds",
    type=RealNumber(0, 600),
    default=10,
    show_default=True,
    metavar="N",
    help="How long to measure; 0 is not at all.",
)
@json_option
def command(model: Path | None, gallery: Path | None, seconds: float, json: bool) -> int:
    """Say whether boost-edge can work on this machine, how fast, and what to change.

    Looks at processor, cores, memory and libraries, imports each library in a process of its own
    (one that was built for another processor would kill it), and measures decoding, encoding and
    searching for a few seconds. Other work on the machine slows that down: its ratios mean more
    than its milliseconds. Leaves nothing behind. The exit code is 1 where boost-edge cannot work,
    and 4 where only the model or gallery cannot be used.

    \b
    Example:
      boost-edge doctor
      boost-edge doctor --model model.onnx --gallery shop --json
    """
    from boost_edge.runtime.doctor import diagnose

    given = model is not None or gallery is not None
    found = diagnose(
        model=model if given else shipped_model(),
        gallery=gallery,
        given=given,
        seconds=seconds,
        step=show_step,
    )
    if json:
        print_json(_as_json(found))
    else:
        click.echo("\n".join(_as_text(found)))
    if not found.works:
        return ExitCode.FAILED
    unusable = any(finding.code == "files_unusable" for finding in found.findings)
    return ExitCode.INTEGRITY if unusable else ExitCode.FINE


def _as_json(found: Diagnosis) -> dict[str, Any]:
    from boost_edge.runtime.doctor_findings import int8_advice

    processor, limits = found.processor, found.limits
    return {
        "works": found.works,
        "boost_edge": boost_edge.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": {
            "name": processor.name,
            "architecture": platform.machine(),
            "features": processor.features,
            "instructions": list(processor.instructions),
            "int8": int8_advice(processor),
        },
        "cores": {
            "machine": limits.cores,
            "allowed": limits.allowed,
            "quota": limits.quota,
            "usable": limits.usable,
            "load": found.load,
        },
        "memory": {
            "bytes": limits.memory,
            "available": limits.memory_available,
            "limit": limits.memory_limit,
        },
        "libraries": [
            {
                "name": each.name,
                "status": each.status,
                "version": each.version,
                "detail": each.detail,
                "signal": each.signal,
                "seconds": each.seconds,
            }
            for each in found.libraries
        ],
        "orders": [
            {"order": each.name, "status": each.status, "detail": each.detail}
            for each in found.orders
        ],
        "torch": found.torch,
        "sqlite_threads": _sqlite_threads(found.libraries),
        "threads": {"opencv": found.opencv_threads, "onnxruntime": limits.usable},
        "start": _start(found.start),
        "benchmark": found.benchmark,
        "findings": [dataclasses.asdict(each) for each in found.findings],
        "seconds": found.seconds,
    }


def _start(probe: Probe | None) -> dict[str, Any] | None:
    if probe is None or probe.status != "fine":
        return None
    facts = probe.facts
    return {
        "seconds": facts["seconds"],
        "modules": facts["modules"],
        "uncompiled": len(facts["uncompiled"]),
    }


def _sqlite_threads(libraries: Sequence[Probe]) -> str | None:
    level = next(each for each in libraries if each.name == "sqlite").facts.get("threadsafety")
    return _SQLITE_THREADS.get(level, str(level)) if level is not None else None


def _as_text(found: Diagnosis) -> list[str]:
    from boost_edge.runtime.doctor_findings import int8_advice, is_quiet

    start = _start(found.start)
    rows = {
        "boost-edge": f"{boost_edge.__version__}, Python {platform.python_version()}",
        "system": platform.platform(),
        "processor": _processor_text(found),
        "int8": int8_advice(found.processor),
        "cores": _cores_text(found),
        "memory": _memory_text(found),
        "libraries": _libraries_text(found),
        "threads": f"OpenCV {found.opencv_threads or '?'}, onnxruntime {found.limits.usable}",
        "start": f"{start['modules']} modules in {start['seconds']:.2f} s" if start else "",
    }
    lines = [line for name, text in rows.items() if text for line in _fact(name, text)]
    if found.benchmark is not None and found.benchmark["rows"]:
        lines += ["", *_benchmark_text(found.benchmark)]
        if not is_quiet(found.load, limits=found.limits):
            lines += ["the machine is busy with other work: all of these times are too long"]
    if found.findings:
        lines += ["", "what to change"]
    for each in found.findings:
        lines += wrapped(f"{'BROKEN: ' if each.serious else ''}{each.what}", indent="  ")
        lines += wrapped(each.repair, indent="    ")
    verdict = "works here" if found.works else "DOES NOT WORK here"
    return [*lines, "", f"boost-edge {verdict} ({found.seconds:.1f} s)"]


def _fact(name: str, text: str) -> list[str]:
    """Return a name and what belongs to it, in lines that stand below each other."""
    first, *others = wrapped(text, indent=" " * _LABEL)
    return [f"{name:{_LABEL}}{first[_LABEL:]}", *others]


def _processor_text(found: Diagnosis) -> str:
    features = found.processor.features
    has = ", ".join(name for name, there in features.items() if there)
    lacks = ", ".join(name for name, there in features.items() if not there)
    parts = [found.processor.name, has and f"has {has}", lacks and f"lacks {lacks}"]
    return "; ".join(part for part in parts if part)


def _cores_text(found: Diagnosis) -> str:
    limits = found.limits
    quota = f", {limits.quota:g} at once by the container's limit" if limits.quota else ""
    return f"{limits.allowed} of {limits.cores}{quota}; load {found.load:.1f}"


def _memory_text(found: Diagnosis) -> str:
    limits = found.limits
    parts = [_gigabytes(limits.memory)]
    if limits.memory_available is not None:
        parts.append(f"{_gigabytes(limits.memory_available)} free")
    if limits.memory_limit is not None:
        parts.append(f"{_gigabytes(limits.memory_limit)} by the container's limit")
    return ", ".join(parts)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _libraries_text(found: Diagnosis) -> str:
    named = [f"{each.name} {each.version or each.status.upper()}" for each in found.libraries]
    if level := _sqlite_threads(found.libraries):
        named[-1] += f" ({level})"
    return ", ".join([*named, *([f"torch {found.torch}"] if found.torch else [])])


def _benchmark_text(measured: Mapping[str, Any]) -> list[str]:
    model = Path(measured["model"]).name
    lines = table(
        ["stage", "threads", "p50", "p90", "calls"],
        [
            [
                each["stage"],
                str(each["threads"] or ""),
                f"{each['p50_ms']:.1f} ms",
                f"{each['p90_ms']:.1f} ms",
                f"{each['calls']:,}",
            ]
            for each in measured["rows"]
        ],
        right=(1, 2, 3, 4),
    )
    described = f"{measured['backbone']}, {measured['precision']}, {measured['image_size']} pixels"
    lines += [f"encode: {printable(model)} ({described}); search: {measured['images']:,} images"]
    if (speedup := measured["speedup"]) is not None:
        lines += [f"all threads encode {speedup:.2f} times as fast as one"]
    return lines
