-- The tables of a gallery of format 1, as versions before format 2 made them. Golden: never edited.
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    labels TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'live',
    generation INTEGER NOT NULL,
    vector_key INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX images_by_digest ON images (digest);
CREATE INDEX images_by_generation ON images (state, generation);
CREATE INDEX images_by_attributes ON images (id, state, predicted, labels);
CREATE INDEX images_by_vector ON images (vector_key, state, generation);
