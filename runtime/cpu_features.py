"""What the processor is and which instructions it has that decide how fast a network runs.

Read from Linux's ``/proc/cpuinfo``; elsewhere nothing is known. Instructions are called as Linux
calls them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

__all__ = ["INSTRUCTIONS", "Processor", "parse_cpuinfo", "read_processor"]

INSTRUCTIONS = (
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "amx_bf16", "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
"""The instructions that are looked for, of x86-64 and of ARM."""

# What people call them: any of these instructions will do.
_OF_X86 = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8",),
}
_OF_ARM = {
    "NEON": ("asimd", "neon"),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
    "SVE": ("sve",),
}

# ARM's own designs have no name in the file (Linux, arch/arm64/include/asm/cputype.h).
_ARM_LTD = "0x41"
_ARM_PARTS = MappingProxyType(
    {
        "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55",
        "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73",
        "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1",
        "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78",
        "0xd42": "Cortex-A78AE", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510",
        "0xd47": "Cortex-A710", "0xd48": "Cortex-X2", "0xd49": "Neoverse-N2",
        "0xd4b": "Cortex-A78C", "0xd4d": "Cortex-A715", "0xd4e": "Cortex-X3",
        "0xd4f": "Neoverse-V2", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720",
        "0xd82": "Cortex-X4", "0xd84": "Neoverse-V3", "0xd8e": "Neoverse-N3",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """A processor: its ``name``, and those of `INSTRUCTIONS` that all of its cores have.

    ``family`` is ``x86``, ``arm``, or empty where it is something else or not known.
    """

    name: str
    family: str
    instructions: tuple[str, ...]

    @property
    def features(self) -> dict[str, bool]:
        """What a network can gain from on this family, by the names that people use."""
        known: Mapping[str, tuple[str, ...]] = {"x86": _OF_X86, "arm": _OF_ARM}.get(self.family, {})
        return {
            name: any(each in self.instructions for each in any_of)
            for name, any_of in known.items()
        }

    @property
    def has_int8_dot(self) -> bool:
        """Whether it multiplies and sums 8-bit integers with one instruction: VNNI or dotprod."""
        features = self.features
        return any(features.get(name, False) for name in ("VNNI", "AMX", "dotprod", "i8mm"))

    @property
    def needs_reduced_range(self) -> bool:
        """Whether sums of 8-bit products may overflow, so that weights must keep to 7 bits.

        Without VNNI onnxruntime multiplies unsigned by signed bytes with ``vpmaddubsw``, which
        saturates at 16 bits (onnxruntime's page "Quantize ONNX models"). ARM has no such limit.
        """
        return self.family == "x86" and not self.has_int8_dot


def parse_cpuinfo(text: str) -> Processor:
    """Read what ``/proc/cpuinfo`` says.

    Of cores of several kinds all are named, and what one of them lacks counts as lacking: a thread
    may run on any.
    """
    cores: list[dict[str, str]] = [{}]
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "processor" and value.isdecimal() and "processor" in cores[-1]:
            cores.append({})
        if colon:
            cores[-1].setdefault(key, value)
    listed = [core.get("flags", core.get("features")) for core in cores]
    flags = [set(each.split()) for each in listed if each is not None]
    common = flags[0].intersection(*flags) if flags else set[str]()
    if any("flags" in core for core in cores):
        family = "x86"
    else:
        family = "arm" if any("cpu implementer" in core for core in cores) else ""
    return Processor(
        name=_name(cores),
        family=family,
        instructions=tuple(name for name in INSTRUCTIONS if name in common),
    )


def read_processor() -> Processor:
    """Return this machine's processor, as far as it can be known."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = parse_cpuinfo(text)
    if found.name:
        return found
    name = platform.processor() or platform.machine() or "unknown"
    return Processor(name=name, family=found.family, instructions=found.instructions)


def _name(cores: list[dict[str, str]]) -> str:
    """Return the name that is there, else ARM's names of the cores, and the board's if told."""
    designs = dict.fromkeys(design for design in map(_design, cores) if design)
    # ARM's boards stand after the last core, of which they are no part.
    board = next((core["model"] for core in cores if _is_name(core.get("model", ""))), "")
    name = " + ".join(designs)
    return f"{name} ({board})" if name and board else name or board


def _design(core: dict[str, str]) -> str:
    if "cpu part" in core:
        part, maker = core["cpu part"].lower(), core.get("cpu implementer", "")
        known = _ARM_PARTS.get(part) if maker.lower() == _ARM_LTD else None
        return known or f"ARM {maker} {part}"
    return core.get("model name", "")


def _is_name(text: str) -> bool:
    # An x86 has a number in this place.
    return bool(re.search("[A-Za-z]", text))
