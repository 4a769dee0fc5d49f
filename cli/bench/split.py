"""``boost-edge bench split``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boost_edge.cli.exits import ExitCode
from boost_edge.cli.extras import need_train_extra
from boost_edge.cli.options import count_option, image_column_option, images_option, json_option
from boost_edge.cli.progress import Bars
from boost_edge.cli.render import print_json, printable, skipped_objects, table, warn_of_gaps

if TYPE_CHECKING:
    from boost_edge.bench.products import ProductSplit

__all__ = ["split"]


@click.command("split")
@click.argument("labels", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--name-column",
    required=True,
    metavar="NAME",
    help="Column with the product's name; equal names are one product.",
)
@count_option("--test", default=6000, text="Images to test on, at least.")
@count_option("--val", default=1500, text="Images to validate on, at least.")
@count_option("--seed", default=0, least=0, text="Decides which products are held out.")
@image_column_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The CSV file to write.",
)
@json_option
def split(
    labels: Path,
    images: Path,
    name_column: str,
    test: int,
    val: int,
    seed: int,
    image_column: str | None,
    out: Path,
    json: bool,
) -> int:
    """Divide a label table by product: what is tested was never trained on.

    Images with the same name, and images that look the same, are one product; a product is in one
    part only. FILE is LABELS with a column split, for train and for the other measurements. Images
    that are missing or cannot be read are left out.

    \b
    Example:
      boost-edge bench split styles.csv --images images/ \\
        --name-column productDisplayName --out split.csv
    """
    with need_train_extra("reading a label table"):
        from boost_edge.bench.products import split_products

        with Bars() as bars:
            done = split_products(
                labels,
                images=images,
                name_column=name_column,
                test=test,
                val=val,
                out=out,
                seed=seed,
                image_column=image_column,
                progress=bars,
            )
    warn_of_gaps(done.missing, done.skipped)
    if json:
        print_json({"seed": seed, **_facts(done)})
    else:
        click.echo("\n".join(_text(done, images)))
    return ExitCode.SKIPPED if done.missing or done.skipped else ExitCode.FINE


def _facts(done: ProductSplit) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "path": str(done.path),
        "sha256": done.sha256,
        "labels_sha256": done.labels_sha256,
        "images": done.images,
        "products": done.products,
        "missing": done.missing,
        "skipped": skipped_objects(done.skipped),
    }


def _text(done: ProductSplit, images: Path) -> list[str]:
    rows = [[part, f"{count:,}", f"{done.products[part]:,}"] for part, count in done.images.items()]
    table_file, folder = (printable(shlex.quote(str(path))) for path in (done.path, images))
    return [
        *table(["part", "images", "products"], rows, right=(1, 2)),
        "",
        f"next: boost-edge train {table_file} --images {folder} --out run",
    ]
