"""``boost-edge bench card``."""

from __future__ import annotations

from pathlib import Path

import click

from boost_edge.cli.exits import ExitCode

__all__ = ["card"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("card")
@click.argument("model", type=_FILE)
@click.option(
    "--measured",
    type=_FILE,
    required=True,
    metavar="FILE",
    help="What bench models measured of it.",
)
@click.option("--latency", type=_FILE, metavar="FILE", help="What bench latency measured of it.")
@click.option(
    "--notes",
    type=_FILE,
    metavar="FILE",
    help="Markdown that is taken over: data, licence, limits, what it is not for.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the card here instead of printing it.",
)
def card(
    model: Path, measured: Path, latency: Path | None, notes: Path | None, out: Path | None
) -> int:
    """Write the model card of MODEL, every figure from a measurement of exactly this file.

    \b
    Example:
      boost-edge bench card model.onnx --measured models.json --out README.md
    """
    from boost_edge.bench.card import make_card
    from boost_edge.runtime.errors import UsageError
    from boost_edge.runtime.replace import replacing

    text = make_card(model, measured=measured, latency=latency, notes=notes)
    if out is None:
        click.echo(text, nl=False)
        return ExitCode.FINE
    try:
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror or error}") from error
    click.echo(f"wrote {out}")
    return ExitCode.FINE
