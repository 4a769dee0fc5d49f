"""Another reader of galleries, written from docs/gallery-format.md, with nothing of boost_edge.

Arguments: gallery, file of a query vector (.npy), k. Prints a line of JSON for each hit.
"""

import hashlib
import json
import os
import sqlite3
import sys
from pathlib import Path

import numpy as np

folder, query_file, k = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
database = sqlite3.connect(f"{(folder / 'gallery.sqlite').absolute().as_uri()}?mode=ro", uri=True)
database.execute("BEGIN")
meta = dict(database.execute("SELECT key, value FROM meta"))
if meta["format_version"] != 2:
    sys.exit(f"format {meta['format_version']} is not known")
hits: list[tuple[float, int, str, str, str]] = []
for identity, path, labels, predicted, key, data in database.execute(
    "SELECT images.id, path, labels, predicted, vector_key, vector "
    "FROM images JOIN embeddings ON embeddings.id = images.embedding WHERE state = 'live'"
):
    digest = hashlib.blake2b(data, digest_size=8).digest()
    vector = np.frombuffer(data, "<f4")
    if int.from_bytes(digest, "big") >> 1 != key or len(vector) != meta["dimensions"]:
        sys.exit(f"the embedding of image {identity} is damaged")
    score = float(np.vecdot(vector, np.load(query_file)))
    hits.append((-score, identity, os.fsdecode(path), labels, predicted))
for minus, _, name, labels, predicted in sorted(hits)[:k]:
    words = {name: each["value"] for name, each in json.loads(predicted).items()}
    print(json.dumps([name, -minus, json.loads(labels), words]))  # noqa: T201 - its answer
