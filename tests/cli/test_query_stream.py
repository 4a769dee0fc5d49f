"""``boost-edge query -``: paths come on standard input, and answers go out one by one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.cli.query_stream import MOST_BYTES, read_paths
from boost_edge.runtime.errors import UsageError

Call = Callable[..., CompletedProcess[str]]
Run = Callable[..., CompletedProcess[bytes]]


class Talk:
    """A running ``query -``: one line in, one line out."""

    def __init__(self, process: subprocess.Popen[bytes], end: bytes) -> None:
        self.process = process
        self._end = end

    def ask(self, path: str | Path | bytes) -> Any:
        """Write a path, wait for its answer, and return it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(
            (path if isinstance(path, bytes) else os.fsencode(path)) + self._end
        )
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line.endswith(b"\n"), self.process.stderr and self.process.stderr.read()
        return json.loads(line)

    def finish(self) -> tuple[int, bytes, bytes]:
        """End the input; return the exit code and what else was printed."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err


def command(gallery: Path, *options: object) -> list[str]:
    """Return the command line of a stream of queries."""
    given = [str(each) for each in options]
    return [sys.executable, "-m", "boost_edge", "query", "-", "--gallery", str(gallery), *given]


@contextmanager
def talking(gallery: Path, *options: object) -> Generator[Talk]:
    """Start a stream of queries; it is killed where no answer comes for minutes."""
    end = b"\0" if "-0" in options else b"\n"
    with subprocess.Popen(
        command(gallery, *options), stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        too_late = threading.Timer(120, process.kill)
        too_late.start()
        try:
            yield Talk(process, end)
        finally:
            too_late.cancel()
            process.kill()


@pytest.fixture
def run(shop: Path) -> Run:
    """Return a function that gives a whole input to a stream of queries of the shop."""

    def run_it(said: bytes, *options: object) -> CompletedProcess[bytes]:
        given = command(shop / "gallery", *options)
        return subprocess.run(given, input=said, capture_output=True, check=False)

    return run_it


def test_a_line_in_is_a_line_out(shop: Path, catalogue: Path, call: Call) -> None:
    """Each path is answered before the next is written, as ``--format jsonl`` answers it."""
    images = [catalogue / "images" / f"0000{number}.jpg" for number in range(3)]
    with talking(shop / "gallery", "-k", 2) as talk:
        answers = [talk.ask(image) for image in images]
        code, out, err = talk.finish()
    assert (code, out, err) == (0, b"", b"")
    alone = call("query", *images, "--gallery", shop / "gallery", "-k", 2, "--format", "jsonl")
    wanted = [json.loads(line) for line in alone.stdout.splitlines()]
    for answer, same in zip(answers, wanted, strict=True):
        assert list(answer) == list(same)
        assert set(answer.pop("took_ms")) == set(same.pop("took_ms"))
        assert answer == same


def test_a_bad_path_is_answered_too(shop: Path, catalogue: Path, tmp_path: Path) -> None:
    """An error takes the place of the answer, the process goes on, and ends with exit code 3."""
    image = catalogue / "images" / "00000.jpg"
    (tmp_path / "text.jpg").write_text("no image")
    os.mkfifo(tmp_path / "fifo.jpg")
    with talking(shop / "gallery", "-k", 1) as talk:
        assert talk.ask(image)["hits"][0]["path"] == str(image)
        for path, reason in (
            (tmp_path / "gone.jpg", "missing"),
            (tmp_path / "text.jpg", "unsupported"),
            (tmp_path / "fifo.jpg", "not_a_file"),
            (tmp_path, "not_a_file"),
            ("", "missing"),
            ("x" * 5000, "unreadable"),
            ("a\0b", "unreadable"),
        ):
            answer = talk.ask(path)
            assert (answer["query"], answer["error"]["reason"]) == (str(path), reason)
            assert list(answer) == ["query", "error"]
        assert talk.ask(image)["hits"][0]["path"] == str(image)
        code, out, err = talk.finish()
    assert (code, out) == (3, b"")
    lines = err.decode().splitlines()
    assert len(lines) == 7
    assert lines[0] == f"boost-edge: skipped {tmp_path / 'gone.jpg'}: there is no such file"


def test_where_nothing_could_be_read(run: Run) -> None:
    """Then nothing was answered, exit code 1, as with IMAGE; no paths at all are fine."""
    done = run(b"gone.jpg\n")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["reason"] == "missing"
    done = run(b"")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_odd_names(end: bytes, run: Run, catalogue: Path, tmp_path: Path) -> None:
    """Spaces, quotes, a lone -, and bytes that are no UTF-8; with -0 ends of lines too."""
    names = [b" a b .jpg", b"'q\".jpg", b"-", b"b\xfd.jpg", "日本.jpg".encode(), b"t\t\rr"]
    names += [b"two\nlines.jpg", b"windows\r"] if end == b"\0" else []
    paths = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes((catalogue / "images" / "00000.jpg").read_bytes())
    # The last has no end.
    done = run(end.join(paths), "-k", 1, *(["-0"] if end == b"\0" else []))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [os.fsencode(answer["query"]) for answer in answers] == paths
    assert all(answer["hits"][0]["score"] > 0.999 for answer in answers)


def test_an_answer_knows_what_was_committed(
    shop: Path, catalogue: Path, call: Call, tmp_path: Path
) -> None:
    """What another process adds or deletes between two answers counts in the second."""
    gallery, photos = tmp_path / "g", tmp_path / "photos"
    photos.mkdir()
    first, second = (photos / f"0000{number}.jpg" for number in (1, 2))
    for each in (first, second):
        shutil.copy(catalogue / "images" / each.name, each)
    second.rename(tmp_path / "later.jpg")
    index = ("index", photos, "--gallery", gallery, "--prune")
    assert call(*index, "--model", shop / "model.onnx").returncode == 0

    def found(answer: Any) -> list[str]:
        return [hit["path"] for hit in answer["hits"]]

    with talking(gallery) as talk:
        assert found(talk.ask(tmp_path / "later.jpg")) == [str(first)]
        (tmp_path / "later.jpg").rename(second)
        assert call(*index).returncode == 0
        assert found(talk.ask(second)) == [str(second), str(first)]
        first.unlink()
        assert call(*index).returncode == 0
        assert call("compact", gallery).returncode == 0
        assert found(talk.ask(second)) == [str(second)]
        assert talk.finish() == (0, b"", b"")


def test_the_options_hold(shop: Path, catalogue: Path) -> None:
    """Filter, preference, number of hits, least score and facets are those of every answer."""
    image = catalogue / "images" / "00000.jpg"
    options = ("-k", 3, "--where", "p(type) >= 0", "--min-score", -1, "--facets", "--threads", 1)
    with talking(shop / "gallery", *options, "--prefer", "colour=red:0.5", "--json") as talk:
        for _ in range(2):
            answer = talk.ask(image)
            assert len(answer["hits"]) == 3
            assert list(answer)[-1] == "facets"
        assert talk.finish()[0] == 0
    with talking(shop / "gallery", "--where", "colour = nothing") as talk:
        assert talk.ask(image)["hits"] == []


def test_an_interruption_keeps_what_was_answered(shop: Path, catalogue: Path) -> None:
    """Ctrl-C while the next path is waited for is one line, and exit code 130."""
    with talking(shop / "gallery", "-k", 1) as talk:
        assert talk.ask(catalogue / "images" / "00000.jpg")["hits"]
        talk.process.send_signal(signal.SIGINT)
        assert talk.finish() == (130, b"", b"boost-edge: interrupted\n")


def test_a_reader_that_left_ends_it(shop: Path, catalogue: Path) -> None:
    """Where nobody reads the answers any more, it ends quietly at the next one."""
    path = os.fsencode(catalogue / "images" / "00000.jpg") + b"\n"
    with talking(shop / "gallery", "-k", 1) as talk:
        talk.ask(path[:-1])
        assert talk.process.stdin is not None
        assert talk.process.stdout is not None
        assert talk.process.stderr is not None
        talk.process.stdout.close()
        talk.process.stdin.write(path)
        talk.process.stdin.flush()
        # Before its input ends.
        assert (talk.process.wait(), talk.process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("-", "a.jpg"),
            "- reads the paths from standard input: give no other IMAGE and no --like",
        ),
        (("-", "--like", "a.jpg"), "give no other IMAGE and no --like"),
        (("-", "--format", "table"), "- answers with lines of JSON as paths come, not with table"),
        (("a.jpg", "-0"), "-0 is for paths on standard input: give - as the only IMAGE"),
        (("-", "--unlike", "a.jpg"), "--unlike needs --like"),
    ],
)
def test_what_makes_no_stream(
    arguments: tuple[str, ...], line: str, refused: Callable[..., str], shop: Path
) -> None:
    """What has no place beside a stream is wrong usage."""
    assert line in refused(2, "query", *arguments, "--gallery", shop / "gallery")


def test_wrong_options_fail_before_a_path_is_read(shop: Path) -> None:
    """A filter of nothing is refused at once, though no input has come."""
    with talking(shop / "gallery", "--where", "colr = red") as talk:
        assert talk.process.stderr is not None
        assert talk.process.wait() == 2
        assert b"did you mean 'colour'?" in talk.process.stderr.read()


def test_a_closed_input(shop: Path) -> None:
    """A process that was started without standard input says so."""
    script = 'exec "$@" <&-'
    given = ["sh", "-c", script, "sh", *command(shop / "gallery")]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    line = "boost-edge: standard input is closed: there are no paths to read\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_the_file_of_that_name(
    shop: Path, catalogue: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``./-`` is the file ``-``."""
    shutil.copy(catalogue / "images" / "00000.jpg", tmp_path / "-")
    monkeypatch.chdir(tmp_path)
    done = call("query", "./-", "--gallery", shop / "gallery", "-k", 1, "--json")
    assert json.loads(done.stdout)["query"] == "./-"


@settings(deadline=None)
@given(
    paths=st.lists(st.binary(max_size=20).filter(lambda path: not {0, 10} & set(path))),
    pieces=st.integers(1, 30),
    end=st.sampled_from([b"\n", b"\0"]),
    ended=st.booleans(),
)
def test_paths_come_back_however_they_are_cut(
    *, paths: list[bytes], pieces: int, end: bytes, ended: bool
) -> None:
    """Whatever arrives together, each path comes out once and whole; the last may lack its end."""
    said = b"".join(path + end for path in paths)
    if not ended and paths and paths[-1]:
        said = said[:-1]
    stream = BytesIO(said)

    def read(most: int) -> bytes:
        return stream.read(min(most, pieces))

    found = [os.fsencode(path) for path in read_paths(read, end=end)]
    if end == b"\n":
        paths = [path.removesuffix(b"\r") for path in paths]
    assert found == paths


def test_a_list_that_windows_wrote() -> None:
    """Its carriage returns and mark are no part of the paths; before NUL all of a name counts."""
    said = b"a.jpg\r\n\r\nb\r.jpg\r\r\nlast.jpg\r"
    found = list(read_paths(BytesIO(said).read, end=b"\n"))
    assert found == ["a.jpg", "", "b\r.jpg\r", "last.jpg"]
    marked = b"\xef\xbb\xbfa.jpg\r\n\xef\xbb\xbfb.jpg\n"
    assert list(read_paths(BytesIO(marked).read, end=b"\n")) == ["a.jpg", "\ufeffb.jpg"]
    exact = b"\xef\xbb\xbfa.jpg\r"
    assert [os.fsencode(path) for path in read_paths(BytesIO(exact).read, end=b"\0")] == [exact]


def test_what_is_no_list_of_paths() -> None:
    """Bytes without an end are refused before they fill the memory."""
    stream = BytesIO(b"short\n" + bytes(MOST_BYTES * 2))
    paths = read_paths(stream.read, end=b"\n")
    assert next(paths) == "short"
    with pytest.raises(UsageError, match="bytes without a newline"):
        next(paths)
    assert stream.tell() < MOST_BYTES * 1.1
