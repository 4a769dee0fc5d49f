"""The ``boost-edge`` command: finds the verb, runs it, turns errors into one line and a code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import boost_edge
from boost_edge.cli.exits import ExitCode, exit_code_of
from boost_edge.runtime.errors import BoostEdgeError

__all__ = ["VERBS", "cli", "main", "run"]

VERBS = ("train", "export", "index", "query", "inspect", "bench", "demo")


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
        with contextlib.suppress(click.exceptions.Exit):
            code = cli.main(
                list(arguments),
                prog_name="boost-edge",
                standalone_mode=False,
                auto_envvar_prefix="BOOST_EDGE",
            )
            return int(code or ExitCode.FINE)
    except BoostEdgeError as error:
        _complain(str(error))
        return exit_code_of(error)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted: what was done is kept; the same command goes on from there")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): there is nobody left to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - keeps the interpreter's exit quiet
        return ExitCode.FINE
    except Exception as error:
        if os.environ.get("BOOST_EDGE_DEBUG"):
            raise
        _complain(
            f"unexpected {type(error).__name__}: {error}: this is a bug; run it again with "
            "BOOST_EDGE_DEBUG=1 to see where, and please report it"
        )
        return ExitCode.FAILED
    return ExitCode.FINE


def main() -> None:
    """Run the command line of this process; the entry point of ``boost-edge``."""
    # OpenCV prints its own lines about damaged files, which are reported in ours.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    sys.exit(run(sys.argv[1:]))


def _complain(message: str) -> None:
    line = " ".join(message.split())
    click.echo(f"boost-edge: {line}", err=True)
