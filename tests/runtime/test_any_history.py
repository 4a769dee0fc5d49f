"""Whatever happens to a gallery, in whatever order, it answers as a naive model in memory does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] - hypothesis leaves it
)
from numpy.typing import NDArray

from boost_edge import Encoder, Gallery
from boost_edge.runtime.compact import compact_gallery
from boost_edge.runtime.merge import merge_galleries
from boost_edge.runtime.verify import verify_gallery

WritePicture = Callable[..., Path]

HISTORIES = int(os.environ.get("BOOST_EDGE_HISTORIES", "12"))
# So few that the graph is used, and what is newer than it is scanned beside it.
EXACT_LIMIT = 3
CONTENTS = 6
NAMES = ("a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "c.png")

names = st.sampled_from(NAMES)


@dataclass(slots=True)
class Row:
    """What the model knows of an image, in the order of the ids."""

    path: str
    content: int
    labels: dict[str, str] = field(default_factory=dict[str, str])
    state: Literal["live", "deleted"] = "live"


class Model:
    """Rows in a list, a disk in a dictionary: the rules of docs/gallery-format.md, naively."""

    def __init__(self) -> None:
        self.disk: dict[str, int] = {}
        self.rows: list[Row] = []

    def index(self, paths: list[str], *, prune: bool, labels: dict[str, dict[str, str]]) -> None:
        """Take in the files at some paths, in this order; ``prune`` judges all rows."""
        for path in paths:
            content = self.disk[path]
            known = next((row for row in self.rows if row.path == path), None)
            if known is None or known.content != content:
                moved = self._moved(content)
                if moved is not None:
                    if known is not None:
                        known.path = moved.path
                    moved.path = path
                    known = moved
            if known is None:
                known = Row(path, content)
                self.rows.append(known)
            elif known.state == "deleted" and known.content != content:
                known.labels = {}
            known.content, known.state = content, "live"
            known.labels = labels.get(path, known.labels)
        if prune:
            for row in self.rows:
                if self._is_gone(row):
                    row.state = "deleted"

    def compact(self) -> None:
        """Forget what is deleted."""
        self.rows = [row for row in self.rows if row.state == "live"]

    def merge(self, arrivals: dict[str, int]) -> None:
        """Take in another gallery's live images where none is live at their path."""
        for path, content in sorted(arrivals.items()):
            known = next((row for row in self.rows if row.path == path), None)
            if known is None:
                self.rows.append(Row(path, content))
            elif known.state == "deleted":
                known.content, known.state, known.labels = content, "live", {}

    def live(self) -> list[Row]:
        """Return what is searched."""
        return [row for row in self.rows if row.state == "live"]

    def _is_gone(self, row: Row) -> bool:
        """Return whether a file of ours is not there; those elsewhere are."""
        return row.path not in self.disk and "/x/" not in row.path

    def _moved(self, content: int) -> Row | None:
        """Return the first row of this content whose file is gone, or else has other bytes."""
        rows = [row for row in self.rows if row.content == content]
        gone = [row for row in rows if self._is_gone(row)]
        other = [row for row in rows if self.disk.get(row.path, content) != content]
        return next(iter(gone + other), None)


class Histories(RuleBasedStateMachine):
    """Files come, change, move and go; the gallery is indexed, opened again, compacted, merged."""

    encoder: Encoder
    pictures: list[bytes]
    embeddings: NDArray[np.float32]

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="boost-edge-history-"))
        self.folder = self.top / "pictures"
        for name in NAMES:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        self.model = Model()
        self.stamp = 10**18
        self.device = self._make_device()
        self.gallery = self._open()

    def teardown(self) -> None:
        """Close and remove it all."""
        self.gallery.close()
        assert verify_gallery(self.top / "gallery", exact_limit=EXACT_LIMIT).sound
        shutil.rmtree(self.top)

    @rule(name=names, content=st.integers(0, CONTENTS - 1))
    def write(self, name: str, content: int) -> None:
        """Make a file, or give it other bytes."""
        path = self.folder / name
        path.write_bytes(self.pictures[content])
        # The file system's own clock may stand still between two of these.
        self.stamp += 1
        os.utime(path, ns=(self.stamp, self.stamp))
        self.model.disk[str(path)] = content

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        """Move a file, perhaps over another."""
        source, target = str(self.folder / old), str(self.folder / new)
        if source in self.model.disk and source != target:
            Path(source).replace(target)
            self.model.disk[target] = self.model.disk.pop(source)

    @rule(name=names)
    def remove(self, name: str) -> None:
        """Remove a file."""
        path = str(self.folder / name)
        if self.model.disk.pop(path, None) is not None:
            Path(path).unlink()

    @rule(prune=st.booleans(), named=st.sets(names))
    def index(self, prune: bool, named: set[str]) -> None:
        """Bring the gallery up to date, and give some of the images other labels."""
        self.stamp += 1
        labels = {str(self.folder / name): {"given": f"{self.stamp}"} for name in named}
        told = self.gallery.index([self.folder], labels=labels, prune=prune, dry_run=True)
        done = self.gallery.index([self.folder], labels=labels, prune=prune)
        assert replace(told, seconds=done.seconds, dry_run=False) == done
        order = sorted(self.model.disk, key=lambda path: (Path(path).parent != self.folder, path))
        self.model.index(order, prune=prune, labels=labels)

    @rule()
    def reopen(self) -> None:
        """Close the gallery and open it again."""
        self.gallery.close()
        self.gallery = self._open()

    @rule()
    def compact(self) -> None:
        """Remove for good what was deleted."""
        compact_gallery(self.top / "gallery", exact_limit=EXACT_LIMIT)
        self.model.compact()

    @rule()
    def merge(self) -> None:
        """Bring in the gallery of another device; what is here stays."""
        merge_galleries([self.top / "device"], self.top / "gallery", on_conflict="keep")
        self.model.merge(self.device)

    @invariant()
    def answers_as_the_model_does(self) -> None:
        """See that it finds the same images in the same order with the same scores."""
        live = self.model.live()
        assert self.gallery.paths() == [row.path for row in live]
        for query in self.embeddings[::2]:
            scores = [float(np.vecdot(self.embeddings[row.content], query)) for row in live]
            order = sorted(range(len(live)), key=lambda place: (-scores[place], place))
            hits = self.gallery.search(query, k=len(NAMES) + 20)
            assert [hit.path for hit in hits] == [live[place].path for place in order]
            assert [hit.labels for hit in hits] == [live[place].labels for place in order]
            np.testing.assert_allclose(
                [hit.score for hit in hits], [scores[place] for place in order], atol=1e-6
            )

    def _make_device(self) -> dict[str, int]:
        """Index some files elsewhere and one at a path of ours, into a gallery of its own."""
        files = {
            self.top / "x" / "0.png": 0,
            self.top / "x" / "1.png": 3,
            self.folder / NAMES[1]: 5,
        }
        for path, content in files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self.pictures[content])
        with Gallery.open(self.top / "device", self.encoder) as gallery:
            gallery.index(files)
        # There it is another file.
        (self.folder / NAMES[1]).unlink()
        return {str(path): content for path, content in files.items()}

    def _open(self) -> Gallery:
        return Gallery.open(self.top / "gallery", self.encoder, exact_limit=EXACT_LIMIT)


def test_any_history_gives_the_models_answers(
    encoder: Encoder, write_picture: WritePicture, tmp_path: Path
) -> None:
    """Any sequence of add, change, rename, delete, reopen, compact, merge: the model's answers."""
    paths = [
        write_picture(tmp_path / f"{n}.png", ("red", "green", "blue")[n % 3], seed=n)
        for n in range(CONTENTS)
    ]
    Histories.encoder = encoder
    Histories.pictures = [path.read_bytes() for path in paths]
    Histories.embeddings = encoder.encode(paths)
    run_state_machine_as_test(  # pyright: ignore[reportUnknownVariableType] - hypothesis leaves it
        Histories,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
