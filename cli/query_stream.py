"""``boost-edge query -``: paths come on standard input, and each is answered as it comes."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.render import warn
from boost_edge.cli.results import print_answers
from boost_edge.runtime.errors import ImageError, UsageError

if TYPE_CHECKING:
    from boost_edge.runtime.encoder import ImageLike
    from boost_edge.runtime.hits import QueryResult

__all__ = ["MOST_BYTES", "answer_stream", "read_paths"]

MOST_BYTES = 1 << 20
"""A path of so many bytes without an end is no path: no system has names that long."""

# As much as a pipe of Linux holds.
_PIECE = 1 << 16


def read_paths(read: Callable[[int], bytes], *, end: bytes) -> Iterator[str]:
    """Yield each path as soon as its end (a newline, or NUL) was read.

    ``read`` returns at most so many bytes, and those that are there; none at the end. The last path
    may lack its end. Paths are bytes; what is no UTF-8 comes back from ``os.fsencode``. What
    Windows writes around paths is no part of them: a carriage return before a newline, and a byte
    order mark before all.

    Raises
    ------
    UsageError
        When `MOST_BYTES` came without an end.
    """
    for number, line in enumerate(_lines(read, end)):
        if end == b"\n":
            start = line if number else line.removeprefix(BOM_UTF8)
            yield os.fsdecode(start.removesuffix(b"\r"))
        else:
            yield os.fsdecode(line)


def _lines(read: Callable[[int], bytes], end: bytes) -> Iterator[bytes]:
    rest = b""
    while piece := read(_PIECE):
        *whole, rest = (rest + piece).split(end)
        yield from whole
        if len(rest) > MOST_BYTES:
            what = "a newline" if end == b"\n" else "NUL"
            raise UsageError(
                f"standard input: over {MOST_BYTES:,} bytes without {what}: give image paths, "
                f"each with {what} at its end"
            )
    if rest:
        yield rest


def answer_stream(
    query: Callable[[ImageLike], QueryResult],
    read: Callable[[int], bytes],
    *,
    end: bytes,
    facets: bool,
) -> int:
    """Print one line of JSON for each path that is read, at once; return the exit code.

    A line is flushed before the next path is waited for, so that another program can write a path
    and read its answer. A path that cannot be read is answered too, with why.
    """
    import numpy as np

    # Wrong options fail before anything is read, and the first answer takes no longer than others.
    query(np.zeros((1, 1, 3), np.uint8))
    answered = unread = 0
    for path in read_paths(read, end=end):
        answer: QueryResult | ImageError
        try:
            answer = query(path)
            answered += 1
        except ImageError as error:
            answer = error
            unread += 1
            warn(f"skipped {error}")
        print_answers([answer], "jsonl", preferred=False, facets=facets)
    if unread:
        return ExitCode.SKIPPED if answered else ExitCode.FAILED
    return ExitCode.FINE
