"""``verify``: check a gallery, and say how to repair what is wrong.

Nothing is changed, so a gallery on a read-only disk can be verified too; searching and indexing go
on meanwhile, for the database is seen in one state.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boost_edge.runtime.binding import Binding, read_binding
from boost_edge.runtime.database import connect_reading, translating
from boost_edge.runtime.errors import GalleryCorruptError, UsageError
from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.gallery_folder import require_gallery
from boost_edge.runtime.gallery_model import model_digest, model_path
from boost_edge.runtime.recovery import left_overs
from boost_edge.runtime.schema import FORMAT_VERSION
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify_rows import check_embeddings, check_images, check_structure

if TYPE_CHECKING:
    from boost_edge.runtime.hnsw import Hnsw

__all__ = ["FLAWS", "Finding", "VerifyReport", "verify_gallery"]

_CHUNK_ROWS = 65536
_MOST_EXAMPLES = 10
_RESTORE = "restore gallery.sqlite from a backup, or index the images again into a new folder"
_COMPACT = "boost-edge compact {gallery}"
_INDEX = "boost-edge index FOLDER --gallery {gallery}"

FLAWS: dict[str, tuple[bool, str, str]] = {
    "format_newer": (False, "the gallery is of a newer format", "update boost-edge"),
    "format_older": (False, "the gallery is of an older format", _COMPACT),
    "database_gone": (True, "the database is gone", _RESTORE),
    "database_damaged": (True, "the database is damaged", _RESTORE),
    "row_damaged": (True, "images whose row makes no sense", _RESTORE),
    "generation_wrong": (True, "images of a generation that is not yet", _RESTORE),
    "embedding_missing": (True, "images without an embedding", _RESTORE),
    "embedding_unused": (True, "embeddings that no image has", _COMPACT),
    "vector_length": (True, "embeddings of the wrong length", _RESTORE),
    "vector_changed": (True, "embeddings that are not what was written", _RESTORE),
    "vector_not_finite": (True, "embeddings that are not finite", _RESTORE),
    "vector_not_unit": (True, "embeddings whose norm is not 1", _RESTORE),
    "cache_damaged": (True, "the cache is damaged; it is not used", _COMPACT),
    "cache_vectors": (
        True,
        "the cache's vectors are damaged: until it is built again a search uses them, and may miss "
        "images",
        _COMPACT,
    ),
    "cache_foreign": (True, "the cache is not of this gallery; it is not used", _COMPACT),
    "cache_future": (True, "the cache is newer than the database; it is not used", _COMPACT),
    "cache_incomplete": (True, "images that the cache should hold and does not", _COMPACT),
    "cache_missing": (False, "there is no cache: the next search builds it", _COMPACT),
    "cache_dtype": (
        False,
        "the cache holds its vectors otherwise than one that is built next; it is used",
        _COMPACT,
    ),
    "model_missing": (
        False,
        "the model is not where it was",
        "put it back, or say where it is: boost-edge index FOLDER --gallery {gallery} --model FILE",
    ),
    "model_changed": (
        True,
        "the model's file is another model now",
        "put back the model that the gallery was made with, or index the images again into a new "
        "folder",
    ),
    "file_missing": (False, "image files that are gone", f"{_INDEX} --prune"),
    "file_changed": (
        False,
        "image files that changed since they were indexed",
        f"{_INDEX}; mend or delete a file that this skips, then {_INDEX} --prune",
    ),
    "left_over": (False, "temporary files of a process that was killed", _COMPACT),
}
"""Each code of a finding: whether it is damage, what it means, and how to repair it."""
# Neither damage nor sound: nothing is known of it.
_OTHER_FORMAT = ("format_newer", "format_older")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong: ``code`` is a key of `FLAWS`.

    ``damage`` is False where it only ought to be known. ``count`` is how often it was found,
    ``examples`` are some of the places: paths, or what SQLite says.
    """

    code: str
    damage: bool
    what: str
    repair: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What verifying found; ``sound`` is whether all was checked and none of it is damage.

    ``images`` and ``deleted`` count rows; they and ``generation`` are None where the database
    cannot be read, or is of another format, and so is not checked.
    """

    path: Path
    sound: bool
    images: int | None
    deleted: int | None
    generation: int | None
    findings: tuple[Finding, ...]
    seconds: float


def verify_gallery(
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    step: Callable[[str], None] | None = None,
    exact_limit: int | None = None,
) -> VerifyReport:
    """Check a gallery: database, embeddings, cache, model, image files, temporary files.

    An image file is compared by size and time of change; it is not read.

    Parameters
    ----------
    path
        The gallery's folder. Its model is hashed, not opened.
    model
        Where the model is, if it is no longer where it was.
    step
        Called with the name of each part of the work as it begins.
    exact_limit
        See ``Gallery.open``.

    Raises
    ------
    UsageError
        When there is no gallery, or no file ``model``.
    GalleryError
        When the disk fails, or a file may not be read.
    """
    started = time.perf_counter()
    folder = Path(path)
    check = _Check(folder, None if model is None else Path(model), exact_limit)
    check.run(step or (lambda _: None))
    findings = check.findings()
    return VerifyReport(
        path=folder.absolute(),
        sound=not any(each.damage or each.code in _OTHER_FORMAT for each in findings),
        images=check.images,
        deleted=check.deleted,
        generation=check.generation,
        findings=findings,
        seconds=time.perf_counter() - started,
    )


class _Check:
    """One verification and what it found so far."""

    def __init__(self, folder: Path, model: Path | None, exact_limit: int | None) -> None:
        self._folder = folder
        self._model = model
        self._exact_limit = exact_limit
        self._found: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self.images: int | None = None
        self.deleted: int | None = None
        self.generation: int | None = None

    def run(self, step: Callable[[str], None]) -> None:
        """Check all there is; a database that cannot be read ends only its own part."""
        path = self._folder / STORE_NAME
        try:
            require_gallery(self._folder)
        except GalleryCorruptError:
            self._add("database_gone", path.name)
            return
        try:
            with translating(path), closing(connect_reading(path)[0]) as database:
                database.execute("BEGIN")
                self._check_database(database, step)
        except GalleryCorruptError as error:
            self._add("database_damaged", str(error.__cause__ or error))
        step("looking for temporary files")
        for file in left_overs(self._folder):
            self._add("left_over", file.name)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, damage first."""
        gallery = shlex.quote(os.fspath(self._folder))
        found = (
            Finding(
                code=code,
                damage=damage,
                what=what,
                repair=repair.replace("{gallery}", gallery),
                count=self._found[code],
                examples=tuple(self._examples[code]),
            )
            for code, (damage, what, repair) in FLAWS.items()
            if self._found[code]
        )
        return tuple(sorted(found, key=lambda finding: not finding.damage))

    def _add(self, code: str, example: str) -> None:
        self._found[code] += 1
        examples = self._examples.setdefault(code, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(example)

    def _check_database(self, database: sqlite3.Connection, step: Callable[[str], None]) -> None:
        meta = dict(database.execute("SELECT key, value FROM meta").fetchall())
        version = meta.get("format_version")
        if isinstance(version, int) and version >= 1 and version != FORMAT_VERSION:
            code = "format_newer" if version > FORMAT_VERSION else "format_older"
            self._add(code, f"format {version}, and this version reads format {FORMAT_VERSION}")
            return
        binding = read_binding(self._folder / STORE_NAME, meta)
        generation = int(meta["generation"])
        step("checking the database")
        for code, example in check_structure(database):
            self._add(code, example)
        counts = dict(database.execute("SELECT state, count(*) FROM images GROUP BY state"))
        self.images, self.deleted = counts.get("live", 0), counts.get("deleted", 0)
        self.generation = generation
        step("checking the model")
        self._check_model(binding)
        step("checking images and embeddings")
        for code, example in check_images(database, generation=generation):
            self._add(code, example)
        for code, example in check_embeddings(database, dimensions=binding.dimensions):
            self._add(code, example)
        step("checking the cache")
        self._check_cache(database, binding, generation)

    def _check_model(self, binding: Binding) -> None:
        path = self._model or model_path(self._folder, binding)
        try:
            digest = model_digest(path)
        except (OSError, ValueError) as error:
            if self._model is not None:
                raise UsageError(f"{path}: cannot be read, so it is no model: {error}") from error
            self._add("model_missing", os.fspath(path))
            return
        if digest != binding.model_sha256:
            self._add("model_changed", os.fspath(path))

    def _check_cache(self, database: sqlite3.Connection, binding: Binding, generation: int) -> None:
        cache = self._folder / GRAPH_NAME
        if not cache.exists():
            if (self.images or 0) > exact_limit_for(binding.dimensions, self._exact_limit):
                self._add("cache_missing", cache.name)
            return
        from boost_edge.runtime.hnsw import CacheError, Hnsw

        try:
            graph = Hnsw.read(
                cache, gallery=binding.gallery, dimensions=binding.dimensions, whole=True
            )
        except CacheError as error:
            self._add(f"cache_{error.code}", f"{cache.name}: {error}")
            return
        if graph.generation > generation:
            self._add("cache_future", f"generation {graph.generation}, not {generation}")
            return
        if graph.dtype != binding.graph_dtype:
            self._add("cache_dtype", f"{cache.name}: {graph.dtype}, not {binding.graph_dtype}")
        for path in _absent(database, graph):
            self._add("cache_incomplete", path)


def _absent(database: sqlite3.Connection, graph: Hnsw) -> Iterator[str]:
    """Yield the paths of live images that the graph should hold and does not."""
    # What is newer than the graph is found without it.
    sql = (
        "SELECT vector_key, path FROM images JOIN embeddings ON embeddings.id = images.embedding "
        "WHERE +state = 'live' AND generation <= ?"
    )
    with closing(database.execute(sql, (graph.generation,))) as cursor:
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            paths = {int(key): path for key, path in chunk}
            for key in graph.missing(np.fromiter(paths, np.int64, len(paths))).tolist():
                yield os.fsdecode(paths[key])
