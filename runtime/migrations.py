"""Bring a gallery of an older format up to date, in one transaction: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from boost_edge.runtime.database import connect, translating

__all__ = ["MIGRATIONS", "migrate"]

# From format 1 to 2: embeddings move to a table of their own, one for each digest. Statements that
# were published are never edited, and so name nothing from ``schema``, which moves on.
_EMBEDDINGS_APART = (
    "DROP INDEX images_by_digest",
    "DROP INDEX images_by_generation",
    "DROP INDEX images_by_attributes",
    "DROP INDEX images_by_vector",
    "ALTER TABLE images RENAME TO images_1",
    """CREATE TABLE embeddings (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    vector_key INTEGER NOT NULL,
    vector BLOB NOT NULL
)""",
    """CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    embedding INTEGER NOT NULL REFERENCES embeddings (id),
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'live',
    generation INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    labels TEXT NOT NULL
)""",
    # The oldest image of some bytes gives their embedding. Format 1 copied it to all others.
    """INSERT INTO embeddings (digest, vector_key, vector)
    SELECT digest, vector_key, vector FROM images_1
    WHERE true ORDER BY id ON CONFLICT (digest) DO NOTHING""",
    """INSERT INTO images SELECT images_1.id, path, embeddings.id, size, mtime_ns, width, height,
    state, generation, predicted, labels FROM images_1 CROSS JOIN embeddings USING (digest)
    ORDER BY images_1.id""",
    # Should another program have given equal bytes two embeddings, then an image may have another
    # one now, and the cache is older than that.
    """UPDATE images SET generation = (SELECT value + 1 FROM meta WHERE key = 'generation')
    WHERE id IN (SELECT images_1.id FROM images_1 CROSS JOIN embeddings USING (digest)
    WHERE embeddings.vector_key <> images_1.vector_key)""",
    """UPDATE meta SET value = value + 1 WHERE key = 'generation'
    AND value < (SELECT max(generation) FROM images)""",
    # Ids that were given and removed are not given again.
    "DELETE FROM sqlite_sequence WHERE name = 'images'",
    """INSERT INTO sqlite_sequence (name, seq)
    SELECT 'images', seq FROM sqlite_sequence WHERE name = 'images_1'""",
    "DROP TABLE images_1",
    "CREATE INDEX embeddings_by_vector ON embeddings (vector_key)",
    "CREATE INDEX images_by_embedding ON images (embedding, state, generation)",
    "CREATE INDEX images_by_generation ON images (state, generation)",
    """CREATE TRIGGER image_changed AFTER UPDATE OF embedding ON images
WHEN OLD.embedding <> NEW.embedding BEGIN
    DELETE FROM embeddings WHERE id = OLD.embedding
    AND NOT EXISTS (SELECT 1 FROM images WHERE embedding = OLD.embedding);
END""",
    """CREATE TRIGGER image_removed AFTER DELETE ON images BEGIN
    DELETE FROM embeddings WHERE id = OLD.embedding
    AND NOT EXISTS (SELECT 1 FROM images WHERE embedding = OLD.embedding);
END""",
    "INSERT INTO meta VALUES ('graph_dtype', 'i8')",
)

MIGRATIONS: Mapping[int, tuple[str, ...]] = MappingProxyType({1: _EMBEDDINGS_APART})
"""The statements that lead from each older format to the next one."""


def migrate(path: Path) -> None:
    """Bring a database up to date; the caller holds the writer lock. One that is stays as it is.

    Raises
    ------
    GalleryCorruptError
        When it is damaged.
    GalleryError
        When the disk is full or fails; then the gallery is as it was.
    """
    with translating(path), closing(connect(path, mode="rw")) as database:
        database.execute("PRAGMA synchronous = FULL")
        version = "SELECT value FROM meta WHERE key = 'format_version'"
        database.execute("BEGIN IMMEDIATE")
        try:
            while (found := database.execute(version).fetchone()) and found[0] in MIGRATIONS:
                for statement in MIGRATIONS[found[0]]:
                    database.execute(statement)
                database.execute("UPDATE meta SET value = value + 1 WHERE key = 'format_version'")
            database.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite has done so already.
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
