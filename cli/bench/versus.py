"""``boost-edge bench versus``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boost_edge.cli.bench.gains import between
from boost_edge.cli.bench.options import finish, result_options
from boost_edge.cli.render import table, wrapped

__all__ = ["versus"]


@click.command("versus")
@click.argument("first", metavar="FILE:ROW")
@click.argument("second", metavar="FILE:ROW")
@click.option(
    "--metric",
    type=click.Choice(("map10", "ndcg10")),
    default="map10",
    show_default=True,
    help="What is compared.",
)
@result_options
def versus(first: str, second: str, metric: str, out: Path | None, json: bool) -> int:
    """Compare two rows of bench quality, query by query.

    Says by how much the second is better than the first, with a paired bootstrap interval over the
    queries, and how far the seeds are apart. Neither is better where the seeds disagree. Both
    files must be of the same label table, attributes and protocol, so that equal seeds have equal
    queries; their .scores.npz must lie beside them. A row is called as in the table, or by the end
    of its name.

    \b
    Example:
      boost-edge bench versus vit.json:raw resnet18.json:boost/attributes
    """
    from boost_edge.bench.versus import compare, parse_side

    result = compare(parse_side(first), parse_side(second), metric=metric)
    return finish(result, out, json, _text(result))


def _text(result: dict[str, Any]) -> list[str]:
    from boost_edge.bench.between_seeds import gain_by_seed, seed_interval

    gain, metric = result["gain"], result["metric"]
    digits = 2 if metric == "map10" else 4  # mAP@10 is in hundredths
    form = f"+.{digits}f"
    over = f"95% over queries: {between(gain['low'], gain['high'], form)}"
    by_seed = gain_by_seed(gain)
    if len(by_seed) > 1:
        over += f"; by seed: {', '.join(f'{each:{form}}' for each in by_seed)}"
    if (across := seed_interval(by_seed)) is not None:
        over += f"; 95% over seeds: {between(*across, form)}"
    title = (
        f"{metric}, {result['seeds']} seeds, {gain['queries']:,} queries: {gain['mean']:{form}} "
        f"({over}); {result['beats']} is better"
    )
    rows = [
        [side, entry["file"], entry["row"], f"{entry[metric]['mean']:.{digits}f}"]
        for side, entry in ((side, result[side]) for side in ("first", "second"))
    ]
    return [*wrapped(title, indent=""), "", *table(["", "file", "row", metric], rows, right=(3,))]
