"""docs/gallery-format.md is enough to write another reader: here is one, and it agrees."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge import Encoder, Gallery
from boost_edge.runtime.schema import CREATE, FORMAT_VERSION
from boost_edge.runtime.store import Store

READER = Path(__file__).with_name("other_reader.py")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gallery-format.md"


def read_otherwise(folder: Path, query: NDArray[np.float32], k: int) -> list[Any]:
    """Return what the other reader says: paths, scores, labels and predicted values."""
    file = folder.parent / "query.npy"
    np.save(file, query)
    done = subprocess.run(
        [sys.executable, "-I", READER, folder, file, str(k)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_another_reader_gives_the_same_answers(
    encoder: Encoder, pictures: Path, tmp_path: Path
) -> None:
    """Paths, scores, order, labels and predictions are the same, and while a writer is at work."""
    for number in range(4):
        shutil.copy(pictures / "red" / "0.png", pictures / f"copy{number}.png")
    with Gallery.open(tmp_path / "gallery", encoder) as gallery:
        gallery.index([pictures], labels={str(pictures / "copy1.png"): {"nr": "one"}})
        (pictures / "copy0.png").unlink()
        gallery.index([pictures], prune=True)
        for k in (1, 5, 99):
            for path in (pictures / "red" / "0.png", pictures / "blue" / "1.png"):
                query = encoder.encode([path])[0]
                hits = gallery.search(query, k=k)
                assert len(hits) == min(k, 12)
                found = read_otherwise(gallery.path, query, k)
                assert [[row[0], *row[2:]] for row in found] == [
                    [hit.path, hit.labels, hit.attributes] for hit in hits
                ]
                scores = [hit.score for hit in hits]
                np.testing.assert_allclose([row[1] for row in found], scores, atol=1e-6)


def test_the_other_reader_knows_nothing_of_ours() -> None:
    """It imports numpy and Python's own modules, no more."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(READER.read_text())):
        if isinstance(node, ast.Import):
            imported.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert imported == {"hashlib", "json", "os", "pathlib", "sqlite3", "sys", "numpy"}


def test_every_column_and_key_is_described(tmp_path: Path) -> None:
    """The page names the format, every table, column, index, trigger and key of ``meta``."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"Format version {FORMAT_VERSION}:" in page
    Store.create(tmp_path, model_sha256="", model_path="", dimensions=1)
    store = Store.open(tmp_path)
    keys = {key for (key,) in store.select("SELECT key FROM meta")}
    store.close()
    columns = set(re.findall(r"^    ([a-z_]+) [A-Z]", CREATE, re.MULTILINE))
    objects = set(re.findall(r"CREATE (?:TABLE|INDEX|TRIGGER) ([a-z_]+)", CREATE))
    assert {"vector_key", "mtime_ns", "images_by_embedding", "image_removed"} <= columns | objects
    for name in columns | objects | keys:
        assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", page), name
