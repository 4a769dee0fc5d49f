"""Exit codes, one line for every error, streams, environment variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import click
import pytest

import boost_edge
from boost_edge.cli.exits import ExitCode
from boost_edge.cli.main import VERBS, run
from boost_edge.cli.reference import commands
from boost_edge.runtime import errors, gallery_facts

Call = Callable[..., CompletedProcess[str]]

CODES = {
    "BoostEdgeError": 1,
    "UsageError": 2,
    "LabelTableError": 2,
    "MissingExtraError": 1,
    "ImageError": 1,
    "WeightsError": 1,
    "WatchError": 1,
    "GalleryError": 1,
    "ConflictError": 1,
    "GalleryFormatError": 1,
    "GalleryLockedError": 1,
    "IntegrityError": 4,
    "ModelFileError": 4,
    "ExchangeFileError": 4,
    "RunError": 4,
    "GalleryCorruptError": 4,
    "GateError": 5,
    "ParityError": 5,
}


@pytest.fixture
def inspecting(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Return a function after which ``inspect`` of a folder raises an exception."""

    def let_it_raise(error: BaseException) -> None:
        def raise_it(_: Path) -> None:
            raise error

        monkeypatch.setattr(gallery_facts, "gallery_stats", raise_it)

    return let_it_raise


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_its_exit_code(
    name: str,
    inspecting: Callable[[BaseException], None],
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Each class of the error tree ends a command with its code and its message, in one line."""
    kind = getattr(errors, name)
    details = {
        "ImageError": ("a.jpg", "missing", "there is no such file"),
        "MissingExtraError": ("training", "train", "torch"),
    }
    named: dict[str, Any] = {"ConflictError": {"paths": ("a.jpg",), "count": 1}}
    error = kind(*details.get(name, ("x: is wrong: mend it",)), **named.get(name, {}))
    inspecting(error)
    assert refused(CODES[name], "inspect", tmp_path) == str(error)


def test_a_message_is_one_line_whatever_the_file_name(
    inspecting: Callable[[BaseException], None], refused: Callable[..., str], tmp_path: Path
) -> None:
    """Newlines, escapes and undecodable bytes of names are shown escaped; spaces are kept."""
    inspecting(errors.UsageError("a\nb  c\x1b[31m\udcff.jpg: is wrong"))
    assert refused(2, "inspect", tmp_path) == r"a\nb  c\x1b[31m\udcff.jpg: is wrong"


def test_an_unexpected_exception_is_one_line(
    inspecting: Callable[[BaseException], None],
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug shows no traceback, and says how to see it; BOOST_EDGE_DEBUG raises it."""
    inspecting(RuntimeError("first line\n  second line"))
    line = refused(1, "inspect", tmp_path)
    assert line.startswith("unexpected RuntimeError: first line second line: this is a bug")
    assert "BOOST_EDGE_DEBUG=1" in line
    monkeypatch.setenv("BOOST_EDGE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="first line"):
        run(["inspect", str(tmp_path)])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (PermissionError(13, "Permission denied", b"a/\xff"), r"a/\udcff: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_the_system_refusing_is_no_bug(
    error: OSError,
    said: str,
    inspecting: Callable[[BaseException], None],
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    """An operating-system error that nothing foresaw says what the system says."""
    inspecting(error)
    assert refused(1, "inspect", tmp_path) == said


@pytest.mark.parametrize(
    ("verb", "resumes"), [("export", False), ("import", True), ("merge", True)]
)
def test_only_what_goes_on_promises_it(
    verb: str, *, resumes: bool, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted import or merge goes on where it is run again; an export begins again."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for stage in ("exchange_export.export_gallery", "exchange_import.import_gallery",
                  "merge.merge_galleries"):  # fmt: skip
        monkeypatch.setattr(f"boost_edge.runtime.{stage}", interrupt)
    given = {"export": (), "import": ("x.jsonl",), "merge": ("x", "--into", "y")}[verb]
    line = refused(130, "gallery", verb, *given)
    kept = ": what was done is kept, the same command goes on from there"
    assert line == "interrupted" + kept * resumes


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_130(
    error: BaseException,
    inspecting: Callable[[BaseException], None],
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Ctrl-C ends with 130 and one line; only verbs that go on promise to go on."""
    inspecting(error)
    assert refused(130, "inspect", tmp_path) == "interrupted"


def test_an_end_of_file_is_no_interruption(
    inspecting: Callable[[BaseException], None], refused: Callable[..., str], tmp_path: Path
) -> None:
    """An EOFError out of a damaged file is reported as the error that it is."""
    inspecting(EOFError("too short"))
    assert "EOFError: too short" in refused(1, "inspect", tmp_path)


def test_a_pipe_whose_reader_left_is_quiet(shop: Path, catalogue: Path) -> None:
    """``boost-edge query ... | true`` says nothing on stderr and is fine."""
    reading, writing = os.pipe()
    os.close(reading)
    image, gallery_folder = catalogue / "images" / "00000.jpg", shop / "gallery"
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "boost_edge", "query", image, "--gallery", gallery_folder],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (["inspect"], "the standard output: "),
        (["verify", "--json"], "the standard output: "),
        (["gallery", "export", "--gallery"], "<stdout>: cannot be written: "),
    ],
)
def test_a_full_disk_is_one_line(shop: Path, verb: list[str], said: str) -> None:
    """Output that cannot be written is exit 1 and one line, even while Python exits."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "boost_edge", *verb, shop / "gallery"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    message = f"boost-edge: {said}No space left on device\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_a_terminal_without_the_letters(shop: Path, tmp_path: Path) -> None:
    """Names that the output's encoding cannot write are escaped."""
    folder = tmp_path / "日本"
    folder.symlink_to(shop / "gallery")
    done = subprocess.run(
        [sys.executable, "-m", "boost_edge", "inspect", folder],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u65e5\u672c" in done.stdout


def test_streams_that_are_closed(shop: Path) -> None:
    """A process that was started without stdout and stderr works, and ends with its code."""
    command = '"$0" -m boost_edge inspect "$1" >&- 2>&-; exit $?'
    given = ["sh", "-c", command, sys.executable, str(shop / "gallery")]
    assert subprocess.run(given, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frob"], "No such command 'frob'"),
        (["query"], "Missing argument 'IMAGE...'"),
        (["query", "a.jpg", "--frob"], "No such option"),
        (["query", "a.jpg", "--galery", "x"], "--gallery"),
        (["query", "a.jpg", "-k", "0"], "Invalid value for '-k'"),
        (["gallery", "frob"], "No such command 'frob'"),
        (["duplicates", "--near", "1.5"], "1.5 is not in the range"),
        (["gallery", "merge", "--into", "x"], "Missing argument 'SOURCE...'"),
        (["query", "a.jpg", "--format", "xml"], "Invalid value for '--format'"),
        (["export", "a\nb", "--out", "m.onnx"], r"'a\nb' does not exist"),
        (["train", "a.csv", "--images", "."], "Missing option '--out'"),
        (["train", "a.csv", "--images", ".", "--out", "r", "--attributes", "a,,b"], "empty name"),
        (["export", "no such run", "--out", "m.onnx"], "'no such run' does not exist"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], said: str, refused: Callable[..., str]) -> None:
    """What click refuses is exit 2 and one line: its own words, and whose --help to read."""
    line = refused(ExitCode.USAGE, *arguments)
    assert said in line
    known = [each for each in arguments[:2] if each in (*VERBS, "merge")]
    assert line.endswith(f": see {' '.join(['boost-edge', *known])} --help")


@pytest.mark.parametrize("arguments", [[], ["bench"], ["gallery"]])
def test_no_verb_shows_the_help(arguments: list[str], call: Call) -> None:
    """Without a verb the help is shown, on stderr, and the exit code is 2."""
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.startswith(f"Usage: {' '.join(['boost-edge', *arguments])} ")
    assert "Commands:" in done.stderr


def test_what_click_says_on_several_lines_is_one(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choices of a missing argument, which click lists line by line, stand in one."""

    @click.command("pick")
    @click.argument("what", type=click.Choice(("a", "b")))
    def pick(what: str) -> int:
        raise AssertionError(what)

    monkeypatch.setattr("boost_edge.cli.main.VERBS", ("pick",))
    monkeypatch.setitem(sys.modules, "boost_edge.cli.pick", SimpleNamespace(command=pick))
    said = refused(ExitCode.USAGE, "pick")
    assert said.startswith("Missing argument '{a|b}'. Choose from: a, b")
    assert said.endswith(": see boost-edge pick --help")


def test_version(call: Call) -> None:
    """``--version`` prints the version on stdout."""
    assert call("--version").stdout == f"boost-edge, version {boost_edge.__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str, call: Call) -> None:
    """Both options print the help on stdout and are fine."""
    done = call("query", option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: boost-edge query")


def test_a_shell_can_complete() -> None:
    """The script that click writes for a shell is to be had as its documentation says."""
    done = subprocess.run(
        [sys.executable, "-m", "boost_edge"],
        env={**os.environ, "_BOOST_EDGE_COMPLETE": "zsh_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("#compdef boost-edge")


def test_variables_are_called_as_options_are() -> None:
    """Every option's parameter has its name, which click makes the variable's name from."""
    for context in commands():
        for option in context.command.params:
            if isinstance(option, click.Option) and option.name != "version":
                longest = max(option.opts, key=len).lstrip("-").replace("-", "_")
                assert option.name == longest, context.command_path


def test_variables_stand_for_options(
    shop: Path, catalogue: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BOOST_EDGE_QUERY_K is -k of query, and so on; an option that is given wins."""
    monkeypatch.setenv("BOOST_EDGE_QUERY_GALLERY", str(shop / "gallery"))
    monkeypatch.setenv("BOOST_EDGE_QUERY_K", "3")
    monkeypatch.setenv("BOOST_EDGE_QUERY_FORMAT", "json")
    monkeypatch.setenv("BOOST_EDGE_INSPECT_JSON", "1")
    image = catalogue / "images" / "00000.jpg"
    assert len(json.loads(call("query", image).stdout)["hits"]) == 3
    assert len(json.loads(call("query", image, "-k", 2).stdout)["hits"]) == 2
    assert json.loads(call("inspect", shop / "gallery").stdout)["kind"] == "gallery"
    monkeypatch.setenv("BOOST_EDGE_QUERY_K", "many")
    assert call("query", image).returncode == ExitCode.USAGE


def test_data_and_warnings_do_not_mix(
    shop: Path, catalogue: Path, call: Call, tmp_path: Path
) -> None:
    """Stdout holds the data alone; what was skipped is named on stderr, and nothing is coloured."""
    (tmp_path / "a.jpg").write_text("no image")
    done = call(
        "index",
        tmp_path,
        catalogue / "images",
        "--model",
        shop / "model.onnx",
        "--gallery",
        tmp_path / "gallery",
        "--json",
    )
    assert done.returncode == ExitCode.SKIPPED
    assert json.loads(done.stdout)["added"] == 80
    assert done.stderr.startswith(f"boost-edge: skipped {tmp_path / 'a.jpg'}: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stdout + done.stderr


def test_no_colour_on_a_terminal(
    shop: Path, catalogue: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR is honoured because nothing is ever coloured, even where colour is asked for."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = call("query", catalogue / "images" / "00000.jpg", "--gallery", shop / "gallery")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
