"""Example queries, as several galleries answer them, side by side; pictures stand in the page.

Only for a report that is rendered beside the images: the pictures are their owner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boost_edge.bench.agreement import draw_queries, others_of
from boost_edge.bench.report_blocks import Block, Code, Paragraph, Picture, Pictures, Section, words
from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.thumbnails import thumbnail

__all__ = ["examples_section"]

_HITS = 10


def examples_section(
    labels: Path,
    *,
    images: Path,
    galleries: Sequence[Path],
    attribute: str,
    run: Path,
    queries: int,
    progress: Progress = silent,
) -> Section:
    """Return some queries with the ten best hits of each gallery.

    Queries are the first that ``bench agreement`` draws with seed 0, so nobody chose them: images
    that took no part in the training. Neither an image nor its copies are its own hits.

    Raises
    ------
    UsageError
        When too few images are left to draw from.
    """
    from boost_edge.export.labels import read_labels
    from boost_edge.export.run import read_run

    table = read_labels(labels, images=images, attributes=[attribute])
    record = read_run(run)
    fitted = {name for part in ("train", "val") for name in record.parts[part]}
    drawn = draw_queries(table, fitted, queries, 0)
    values = table.attributes[0].values
    codes: list[int] = table.codes[:, 0].tolist()
    value_of = {
        str(path.resolve()): values[code] if code >= 0 else "unknown"
        for path, code in zip(table.paths, codes, strict=True)
    }
    rows: dict[int, list[tuple[str, tuple[Picture, ...]]]] = {row: [] for row in drawn}
    for folder in galleries:
        with Gallery.open(folder, create=False) as gallery:
            readout = gallery.encoder.manifest.readout
            for place, row in enumerate(drawn):
                asked = value_of[str(table.paths[row].resolve())]
                hits = others_of(gallery, table.paths[row], _HITS)
                found = [(path, value_of.get(path, "unknown")) for path in hits]
                agree = sum(value == asked for _, value in found)
                name = f"{readout}: {agree} of {len(found)} agree"
                pictures = tuple(_picture(path, value, value == asked) for path, value in found)
                rows[row].append((name, pictures))
                progress(folder.name, place + 1, len(drawn))
    text = words(
        f"The first {len(drawn)} images of a fixed draw that took no part in the training, and the "
        f"{_HITS} best hits of each gallery. Judged by ", Code(attribute), " in the label table.",
    )  # fmt: skip
    blocks: list[Block] = [Paragraph(text=text)]
    for row, answers in rows.items():
        value = value_of[str(table.paths[row].resolve())]
        query = _picture(str(table.paths[row]), value, agrees=True)
        blocks.append(Pictures(query=query, answers=tuple(answers)))
    return Section(title="Example queries", anchor="examples", blocks=tuple(blocks))


def _picture(path: str, value: str, agrees: bool) -> Picture:
    try:
        address = thumbnail(path)
    except ImageError:
        address = ""
    return Picture(address=address, name=Path(path).name, value=value, agrees=agrees)
