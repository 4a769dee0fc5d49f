"""``boost-edge index``."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.model import shipped_model_with_warning, shipped_models
from boost_edge.cli.options import (
    exclude_option,
    gallery_option,
    hidden_option,
    image_column_option,
    include_option,
    json_option,
    model_option,
    threads_option,
    use_threads,
)
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import of_gallery, print_json, printable, to_json, warn
from boost_edge.cli.user_labels import read_user_labels
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.wording import counted

if TYPE_CHECKING:
    from boost_edge.runtime.gallery import Gallery
    from boost_edge.runtime.index_report import IndexReport

__all__ = ["command", "report_text"]


@click.command("index")
@click.argument(
    "paths",
    type=click.Path(path_type=Path),
    nargs=-1,
    required=True,
    metavar="PATH...",
)
@model_option
@gallery_option
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Label table (its names relative to PATH) to store beside what is predicted; a row "
    "replaces all labels of its image, and a blank row erases them.",
)
@image_column_option
@include_option
@exclude_option
@hidden_option
@click.option(
    "--prune",
    is_flag=True,
    help="Delete the images under PATH whose files are gone; compact removes them for good.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@click.option(
    "--watch",
    is_flag=True,
    help="Go on, and index what changes in the folders PATH until Ctrl-C.",
)
@threads_option
@json_option
def command(
    paths: tuple[Path, ...],
    model: Path | None,
    gallery: Path,
    labels: Path | None,
    image_column: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    prune: bool,
    dry_run: bool,
    watch: bool,
    threads: int | None,
    json: bool,
) -> int:
    """Add the images under each PATH (a folder or a file) to a gallery.

    A new gallery is made with --model, or with the model that is shipped with boost-edge. Images
    that are already there and unchanged are not encoded again. Files that cannot be read are
    skipped and named, and the exit code is 3. With --prune a PATH that is gone may be named too, if
    the gallery has images there.

    An image keeps its labels until --labels has a row for it, which replaces all of them; a blank
    row erases them. A file that is given other bytes keeps them too, with a warning.

    In a PATTERN, * stands for any characters, slashes too, ? for one, [ab] for one of some: *.jpg
    is in any subfolder, thumbs/* is all that lies below the folder thumbs. Upper and lower case
    are different. Files that are named themselves are always taken.

    With --watch a line tells what each batch of changes did, on stderr, or as JSON on stdout with
    --json. It needs the extra watch (pip install 'boost-edge[watch]').

    \b
    Example:
      boost-edge index photos/ --model model.onnx
      boost-edge query img.jpg
      boost-edge index photos/ --prune --dry-run
      boost-edge index photos/ --include '*.jpg' --exclude 'thumbs/**'
      boost-edge index photos/ --watch --prune
    """
    from boost_edge.runtime.crawl import require_paths
    from boost_edge.runtime.encoder import Encoder
    from boost_edge.runtime.gallery import Gallery
    from boost_edge.runtime.gallery_folder import has_store
    from boost_edge.runtime.gallery_model import keep_one_of

    if watch and dry_run:
        raise UsageError("--watch writes what changes, and --dry-run nothing: give one of them")
    if not prune or not has_store(gallery):
        # Before anything is made, or a model read.
        require_paths(paths)
    there = has_store(gallery)
    if model is None and not there:
        model = shipped_model_with_warning()
    use_threads(threads)
    encoder = None if model is None else Encoder.open(model, threads=threads)
    given = None if labels is None else read_user_labels(labels, paths, image_column)
    with ExitStack() as stack:
        folder = gallery
        if dry_run and not there:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boost-edge-")))
        bars = stack.enter_context(Bars())
        # What is of an older format is not brought up to date by a dry run.
        opened = stack.enter_context(
            Gallery.open(
                folder,
                encoder,
                threads=threads,
                read_only=dry_run and there,
                progress=bars,
            )
        )
        if not dry_run:
            # The next version of the package may come with another one.
            keep_one_of(gallery, opened.encoder.path, opened.encoder.sha256, shipped_models())
        index = partial(
            opened.index,
            paths,
            labels=None if given is None else given.by_image,
            progress=lambda done, total: bars("index", done, total),
            prune=prune,
            include=include,
            exclude=exclude,
            hidden=hidden,
            on_skipped=lambda skipped: bars.warn(f"skipped {skipped.path}: {skipped.detail}"),
        )
        warn_if_empty = partial(_warn_if_empty, paths, chosen=bool(include or exclude))
        if watch:
            _watch(opened, paths, index, gallery, warn_if_empty, json=json)
        report = index(dry_run=dry_run)
        count = len(opened)
    warn_if_empty(report)
    _print(report, gallery, count, json=json)
    return ExitCode.SKIPPED if report.skipped_count else ExitCode.FINE


def _print(report: IndexReport, gallery: Path, count: int, *, json: bool) -> None:
    _warn_of_outdated(report)
    if json:
        print_json(_as_json(report, gallery, count))
        return
    if report.dry_run:
        for path in report.pruned:
            click.echo(f"would delete {printable(path)}")
        if more := report.pruned_count - len(report.pruned):
            click.echo(f"would delete {more:,} more")
    click.echo(report_text(report, gallery, count))


def _watch(
    opened: Gallery,
    paths: tuple[Path, ...],
    index: Callable[..., IndexReport],
    gallery: Path,
    warn_if_empty: Callable[[IndexReport], None],
    *,
    json: bool,
) -> NoReturn:
    """Index what changes and say so, until an error or an interruption."""
    from boost_edge.runtime.watch import watch_folders

    for number, report in enumerate(watch_folders(paths, index)):
        if not number:
            warn_if_empty(report)
        _warn_of_outdated(report)
        if json:
            click.echo(to_json(_as_json(report, gallery, len(opened))))
        else:
            click.echo(report_text(report, gallery, len(opened)), err=True)
    raise click.Abort


def _warn_if_empty(paths: Sequence[Path], report: IndexReport, *, chosen: bool) -> None:
    """Say so where no image file was seen, readable or not, and none is missed."""
    taken = report.added + report.changed + report.renamed + report.restored + report.unchanged
    if taken or report.skipped_count or report.gone or report.pruned_count:
        return
    where = ", ".join(map(str, paths))
    passing = " that --include and --exclude let pass" if chosen else ""
    warn(f"nothing was indexed: there are no images in {where}{passing}")


def _warn_of_outdated(report: IndexReport) -> None:
    if report.outdated_labels_count:
        warn(
            f"{report.outdated_labels_count:,} changed images keep the labels of what was there "
            f"before (--labels gives others), the first is {report.outdated_labels[0]}"
        )


def _as_json(report: IndexReport, gallery: Path, count: int) -> dict[str, object]:
    return of_gallery(gallery, {"images": count, **dataclasses.asdict(report)})


def report_text(report: IndexReport, gallery: Path, count: int) -> str:
    """Return what indexing did, in one line; ``count`` images are in the gallery now."""
    parts = [
        f"{number:,} {name}"
        for name, number in (
            ("added", report.added),
            ("changed", report.changed),
            ("of them copies", report.duplicates),
            ("renamed", report.renamed),
            ("restored", report.restored),
            ("unchanged", report.unchanged),
            ("labelled", report.labelled),
            ("deleted", report.pruned_count),
            ("gone (index --prune deletes them)", report.gone),
            ("skipped", report.skipped_count),
        )
        if number or name == "added"
    ]
    name = printable(str(gallery))
    lead = f"{name}: nothing was written, would be" if report.dry_run else f"{name}:"
    return f"{lead} {', '.join(parts)}; {counted(count, 'image')} in all ({report.seconds:.1f} s)"
