"""How often a gallery's hits share a label with the query, measured the way a user goes."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from pathlib import Path

import pytest

from boost_edge.bench.agreement import draw_queries, measure_agreement
from boost_edge.export.convert import export_model
from boost_edge.export.labels import read_labels
from boost_edge.export.recipes import RECIPES
from boost_edge.export.run import read_run
from boost_edge.export.train import TrainSettings, train
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.gallery import Gallery


@pytest.fixture(scope="module")
def indexed(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run and two galleries of the drawn catalogue: raw, attributes."""
    folder = tmp_path_factory.mktemp("agreement")
    train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=folder / "run",
        settings=TrainSettings(
            backbone="pca",
            image_size=16,
            limit=40,
            recipe=dataclasses.replace(RECIPES["boost"], width=32, epochs=6),
        ),
        cache=folder / "cache",
    )
    for readout in ("raw", "attributes"):
        export_model(folder / "run", folder / f"{readout}.onnx", readout=readout)
        with (
            Encoder.open(folder / f"{readout}.onnx") as encoder,
            Gallery.open(folder / readout, encoder) as gallery,
        ):
            gallery.index([catalogue / "images"])
    return folder


def test_agreement_is_what_a_loop_counts(indexed: Path, catalogue: Path) -> None:
    """The share is that of a loop over the queries' hits, judged by the label table."""
    result = measure_agreement(
        catalogue / "labels.csv",
        images=catalogue / "images",
        galleries=[indexed / "raw", indexed / "attributes"],
        attribute="type",
        run=indexed / "run",
        queries=30,
    )
    with (catalogue / "labels.csv").open(encoding="utf-8") as file:
        types = {row["file_name"]: row["type"] for row in csv.DictReader(file)}
    parts = read_run(indexed / "run").parts
    fitted = set(parts["train"]) | set(parts["val"])
    open_names = sorted(set(types) - fitted)
    assert len(open_names) == 40
    for row in result["rows"]:
        assert row["images"] == 80
        assert row["interval"][0] <= row["agreement"] <= row["interval"][1]
    # With every open image as a query, the order in which they are drawn does not matter.
    whole = measure_agreement(
        catalogue / "labels.csv",
        images=catalogue / "images",
        galleries=[indexed / "attributes"],
        attribute="type",
        run=indexed / "run",
        queries=40,
    )
    shares: list[float] = []
    with Gallery.open(indexed / "attributes") as gallery:
        for name in open_names:
            hits = gallery.query(catalogue / "images" / name, k=11)
            others = [types[Path(hit.path).name] for hit in hits if Path(hit.path).name != name]
            shares.append(sum(other == types[name] for other in others[:10]) / 10)
    assert whole["rows"][0]["agreement"] == pytest.approx(sum(shares) / len(shares))
    counts = [
        sum(types[other] == types[name] for other in types if other != name) / 79
        for name in open_names
    ]
    assert whole["rows"][0]["chance"] == pytest.approx(sum(counts) / len(counts))


def test_copies_of_what_was_trained_on_are_no_queries(catalogue: Path, tmp_path: Path) -> None:
    """An image with the bytes of one that was trained on is passed over; the order stays."""
    images, names = tmp_path / "images", [f"{number:02d}.png" for number in range(20)]
    images.mkdir()
    for number, name in enumerate(names):
        # The last five are the first five under other names.
        source = sorted((catalogue / "images").iterdir())[number % 15]
        (images / name).write_bytes(source.read_bytes())
    # As large as one that was trained on, and another picture all the same.
    trained = (images / names[4]).read_bytes()
    (images / names[10]).write_bytes(trained[:-1] + bytes([trained[-1] ^ 1]))
    labels = tmp_path / "labels.csv"
    rows = "".join(f"{name},{'ab'[number % 2]}\n" for number, name in enumerate(names))
    labels.write_text(f"file_name,kind\n{rows}")
    table = read_labels(labels, images=images, attributes=["kind"])

    def drawn(fitted: list[str], queries: int, seed: int = 3) -> list[str]:
        return [table.names[row] for row in draw_queries(table, set(fitted), queries, seed)]

    free = sorted(names[5:15], key=lambda name: hashlib.sha256(f"3:{name}".encode()).digest())
    assert drawn(names[:5], 10) == free
    assert drawn(names[:5], 4) == free[:4]
    assert set(drawn(names[:5], 10, seed=4)) == set(free)
    assert len(drawn([], 20)) == 20
    with pytest.raises(UsageError, match="only 10 labelled images"):
        drawn(names[:5], 11)


def test_images_may_be_reached_through_a_link(
    indexed: Path, catalogue: Path, tmp_path: Path
) -> None:
    """It is the same image by whatever name the gallery knows it, and the same share."""
    (tmp_path / "link").symlink_to(catalogue)
    with (
        Encoder.open(indexed / "raw.onnx") as encoder,
        Gallery.open(tmp_path / "linked", encoder) as gallery,
    ):
        gallery.index([tmp_path / "link" / "images"])
    result = measure_agreement(
        catalogue / "labels.csv",
        images=catalogue / "images",
        galleries=[indexed / "raw", tmp_path / "linked"],
        attribute="type",
        run=indexed / "run",
        queries=30,
    )
    direct, linked = result["rows"]
    assert linked["agreement"] == direct["agreement"]
    assert linked["images"] == direct["images"]


def test_too_many_queries_are_refused(indexed: Path, catalogue: Path) -> None:
    """More queries than there are images outside the training are refused with the number."""
    with pytest.raises(UsageError, match="only 40 labelled images"):
        measure_agreement(
            catalogue / "labels.csv",
            images=catalogue / "images",
            galleries=[indexed / "raw"],
            attribute="type",
            run=indexed / "run",
            queries=41,
        )
