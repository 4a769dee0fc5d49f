"""Malformed inputs: each is a typed skip or an image, never a crash, a hang or a traceback.

``BOOST_EDGE_MALFORMED`` is the number of damaged images; ``make faults`` reads them in full.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from boost_edge import Encoder
from boost_edge.runtime.images import REASONS

MALFORMED = int(os.environ.get("BOOST_EDGE_MALFORMED", "300"))
SEED = int(os.environ.get("BOOST_EDGE_FAULT_SEED", "0"))
READER = Path(__file__).with_name("read_malformed.py")
# So many are read by one process, which has so many seconds: thousands of times what it takes.
BATCH = 250
DEADLINE = 600.0
# What an image of 100 million pixels takes while its alpha is laid on white, and some.
MOST_MEMORY = 2_000_000_000


def test_malformed_images_are_skipped_or_read(tmp_path: Path) -> None:
    """Damaged, cut, spliced and lying files of six formats end in one of the typed ways."""
    outcomes: Counter[str] = Counter()
    for first in range(SEED, SEED + MALFORMED, BATCH):
        count = min(BATCH, SEED + MALFORMED - first)
        command = [sys.executable, str(READER), str(tmp_path), str(first), str(count)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=DEADLINE, check=False
        )
        *seeds, last = done.stdout.splitlines()
        assert done.returncode == 0, f"at seed {last}: {done.returncode} {done.stderr[-2000:]}"
        assert seeds == [str(seed) for seed in range(first, first + count)]
        said = json.loads(last)
        assert said["peak"] < MOST_MEMORY
        outcomes.update(said["outcomes"])
    assert sum(outcomes.values()) == MALFORMED
    assert set(outcomes) <= {"image", *REASONS}
    # Both ways are taken, or the damage would be too little or too much.
    assert outcomes["image"] > MALFORMED // 20
    assert outcomes["damaged"] > MALFORMED // 20
    print(f"{MALFORMED} malformed images: {dict(outcomes.most_common())}")  # noqa: T201 - counts


@pytest.fixture
def oddities(pictures: Path) -> dict[bytes, str]:
    """Put things that are no images beside the pictures; return why each is skipped."""
    folder = os.fsencode(pictures)
    whole = (pictures / "red" / "0.png").read_bytes()
    reasons: dict[bytes, str] = {}

    def put(
        name: bytes, reason: str, content: bytes | None = None, *, to: str | None = None
    ) -> Path:
        path = Path(os.fsdecode(folder + b"/" + name))
        if content is not None:
            path.write_bytes(content)
        if to is not None:
            path.symlink_to(to)
        if reason:
            reasons[os.fsencode(path)] = reason
        return path

    put(b"png in truth.jpg", "", whole)
    put(b"two\nlines.gif", "", whole)
    put(b"caf\xe9.png", "", whole)
    put(b"\xff\xfe \x1b[31m.webp", "", whole)
    put(b"empty.jpg", "empty", b"")
    put(b"text\n.bmp", "unsupported", b"not an image")
    put(b"cut\xe9.tif", "damaged", whole[: len(whole) // 2])
    put(b"script.gif", "unsupported", b"#!/bin/sh\nexit 1\n")
    os.mkfifo(put(b"fifo.jpg", "not_a_file"))
    put(b"broken.jpg", "missing", to="nowhere.jpg")
    put(b"round.jpg", "unreadable", to="round.jpg")
    put(b"here.png", "unreadable", to="there.png")
    put(b"there.png", "unreadable", to="here.png")
    put(b"endless.jpg", "not_a_file", to="/dev/zero")
    put(b"itself.jpg", "", to=".")
    put(b"folder.jpg", "").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        # The name of a socket must be short: it is made here and then moved.
        home = Path.cwd()
        os.chdir(folder)
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(home)
    put(b"socket.jpg", "not_a_file")
    return reasons


def test_a_folder_of_oddities_is_indexed(
    encoder: Encoder, pictures: Path, oddities: dict[bytes, str], tmp_path: Path
) -> None:
    """The command indexes what is an image, names everything else with its reason, and ends."""
    command = [sys.executable, "-m", "boost_edge", "index", str(pictures), "--json"]
    command += ["--model", str(encoder.path), "--gallery", str(tmp_path / "gallery")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=tmp_path
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    found = {os.fsencode(each["path"]): each["reason"] for each in said["skipped"]}
    assert found == oddities
    assert (said["added"], said["duplicates"]) == (9 + 4, 4)
    # One line for each, whatever is in its name.
    assert done.stderr.count("\n") == len(oddities)
    assert done.stderr.replace("\n", "").isprintable()
