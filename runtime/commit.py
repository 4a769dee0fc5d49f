"""Write one commit's changes into a gallery's tables."""

from __future__ import annotations

import json
import os
import sqlite3

from boost_edge.runtime.image_rows import Changes, row_to_values, vector_key
from boost_edge.runtime.schema import EMBED, KEEP, RENEW, STATE, STATE_AT, TOUCH, UPSERT

__all__ = ["write_changes"]


def write_changes(database: sqlite3.Connection, changes: Changes) -> None:
    """Write changes within the caller's transaction."""
    if changes.encoded or changes.restated:
        database.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
    [generation] = database.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    for row, vector in changes.encoded:
        data = vector.astype("<f4", copy=False).tobytes()
        embedding = _embed(database, row.digest, data, generation)
        database.execute(UPSERT, (*row_to_values(row), generation, embedding))
        if row.state != "live":
            # It was deleted where it comes from.
            database.execute(STATE_AT, (row.state, os.fsencode(row.path)))
    database.executemany(
        KEEP,
        (
            (os.fsencode(row.path), row.size, row.mtime_ns, json.dumps(row.labels), row.id)
            for row in changes.kept
        ),
    )
    database.executemany(
        STATE, ((state, generation, identity) for identity, state in changes.restated.items())
    )


def _embed(database: sqlite3.Connection, digest: str, data: bytes, generation: int) -> int | None:
    """Return the id of the one embedding of some bytes, which is ``data`` from now on."""
    added = database.execute(EMBED, (digest, vector_key(data), data))
    if added.rowcount:
        return added.lastrowid
    sql = "SELECT id, vector FROM embeddings WHERE digest = ?"
    [identity, stored] = database.execute(sql, (digest,)).fetchone()
    if stored != data:
        database.execute(RENEW, (vector_key(data), data, identity))
        # No cache of an earlier generation knows it, for none of the images that have it.
        database.execute(TOUCH, (generation, identity))
    return int(identity)
