"""Count instructions of parts of a Python program with valgrind's callgrind.

The program marks its parts itself, through valgrind's client requests: a sequence of instructions
that does nothing on a processor and that valgrind takes for a message. Valgrind's header has them
as macros for C; here the same bytes are put into memory and called, so that no compiler is needed.
A request takes effect at once, in the middle of the program: nothing between two marks is counted
but what the program does there.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boost_edge.runtime.errors import BoostEdgeError

__all__ = ["Marks", "count_marked", "count_whole", "find_valgrind", "valgrind_version"]

# valgrind.h, amd64-linux: the address of the request in rax, the answer where there is no valgrind
# in rdx, four rotations of rdi by 128 bits in all, xchg rbx, rbx. Around it a C function's
# `long request(long *fields)`: mov rax, rdi; xor edx, edx; ...; mov rax, rdx; ret.
_REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
_MACHINE = "x86_64"
_FIELDS = 6
# valgrind.h and callgrind.h.
_RUNNING = 0x1001
_CALLGRIND = ord("C") << 24 | ord("T") << 16
_ZERO, _DUMP_AT, _START = _CALLGRIND + 1, _CALLGRIND + 3, _CALLGRIND + 4

_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)
_LABEL = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)


class Marks:
    """Marks of a program that may run under callgrind; elsewhere they do nothing.

    Raises
    ------
    BoostEdgeError
        On other processors than x86-64, or where memory cannot be made executable.
    """

    def __init__(self) -> None:
        if platform.machine() != _MACHINE:
            raise BoostEdgeError(
                f"instructions are counted on {_MACHINE} only, not on {platform.machine()}"
            )
        try:
            self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
        except OSError as error:
            raise BoostEdgeError(
                f"no memory can be made executable here ({error.strerror}), which counting "
                "instructions needs"
            ) from error
        self._code.write(_REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._code))
        self._call: Any = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.POINTER(ctypes.c_long))(address)

    @property
    def watched(self) -> bool:
        """Whether the program runs under valgrind."""
        return bool(self._request(_RUNNING))

    def start(self) -> None:
        """Begin to count; what comes before runs several times as fast."""
        self._request(_START)

    def zero(self) -> None:
        """Forget what was counted so far."""
        self._request(_ZERO)

    def close_part(self, name: str) -> None:
        """Write down what was counted since the last mark under a name, and begin anew."""
        text = ctypes.create_string_buffer(name.encode("ascii"))
        self._request(_DUMP_AT, ctypes.addressof(text))

    def _request(self, number: int, *arguments: int) -> int:
        fields = (ctypes.c_long * _FIELDS)(number, *arguments)
        answer: int = self._call(fields)
        return answer


def find_valgrind() -> str:
    """Return valgrind's path.

    Raises
    ------
    BoostEdgeError
        When it is not installed.
    """
    found = shutil.which("valgrind")
    if found is None:
        raise BoostEdgeError(
            "valgrind is not installed, which counts the instructions: install it (Debian and "
            "Ubuntu: apt-get install valgrind; Fedora: dnf install valgrind)"
        )
    return found


def valgrind_version() -> str:
    """Return what ``valgrind --version`` says, such as ``valgrind-3.19.0``."""
    return _run([find_valgrind(), "--version"], {}).strip()


def count_marked(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> dict[str, int]:
    """Run a program that uses `Marks`, and return the instructions of each part by name."""
    _run(_callgrind(folder, "--instr-atstart=no", command), environment)
    parts: dict[str, int] = {}
    for path in folder.glob("callgrind.out*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if (label := _LABEL.search(text)) is not None:
            parts[label[1]] = _totals(text)
    return parts


def count_whole(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a program and return the instructions of all of it, its start included."""
    _run(_callgrind(folder, "--instr-atstart=yes", command), environment)
    return _totals((folder / "callgrind.out").read_text(encoding="utf-8", errors="replace"))


def _callgrind(folder: Path, option: str, command: Sequence[str]) -> list[str]:
    folder.mkdir(parents=True)
    out = f"--callgrind-out-file={os.fspath(folder / 'callgrind.out').replace('%', '%%')}"
    # Lines and files of each function are of no use here, and take long to write.
    return [find_valgrind(), "--tool=callgrind", "--dump-line=no", option, out, *command]


def _totals(text: str) -> int:
    found = _TOTALS.search(text)
    if found is None:
        raise BoostEdgeError("callgrind wrote no total: please report this, with its version")
    return int(found[1])


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - valgrind and this interpreter
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        own = [line for line in done.stderr.splitlines() if line and not line.startswith("==")]
        raise BoostEdgeError(
            f"a measurement under valgrind ended with code {done.returncode}: "
            f"{own[-1] if own else 'it said nothing'}"
        )
    return done.stdout
