"""``boost-edge gallery``: take galleries elsewhere, and bring them together."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.model import shipped_models
from boost_edge.cli.options import gallery_option, json_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import of_gallery, print_json, printable
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.arrivals import ArrivalReport
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.exchange import ExchangeFormat
    from boost_edge.runtime.joining import Policy

__all__ = ["command"]

_STDIO = Path("-")

_format_option = click.option(
    "--format",
    type=click.Choice(("jsonl", "parquet")),
    help="Form of the file; default: as its suffix says, jsonl for -.",
)
_model_option = click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The ONNX file, for a new gallery, or where it is no longer where it was.",
)
_conflict_option = click.option(
    "--on-conflict",
    type=click.Choice(("fail", "keep", "replace", "newest")),
    default="fail",
    show_default=True,
    help="Where images or labels at the same path are not the same: write nothing, keep what is "
    "there, take what comes, or take the file that changed last.",
)


@click.group("gallery")
def command() -> None:
    """Take galleries elsewhere, and bring them together.

    \b
    Example:
      boost-edge gallery export --gallery shop --out shop.jsonl
      boost-edge gallery import shop.jsonl --gallery copy --model model.onnx
      boost-edge gallery merge till-1 till-2 --into shop
    """


@command.command("export")
@gallery_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_STDIO,
    show_default=True,
    metavar="FILE",
    help="The file to write, as a whole or not at all; - is the standard output.",
)
@_format_option
@click.option("--deleted", is_flag=True, help="Write deleted images too.")
@json_option
def export(
    gallery: Path,
    out: Path,
    format: ExchangeFormat | None,  # noqa: A002 - as the option is called
    deleted: bool,
    json: bool,
) -> int:
    """Write a gallery to one file: paths, labels, predictions and embeddings.

    JSON lines can be read by any program; Parquet needs the extra "parquet". No model is needed,
    and no image is read.

    \b
    Example:
      boost-edge gallery export --gallery shop --out shop.parquet
      boost-edge gallery export --gallery shop > shop.jsonl
    """
    from boost_edge.runtime.exchange_export import export_gallery

    to_stdout = out == _STDIO
    if to_stdout and json:
        raise UsageError("--json needs --out FILE: the standard output is the gallery's")
    if to_stdout and not sys.stdout:
        raise UsageError("standard output is closed: give --out FILE")
    with Bars() as bars:
        report = export_gallery(
            gallery,
            sys.stdout.buffer if to_stdout else out,
            format=format,
            deleted=deleted,
            progress=bars,
        )
    if json:
        print_json(of_gallery(report.path, {**dataclasses.asdict(report), "out": str(out)}))
    elif not to_stdout:
        gone = f", {report.deleted:,} of them deleted" if report.deleted else ""
        click.echo(
            f"{printable(str(gallery))}: {counted(report.images, 'image')}{gone} written to "
            f"{printable(str(out))} ({report.seconds:.1f} s)"
        )
    return ExitCode.FINE


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@gallery_option
@_model_option
@_format_option
@_conflict_option
@click.option("--under", metavar="FOLDER", help="Put the paths in FILE under this folder.")
@json_option
def import_(
    file: Path,
    gallery: Path,
    model: Path | None,
    format: ExchangeFormat | None,  # noqa: A002 - as the option is called
    on_conflict: Policy,
    under: str | None,
    json: bool,
) -> int:
    """Bring the images in an exported FILE (- is the standard input) into a gallery.

    The gallery is of the same model, or new: then --model says where that is, unless it is one that
    is shipped with boost-edge. FILE is checked first: when it is damaged, nothing is written and
    the exit code is 4. Importing twice is the same as once.

    \b
    Example:
      boost-edge gallery import shop.jsonl --gallery copy --model model.onnx
      boost-edge gallery import till.parquet --gallery shop --under /till-1
    """
    from boost_edge.runtime.exchange_import import import_gallery

    if file == _STDIO and not sys.stdin:
        raise UsageError("standard input is closed: there is no file to read")
    with ExitStack() as stack:
        bars = stack.enter_context(Bars())
        report = import_gallery(
            sys.stdin.buffer if file == _STDIO else file,
            gallery,
            encoder=_open_model(stack, model),
            known=shipped_models(),
            format=format,
            on_conflict=on_conflict,
            under=under,
            progress=bars,
        )
    _show(report, gallery, json=json)
    return ExitCode.FINE


@command.command("merge")
@click.argument(
    "sources", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="SOURCE..."
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the gallery that they go into; it may be new.",
)
@_model_option
@_conflict_option
@click.option(
    "--under",
    multiple=True,
    metavar="SOURCE=FOLDER",
    help="Put the paths of one SOURCE under this folder; may be repeated.",
)
@json_option
def merge(
    sources: tuple[Path, ...],
    into: Path,
    model: Path | None,
    on_conflict: Policy,
    under: tuple[str, ...],
    json: bool,
) -> int:
    """Bring the galleries of several devices together in one.

    All are of one model; each SOURCE is read and not changed. The order of the sources makes no
    difference, and merging twice is the same as once.

    \b
    Example:
      boost-edge gallery merge till-1 till-2 --into shop
      boost-edge gallery merge till-1 till-2 --into shop --under till-2=/till-2
    """
    from boost_edge.runtime.merge import merge_galleries

    with ExitStack() as stack:
        bars = stack.enter_context(Bars())
        report = merge_galleries(
            sources,
            into,
            encoder=_open_model(stack, model),
            known=shipped_models(),
            on_conflict=on_conflict,
            under=_folders(under, sources),
            progress=bars,
        )
    _show(report, into, json=json)
    return ExitCode.FINE


def _open_model(stack: ExitStack, model: Path | None) -> Encoder | None:
    if model is None:
        return None
    from boost_edge.runtime.encoder import Encoder

    return stack.enter_context(Encoder.open(model, threads=1, images=0))


def _folders(under: tuple[str, ...], sources: tuple[Path, ...]) -> dict[str, str]:
    """Return source -> folder; both may have an equals sign in their names."""
    folders: dict[str, str] = {}
    for given in under:
        ends = [place for place, letter in enumerate(given) if letter == "="]
        found = next((end for end in ends if Path(given[:end]) in sources), None)
        if found is None or found + 1 == len(given):
            raise UsageError(
                f"--under {given}: is not SOURCE=FOLDER with one of the sources, such as "
                f"{sources[0]}=/FOLDER"
            )
        folders[str(Path(given[:found]))] = given[found + 1 :]
    return folders


def _show(report: ArrivalReport, gallery: Path, *, json: bool) -> None:
    if json:
        print_json(of_gallery(report.path, dataclasses.asdict(report)))
        return
    parts = [
        f"{number:,} {name}"
        for name, number in (
            ("added", report.added),
            ("replaced", report.replaced),
            ("restored", report.restored),
            ("updated", report.updated),
            ("unchanged", report.unchanged),
            ("kept", report.kept),
            ("conflicts settled", report.conflicts),
        )
        if number or name == "added"
    ]
    click.echo(
        f"{printable(str(gallery))}: {', '.join(parts)}; {counted(report.images, 'image')} in all "
        f"({report.seconds:.1f} s)"
    )
