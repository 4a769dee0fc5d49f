"""Processors: what real machines say of themselves in ``/proc/cpuinfo``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.runtime.cpu_features import INSTRUCTIONS, parse_cpuinfo, read_processor

SAMPLES = Path(__file__).parent / "cpuinfo"
X86 = ("AVX2", "AVX-512", "VNNI", "AMX")
ARM = ("NEON", "dotprod", "i8mm", "SVE")


@pytest.mark.parametrize(
    ("sample", "name", "has", "lacks"),
    [
        ("epyc-7003", "AMD EPYC", X86[:1], X86[1:]),
        ("core-i7-1165g7", "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", X86[:3], X86[3:]),
        ("xeon-platinum-8468", "Intel(R) Xeon(R) Platinum 8468", X86, ()),
        (
            "raspberry-pi-4",
            "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.2)",
            ARM[:1],
            ARM[1:],
        ),
        (
            "raspberry-pi-4-32-bit",
            "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.1)",
            ARM[:1],
            ARM[1:],
        ),
        ("rk3588", "Cortex-A55 + Cortex-A76", ARM[:2], ARM[2:]),
        ("neoverse-n2", "Neoverse-N2", ARM, ()),
        ("kirin-9030", "ARM 0x48 0xd24", ARM, ()),
    ],
)
def test_real_processors(
    sample: str, name: str, has: tuple[str, ...], lacks: tuple[str, ...]
) -> None:
    """Name and features of machines of both families, with and without instructions for int8."""
    found = parse_cpuinfo((SAMPLES / f"{sample}.txt").read_text(encoding="utf-8"))
    assert found.name == name
    assert found.features == dict.fromkeys(has, True) | dict.fromkeys(lacks, False)
    assert list(found.features) == list(has + lacks)
    x86 = set(found.features) == set(X86)
    assert found.family == ("x86" if x86 else "arm")
    assert found.has_int8_dot == bool({"VNNI", "dotprod"} & set(has))
    assert found.needs_reduced_range == (x86 and "VNNI" not in has)
    assert set(found.instructions) <= set(INSTRUCTIONS)


def test_vnni_without_avx512() -> None:
    """The later processors for desktops have VNNI for 256 bits alone."""
    found = parse_cpuinfo("processor : 0\nmodel name : x\nflags : avx2 avx_vnni vaes gfni\n")
    assert (found.features["VNNI"], found.features["AVX-512"]) == (True, False)
    assert not found.needs_reduced_range


def test_what_one_core_lacks_counts_as_lacking() -> None:
    """A thread may run on any core, so an instruction is had by all or by none."""
    text = (SAMPLES / "rk3588.txt").read_text(encoding="utf-8")
    first, *others = text.split("\n\n")
    assert "asimddp" in parse_cpuinfo(text).instructions
    mixed = parse_cpuinfo("\n\n".join([first.replace(" asimddp", ""), *others]))
    assert "asimddp" not in mixed.instructions
    assert "asimd" in mixed.instructions


def test_a_name_is_no_part_of_another() -> None:
    """``svei8mm`` is not ``i8mm``, nor ``avx512_vnni`` ``avx_vnni``."""
    text = (
        "processor : 0\nFeatures : fp asimd sve svei8mm\nCPU implementer : 0x41\nCPU part : 0xd40"
    )
    assert parse_cpuinfo(text).features == {
        "NEON": True, "dotprod": False, "i8mm": False, "SVE": True,
    }  # fmt: skip
    assert parse_cpuinfo("flags : avx512_vnni").instructions == ("avx512_vnni",)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Whatever the file says, there is an answer; an unknown processor promises nothing."""
    found = parse_cpuinfo(text)
    assert not found.instructions or "flags" in text.lower() or "features" in text.lower()


def test_nothing_is_known_of_nothing() -> None:
    """Neither fast 8-bit integers nor a need to spare their range."""
    found = parse_cpuinfo("")
    assert (found.name, found.family, found.features) == ("", "", {})
    assert (found.has_int8_dot, found.needs_reduced_range) == (False, False)


def test_this_machine_has_a_processor() -> None:
    """The machine that the tests run on is of a known family, and has a name."""
    found = read_processor()
    assert found.name
    assert found.family in ("x86", "arm")
    assert found.features["AVX2" if found.family == "x86" else "NEON"] in (True, False)
