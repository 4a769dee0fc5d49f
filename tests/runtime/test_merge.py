"""Merging and importing: the same as a naive model says, in any order, however often."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.moving import (
    a_row,
    content_of,
    make_gallery,
    path_of,
    rows_of,
    vector_of,
)

from boost_edge.runtime.arrivals import ArrivalReport, Arrivals
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.errors import (
    ConflictError,
    ExchangeFileError,
    GalleryCorruptError,
    GalleryLockedError,
    UsageError,
)
from boost_edge.runtime.exchange_export import export_gallery
from boost_edge.runtime.exchange_import import import_gallery
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.gallery_model import MODEL_NAME, has_model, keep_model
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.joining import POLICIES, Policy
from boost_edge.runtime.merge import merge_galleries
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import Store
from boost_edge.runtime.verify import verify_gallery
from boost_edge.runtime.writer_lock import writer_lock

Rows = dict[str, ImageRow]


def versioned(
    path: str, content: str, mtime_ns: int, labels: dict[str, str], state: str
) -> ImageRow:
    """Return a row that others at its path may contradict."""
    return a_row(path, content, mtime_ns=mtime_ns, labels=labels, state=state)


some_rows = st.builds(
    versioned,
    st.sampled_from([path_of(name) for name in (b"a", b"a/b", b"a\xff", b"b", b"z")]),
    st.sampled_from("01a"),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from("st"), st.sampled_from("xyz"), max_size=2),
    st.sampled_from(["live", "live", "live", "deleted"]),
)
galleries = st.lists(some_rows, max_size=5, unique_by=lambda row: row.path)
policies = st.sampled_from(POLICIES)


def differ(rows: list[ImageRow]) -> bool:
    """Return whether two of some rows have other bytes, or other labels of one attribute."""
    return any(
        one.digest != other.digest
        or any(one.labels[name] != other.labels.get(name, one.labels[name]) for name in one.labels)
        for one, other in itertools.combinations(rows, 2)
    )


def naive_source(versions: list[ImageRow]) -> ImageRow:
    """Return what the sources say about a path: the newest bytes, with all of their labels."""
    newest = max(versions, key=lambda row: (row.mtime_ns, row.digest))
    same = [row for row in versions if row.digest == newest.digest]
    labels = {
        name: max(row.labels[name] for row in same if name in row.labels)
        for name in {name for row in same for name in row.labels}
    }
    return dataclasses.replace(newest, labels=labels)


def naive_path(known: ImageRow | None, new: ImageRow, policy: Policy) -> ImageRow:
    """Return what is true of a path after live ``new`` came, as the document says it."""
    if known is None or (known.state == "deleted" and known.digest != new.digest):
        return new
    if known.state == "deleted" or policy == "replace":
        labels = {**known.labels, **new.labels} if known.digest == new.digest else new.labels
        return dataclasses.replace(new, labels=labels)
    if policy == "keep":
        labels = {**new.labels, **known.labels} if known.digest == new.digest else known.labels
        return dataclasses.replace(known, labels=labels)
    return naive_source([known, new])


def naive_merge(target: list[ImageRow], sources: list[list[ImageRow]], policy: Policy) -> Rows:
    """Merge dictionaries; ConflictError where the policy says so."""
    merged = {row.path: row for row in target}
    live = [{row.path: row for row in rows if row.state == "live"} for rows in sources]
    for path in sorted({path for rows in live for path in rows}):
        versions = [rows[path] for rows in live if path in rows]
        known = merged.get(path)
        present = [known] if known is not None and known.state == "live" else []
        if policy == "fail" and differ([*versions, *present]):
            raise ConflictError(path, paths=(path,), count=1)
        merged[path] = naive_path(known, naive_source(versions), policy)
    return merged


def move(
    how: str, source: Path, folder: Path, policy: Policy, progress: Progress = silent
) -> ArrivalReport:
    """Bring the live rows of one gallery into another, through a file or not."""
    if how == "merge":
        return merge_galleries([source], folder, on_conflict=policy, progress=progress)
    file = source.with_suffix(".jsonl")
    export_gallery(source, file)
    return import_gallery(file, folder, on_conflict=policy, progress=progress)


@settings(deadline=None, max_examples=40)
@given(
    target=galleries,
    sources=st.lists(galleries, min_size=1, max_size=3),
    policy=policies,
    data=st.data(),
)
def test_merging_is_what_the_naive_model_says(
    target: list[ImageRow], sources: list[list[ImageRow]], policy: Policy, data: st.DataObject
) -> None:
    """Any galleries in any order give the naive model's rows; again, nothing changes."""
    with tempfile.TemporaryDirectory() as made:
        folder = make_gallery(Path(made) / "target", target)
        names = [make_gallery(Path(made) / str(n), rows) for n, rows in enumerate(sources)]
        before = [content_of(each) for each in names]
        order = data.draw(st.permutations(names))
        try:
            expected = naive_merge(target, sources, policy)
        except ConflictError:
            with pytest.raises(ConflictError, match="nothing was written"):
                merge_galleries(order, folder, on_conflict=policy)
            assert rows_of(folder) == {row.path: row for row in target}
            return
        report = merge_galleries(order, folder, on_conflict=policy)
        assert rows_of(folder) == expected
        settled = report.added + report.replaced + report.restored + report.updated
        paths = {row.path for rows in sources for row in rows if row.state == "live"}
        assert settled + report.unchanged + report.kept == len(paths)
        assert (settled == 0) == (expected == {row.path: row for row in target})
        assert report.images == sum(row.state == "live" for row in expected.values())
        again = merge_galleries(data.draw(st.permutations(names)), folder, on_conflict=policy)
        assert (again.unchanged + again.kept, again.images) == (len(paths), report.images)
        assert rows_of(folder) == expected
        assert [content_of(each) for each in names] == before


@settings(deadline=None, max_examples=12)
@given(sources=st.lists(galleries, min_size=2, max_size=3), policy=policies, data=st.data())
def test_any_order_gives_the_same_answers(
    encoder: Encoder, sources: list[list[ImageRow]], policy: Policy, data: st.DataObject
) -> None:
    """Searching what was merged in two orders gives equal hits in the same order, ties too."""
    with tempfile.TemporaryDirectory() as made:
        names = [
            make_gallery(Path(made) / str(n), rows, model=encoder.sha256)
            for n, rows in enumerate(sources)
        ]
        answers: list[object] = []
        for number, order in enumerate([names, data.draw(st.permutations(names))]):
            folder = Path(made) / f"target{number}"
            try:
                merge_galleries(order, folder, encoder=encoder, on_conflict=policy)
            except ConflictError as error:
                assert not folder.exists()
                answers.append((error.count, error.paths))
                continue
            with Gallery.open(folder, encoder) as gallery:
                answers.append([gallery.search(vector_of(a_row("/", c)), k=9) for c in "1a5"])
        assert answers[0] == answers[1]


@settings(deadline=None, max_examples=20)
@given(sources=st.lists(galleries, min_size=2, max_size=3), data=st.data())
def test_one_by_one_is_all_at_once_without_conflicts(
    sources: list[list[ImageRow]], data: st.DataObject
) -> None:
    """Where nothing contradicts, several merges in any order are the same as one."""
    with tempfile.TemporaryDirectory() as made:
        names = [make_gallery(Path(made) / str(n), rows) for n, rows in enumerate(sources)]
        at_once, one_by_one = (make_gallery(Path(made) / name) for name in ("all", "each"))
        try:
            merge_galleries(names, at_once)
        except ConflictError:
            return
        for name in data.draw(st.permutations(names)):
            merge_galleries([name], one_by_one)
        assert rows_of(one_by_one) == rows_of(at_once)


@settings(deadline=None, max_examples=30)
@given(target=galleries, incoming=galleries, policy=policies)
def test_importing_is_merging_one_gallery(
    target: list[ImageRow], incoming: list[ImageRow], policy: Policy
) -> None:
    """A file of a gallery's live rows does what merging that gallery does."""
    with tempfile.TemporaryDirectory() as made:
        source = make_gallery(Path(made) / "source", incoming)
        merged, imported = (make_gallery(Path(made) / n, target) for n in ("merged", "imported"))
        outcomes: list[ArrivalReport | str] = []
        for how, folder in (("merge", merged), ("import", imported)):
            try:
                report = move(how, source, folder, policy)
            except ConflictError as error:
                outcomes.append(",".join(sorted(error.paths)))
            else:
                same = {"path": Path(), "sources": (), "seconds": 0.0}
                outcomes.append(dataclasses.replace(report, **same))  # type: ignore[arg-type]
        assert outcomes[0] == outcomes[1]
        assert rows_of(merged) == rows_of(imported)


@pytest.mark.parametrize("state", ["live", "deleted"])
def test_deleted_rows_come_as_such(tmp_path: Path, state: str) -> None:
    """Imported deleted images are not searched, and never take a live image away."""
    source = make_gallery(tmp_path / "source", [a_row("/a", state="deleted"), a_row("/b")])
    export_gallery(source, tmp_path / "file.jsonl", deleted=True)
    target = make_gallery(tmp_path / "target", [a_row("/a", state=state)])
    other = make_gallery(tmp_path / "other", [a_row("/a", "b", state=state)])
    fresh = make_gallery(tmp_path / "fresh")
    assert import_gallery(tmp_path / "file.jsonl", fresh).images == 1
    assert rows_of(fresh) == rows_of(source)
    assert import_gallery(tmp_path / "file.jsonl", target).unchanged == 1
    assert rows_of(target)["/a"].state == state
    import_gallery(tmp_path / "file.jsonl", other)
    assert rows_of(other)["/a"].digest == "b" * 64
    assert rows_of(other)["/a"].state == state
    for folder in (fresh, target, other):
        assert verify_gallery(folder).sound


def test_conflicts_say_what_to_do(tmp_path: Path) -> None:
    """Some are named, with who says what; the remedies work."""
    one = make_gallery(tmp_path / "one", [a_row(f"/{n}", "a") for n in range(5)])
    two = make_gallery(
        tmp_path / "two",
        [*(a_row(f"/{n}", "b") for n in range(3)), a_row("/3", "a", labels={"size": "s"})],
    )
    target = make_gallery(tmp_path / "target", [a_row("/3", "a", labels={"size": "l"})])
    with pytest.raises(ConflictError) as caught:
        merge_galleries([one, two], target)
    said = str(caught.value)
    assert f"4 paths do not stand for the same image: /0 (content: {one} and {two})" in said
    assert "keep, replace or newest, or put a gallery's paths under a folder" in said
    assert said.endswith(f"such as --under {two}=/FOLDER")
    assert (caught.value.count, caught.value.paths) == (4, ("/0", "/1", "/2", "/3"))
    with pytest.raises(ConflictError, match=r"1 path does .* /3 \(label size: .*target, the targe"):
        merge_galleries([two], target)
    assert list(rows_of(target)) == ["/3"]
    report = merge_galleries([one, two], target, under={str(two): "/dev/ice/"})
    assert (report.added, report.unchanged, report.conflicts) == (8, 1, 0)
    assert "/dev/ice/0" in rows_of(target)
    export_gallery(two, tmp_path / "two.jsonl")
    with pytest.raises(ConflictError, match=r"in the gallery and in the file.*--under FOLDER"):
        import_gallery(tmp_path / "two.jsonl", target)
    assert import_gallery(tmp_path / "two.jsonl", target, under="/dev/ice").unchanged == 4
    kept = merge_galleries([two], target, on_conflict="keep")
    assert (kept.kept, kept.conflicts, kept.replaced) == (4, 4, 0)
    swapped = merge_galleries([two], target, on_conflict="replace")
    assert (swapped.replaced, swapped.updated, swapped.conflicts) == (3, 1, 4)


def test_a_conflict_at_the_last_moment_is_none_the_less(tmp_path: Path) -> None:
    """Whoever made the gallery meanwhile, ``fail`` overwrites nothing."""
    target = make_gallery(tmp_path / "target", [a_row("/a", "a")])
    with closing(Store.open(target)) as store:
        arrivals = Arrivals(store, "fail")
        with pytest.raises(ConflictError, match="nothing was written"):
            arrivals.take(a_row("/a", "b"), vector_of(a_row("/a", "b")))


def test_equal_bytes_keep_one_embedding(tmp_path: Path) -> None:
    """Machines differ in last bits: what the gallery knows about the same bytes stands."""
    target = make_gallery(tmp_path / "target", [a_row("/a")])
    source = make_gallery(tmp_path / "source")
    other = vector_of(a_row("/a")).copy()
    other[0] = np.nextafter(other[0], np.float32(1))
    with closing(Store.open(source)) as store:
        row = a_row("/b", predicted={})
        store.commit(Changes(encoded=[(row, other), (a_row("/a", predicted={}), other)]))
    assert merge_galleries([source], target).added == 1
    assert rows_of(target)["/b"].predicted == a_row("/a").predicted


@pytest.mark.parametrize("policy", get_args(Policy))
def test_an_interruption_is_resumed(tmp_path: Path, policy: Policy) -> None:
    """Stopped anywhere, the gallery is sound and holds whole batches; again, all is there."""
    rows = [a_row(f"/{number:04}", "b") for number in range(700)]
    source = make_gallery(tmp_path / "source", rows)
    for stage in ("import", "merge"):
        folder = make_gallery(tmp_path / stage, [a_row("/mine")])

        def stop(at: str, done: int, total: int, stage: str = stage) -> None:
            assert 0 < done <= total == 700
            if at == stage and done >= 600:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move(stage, source, folder, policy, stop)
        held = rows_of(folder)
        assert 256 <= len(held) < 701
        assert verify_gallery(folder).sound
        report = move(stage, source, folder, policy)
        assert (report.added, report.unchanged) == (701 - len(held), len(held) - 1)
        assert rows_of(folder) == {row.path: row for row in [a_row("/mine"), *rows]}


def test_the_model_must_be_the_same(tmp_path: Path, encoder: Encoder) -> None:
    """Another model's embeddings are refused before anything is written."""
    mine = make_gallery(tmp_path / "mine", [a_row("/a")], model=encoder.sha256)
    other = make_gallery(tmp_path / "other", [a_row("/b")], model="6" * 64)
    export_gallery(other, tmp_path / "other.jsonl")
    with pytest.raises(GalleryCorruptError, match=r"666666666666.*cannot be compared"):
        merge_galleries([other], mine)
    with pytest.raises(GalleryCorruptError, match="cannot be compared"):
        merge_galleries([mine, other], tmp_path / "new")
    with pytest.raises(GalleryCorruptError, match="give that one"):
        merge_galleries([other], tmp_path / "new", encoder=encoder)
    with pytest.raises(ExchangeFileError, match=r"666666666666.*cannot be compared"):
        import_gallery(tmp_path / "other.jsonl", mine)
    with pytest.raises(ExchangeFileError, match="cannot be compared"):
        import_gallery(tmp_path / "other.jsonl", tmp_path / "new", encoder=encoder)
    with pytest.raises(UsageError, match=r"the model 666666666666 .width 16. is .--model FILE"):
        import_gallery(tmp_path / "other.jsonl", tmp_path / "new")
    with pytest.raises(UsageError, match=r"none of the sources' model .*--model FILE"):
        merge_galleries([other], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert list(rows_of(mine)) == ["/a"]


def test_a_new_gallery_remembers_its_model(tmp_path: Path, encoder: Encoder) -> None:
    """A source's model serves where it still is; one that is given is noted, old gallery or new."""
    here = os.fspath(encoder.path)
    lost = make_gallery(tmp_path / "lost", [a_row("/a")], model=encoder.sha256)
    found = make_gallery(tmp_path / "b", [a_row("/b")], model=encoder.sha256, model_path=here)
    merge_galleries([lost, found], tmp_path / "new")
    export_gallery(lost, tmp_path / "file.jsonl")
    with open(tmp_path / "file.jsonl", "rb") as file:  # noqa: PTH123 - an open file, as such
        import_gallery(file, tmp_path / "imported", encoder=encoder)
    import_gallery(tmp_path / "file.jsonl", lost, encoder=encoder)
    for folder in (tmp_path / "new", tmp_path / "imported", lost):
        with closing(Store.open(folder)) as store:
            assert store.binding.model_path == here
        assert verify_gallery(folder).sound


def test_a_model_that_is_kept_is_kept_by_the_next(tmp_path: Path, encoder: Encoder) -> None:
    """A source's own copy of the model is copied, so that the source may go; one given is not."""
    here = os.fspath(encoder.path)
    source = make_gallery(tmp_path / "source", [a_row("/a")], model=encoder.sha256)
    keep_model(source, encoder.path)
    other = make_gallery(tmp_path / "b", [a_row("/b")], model=encoder.sha256, model_path=here)
    merge_galleries([source], tmp_path / "given", encoder=encoder)
    assert not has_model(tmp_path / "given")
    for name, order in (("first", [source, other]), ("last", [other, source])):
        merge_galleries(order, tmp_path / name)
        assert (tmp_path / name / MODEL_NAME).read_bytes() == encoder.path.read_bytes()
    shutil.rmtree(source)
    assert verify_gallery(tmp_path / "last").sound
    with Gallery.open(tmp_path / "last", threads=1) as gallery:
        assert gallery.encoder.sha256 == encoder.sha256


def test_a_model_is_looked_for_among_those_known(tmp_path: Path, encoder: Encoder) -> None:
    """A new gallery keeps a copy of the one that its rows are of; others are no help."""
    source = make_gallery(tmp_path / "source", [a_row("/a")], model=encoder.sha256)
    file = tmp_path / "file.jsonl"
    export_gallery(source, file)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another model")
    for known in ([other], [other, encoder.path]):
        bring = (
            ("imported", partial(import_gallery, file, known=known)),
            ("merged", partial(merge_galleries, [source], known=known)),
        )
        for name, make in bring:
            new = tmp_path / name
            if encoder.path not in known:
                with pytest.raises(UsageError, match="--model FILE"):
                    make(new)
                assert not new.exists()
                continue
            make(new)
            assert (new / MODEL_NAME).read_bytes() == encoder.path.read_bytes()
            assert verify_gallery(new).sound
            assert list(rows_of(new)) == ["/a"]
            # What could not be copied the first time is copied the next.
            (new / MODEL_NAME).unlink()
            make(new)
            assert has_model(new)


def test_what_is_in_a_known_model_s_place_is_not_kept(tmp_path: Path, encoder: Encoder) -> None:
    """A package may come with another model by now: a gallery of the one before takes no copy."""
    model = tmp_path / "shipped.onnx"
    shutil.copyfile(encoder.path, model)
    here = os.fspath(model)
    old = make_gallery(tmp_path / "old", [a_row("/a")], model=encoder.sha256, model_path=here)
    new = make_gallery(tmp_path / "new", [a_row("/b")], model=encoder.sha256, model_path=here)
    export_gallery(new, tmp_path / "file.jsonl")
    model.write_bytes(b"the next version")
    import_gallery(tmp_path / "file.jsonl", old, known=[model])
    merge_galleries([new], old, known=[model])
    assert list(rows_of(old)) == ["/a", "/b"]
    assert not has_model(old)


def test_a_known_model_of_another_width_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    """Rows that are not as wide as their model's embeddings make no gallery."""
    source = make_gallery(tmp_path / "source", [a_row("/a")], model=encoder.sha256)
    file = tmp_path / "file.jsonl"
    export_gallery(source, file)
    text = file.read_text()
    width = f'"dimensions":{encoder.dimensions}'
    assert text.count(width) == 1
    file.write_text(text.replace(width, '"dimensions":3'))
    with pytest.raises(ExchangeFileError, match="cannot be compared"):
        import_gallery(file, tmp_path / "new", known=[encoder.path])
    assert not (tmp_path / "new").exists()


def test_misuse_is_said_in_one_line(tmp_path: Path, encoder: Encoder) -> None:
    """No gallery, itself, an unknown policy, a folder for nobody, a writer at work."""
    mine = make_gallery(tmp_path / "mine", [a_row("/a")])
    other = make_gallery(tmp_path / "other", [a_row("/a")])
    export_gallery(mine, tmp_path / "file.jsonl")
    junk = tmp_path / "junk"
    junk.mkdir()
    (junk / "file").touch()
    with pytest.raises(UsageError, match="no gallery here"):
        merge_galleries([tmp_path / "no"], mine)
    with pytest.raises(UsageError, match="into itself"):
        merge_galleries([other, tmp_path / "." / "mine"], mine)
    with pytest.raises(UsageError, match="'odd' is not one of fail, keep, replace, newest"):
        merge_galleries([other], mine, on_conflict="odd")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the folder to put paths under is empty"):
        merge_galleries([other], mine, under={str(other): ""})
    with pytest.raises(UsageError, match="/no: is to be put under a folder, but is not merged"):
        merge_galleries([other], mine, under={"/no": "/x"})
    with pytest.raises(UsageError, match="at least one"):
        merge_galleries([], mine)
    with pytest.raises(UsageError, match="must be a list"):
        merge_galleries(str(other), mine)
    with pytest.raises(UsageError, match="not empty"):
        merge_galleries([make_gallery(tmp_path / "e", model=encoder.sha256)], junk, encoder=encoder)
    with writer_lock(mine), ExitStack() as stack:
        stack.enter_context(pytest.raises(GalleryLockedError, match=str(os.getpid())))
        merge_galleries([other], mine)
    with writer_lock(mine), pytest.raises(GalleryLockedError):
        import_gallery(tmp_path / "file.jsonl", mine)
    with writer_lock(other):
        assert merge_galleries([other], mine).unchanged == 1


def test_a_real_gallery_moves_whole(encoder: Encoder, pictures: Path, tmp_path: Path) -> None:
    """Indexed pictures answer queries as before after a way through either file."""
    (pictures / "red" / os.fsdecode(b"\xff.png")).write_bytes(
        (pictures / "red" / "0.png").read_bytes()
    )
    query = pictures / "green" / "1.png"
    with Gallery.open(tmp_path / "home", encoder) as home:
        home.index([pictures], labels={str(query): {"season": "Summer"}})
        expected = home.query(query, k=20).hits
    for form in ("jsonl", "parquet"):
        export_gallery(tmp_path / "home", tmp_path / f"home.{form}")
        import_gallery(tmp_path / f"home.{form}", tmp_path / form, encoder=encoder)
        with Gallery.open(tmp_path / form, encoder) as away:
            assert away.query(query, k=20).hits == expected
            assert len(away.query(query, where="season = Summer").hits) == 1
            # The files are as they were: nothing is read, nothing encoded.
            report = away.index([pictures])
            assert (report.unchanged, report.added) == (10, 0)


def test_a_large_gallery_gets_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a merge the search cache is there, so that the next search need not build it."""
    monkeypatch.setattr(
        "boost_edge.runtime.exact_limit.EXACT_BYTES", 5 * vector_of(a_row("/0", "1")).nbytes
    )
    source = make_gallery(tmp_path / "source", [a_row(f"/{n}", c) for n, c in enumerate("123456")])
    target = make_gallery(tmp_path / "target")
    merge_galleries([source], target)
    assert (target / GRAPH_NAME).exists()
