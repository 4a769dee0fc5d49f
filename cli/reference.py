"""The page ``docs/cli.md``: ``python -m boost_edge.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from boost_edge.cli.main import cli

__all__ = ["commands", "reference"]

# What click uses of a terminal with 80 columns.
_COLUMNS = 78


def commands(
    command: click.Command = cli, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Yield the context of ``boost-edge``, of each verb and of each verb's own verbs, in order."""
    context = click.Context(
        command,
        parent,
        info_name=command.name if parent else "boost-edge",
        terminal_width=_COLUMNS,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from commands(found, context)


def reference() -> str:
    """Return the page: every command's ``--help``, as a terminal of 80 columns shows it."""
    sections = [
        f"## {each.command_path}\n\n```text\n{each.get_help()}\n```\n" for each in commands()
    ]
    lead = "# Command line\n\nMade with `python -m boost_edge.cli.reference > docs/cli.md`.\n"
    return "\n".join([lead, *sections])


if __name__ == "__main__":
    click.echo(reference(), nl=False)
