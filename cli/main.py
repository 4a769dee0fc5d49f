"""The ``boost-edge`` command: finds the verb, runs it, turns errors into one line and a code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from traceback import walk_tb
from typing import TextIO

import click
from click.shell_completion import shell_complete

import boost_edge
from boost_edge.cli.exits import ExitCode, exit_code_of
from boost_edge.cli.render import warn
from boost_edge.runtime.errors import BoostEdgeError

__all__ = ["VERBS", "cli", "main", "run"]

VERBS = (
    "train", "export", "tune", "index", "query", "label", "choose", "review", "facets",
    "duplicates", "inspect", "verify", "compact", "gallery", "bench", "doctor", "demo",
)  # fmt: skip
# What these did before an interruption counts: the same command goes on from there.
_RESUMING = (["train"], ["tune"], ["index"], ["gallery", "import"], ["gallery", "merge"])
# Set by the completion script that click writes for bash, zsh and fish.
_COMPLETION = "_BOOST_EDGE_COMPLETE"


class _Verbs(click.Group):
    """Imports the module of a verb when the verb is asked for, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"boost_edge.cli.{cmd_name}").command
        return command


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(boost_edge.__version__, prog_name="boost-edge")
def cli() -> None:
    """Image similarity search on a CPU.

    A few thousand labelled images train a shallow head on a small network; both become one ONNX
    file, and searching with it needs no GPU and no torch.

    \b
    Example:
      boost-edge train labels.csv --images photos/ --out run/
      boost-edge export run/ --out model.onnx
      boost-edge index photos/ --model model.onnx
      boost-edge query img.jpg

    Options can also be given as environment variables: BOOST_EDGE_QUERY_GALLERY for the option
    --gallery of query. Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 done but some inputs were
    skipped, 4 damaged or mismatched files, 5 a quality or speed gate was not met, 130 interrupted.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; never raises, never shows a traceback.

    With ``BOOST_EDGE_DEBUG`` set, an unexpected exception is raised as it is.
    """
    try:
        return _run(list(arguments))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): there is nobody left to tell.
        return ExitCode.FINE


def main() -> None:
    """Run the command line of this process; called by ``boost_edge.__main__``."""
    # OpenCV prints its own lines about damaged files, which are reported in ours.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    _escape_what_it_lacks(sys.stdout)
    asked = os.environ.get(_COMPLETION)
    code: int = (
        shell_complete(cli, {}, "boost-edge", _COMPLETION, asked) if asked else run(sys.argv[1:])
    )
    _let_go(sys.stdout)
    _let_go(sys.stderr)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        # Not cli.main: it takes an EOFError for an interruption, and exits on a broken pipe.
        with cli.make_context("boost-edge", arguments, auto_envvar_prefix="BOOST_EDGE") as context:
            return int(cli.invoke(context) or ExitCode.FINE)
    except click.exceptions.Exit as done:
        return done.exit_code
    except BoostEdgeError as error:
        # Notes say what was done all the same.
        warn("; ".join([str(error), *getattr(error, "__notes__", ())]))
        return exit_code_of(error)
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        return asked.exit_code
    except click.ClickException as error:
        warn(_refused(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        resumes = any(arguments[: len(each)] == each for each in _RESUMING)
        kept = ": what was done is kept, the same command goes on from there" if resumes else ""
        warn(f"interrupted{kept}")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("BOOST_EDGE_DEBUG"):
            raise
        warn(_unforeseen(error))
        return ExitCode.FAILED


def _refused(error: click.ClickException) -> str:
    """Return one line about what click refuses: its own words, and where to read more."""
    # Click lists the choices of a missing argument on lines of their own.
    said = re.sub(r"\n\s*", " ", error.format_message()).rstrip(".")
    if not isinstance(error, click.UsageError):
        return said
    command = error.ctx.command_path if error.ctx else "boost-edge"
    return f"{said}: see {command} --help"


def _unforeseen(error: Exception) -> str:
    """Return one line about an exception that no command expects."""
    said = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        # The disk is full, a permission is missing: not a bug, and the system says it best.
        if isinstance(error.filename, str | bytes):
            return f"{os.fsdecode(error.filename)}: {error.strerror}"
        return f"the standard output: {error.strerror}" if _from_echo(error) else error.strerror
    return (
        f"unexpected {type(error).__name__}: {said}: this is a bug; run it again with "
        "BOOST_EDGE_DEBUG=1 to see where, and please report it"
    )


def _from_echo(error: Exception) -> bool:
    """Say whether it is the standard output that failed, which the system gives no name."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_code is click.echo.__code__


def _escape_what_it_lacks(stream: TextIO) -> None:
    """Let a stream escape letters that its encoding lacks: no reason for a command to fail."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _let_go(stream: TextIO) -> None:
    """Drop what a stream cannot write any more, or Python would complain of it at its exit."""
    if not stream:
        # The process was started with this stream closed.
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
