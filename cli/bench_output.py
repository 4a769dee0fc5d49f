"""What the commands of ``boost-edge bench`` share: where their results go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.render import print_json

__all__ = ["finish", "out_option"]

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result as JSON to this file too.",
)


def finish(result: dict[str, Any], out: Path | None, json: bool, text: list[str]) -> int:
    """Print a result as JSON or text, write it to a file if one is named, and end well."""
    from boost_edge.bench.results import write_result

    if json:
        print_json(result)
    else:
        click.echo("\n".join(text))
    # Last: a file that cannot be written must not cost the result of hours.
    if out is not None:
        write_result(out, result)
    return ExitCode.FINE
