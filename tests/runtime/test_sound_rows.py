"""One place says what a sound row is: verify finds what export and merge refuse, and no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.runtime.moving import WIDTH, a_row, make_gallery, rows_of, vector_of

from boost_edge.runtime.errors import GalleryCorruptError
from boost_edge.runtime.exchange import EXCHANGE_FORMATS
from boost_edge.runtime.exchange_export import export_gallery
from boost_edge.runtime.image_rows import vector_key
from boost_edge.runtime.joining import POLICIES
from boost_edge.runtime.merge import merge_galleries
from boost_edge.runtime.sound_rows import VECTOR_FLAWS, flaws_of_vectors
from boost_edge.runtime.store import STORE_NAME
from boost_edge.runtime.verify import verify_gallery

SPOILT = "/n004.jpg"
P = '{"colour": {"value": "c1", "p": %s}}'


def spoil(folder: Path, change: str, value: object = None) -> None:
    """Change the row of one image, or its embedding, as a fault would."""
    table, what = change.split(" ", 1)
    place = "id = (SELECT id FROM images WHERE path = x'2f6e3030342e6a7067')"
    if table == "embeddings":
        place = place.replace("SELECT id", "SELECT embedding")
    with closing(sqlite3.connect(folder / STORE_NAME)) as database:
        values = () if value is None else (value,)
        done = database.execute(f"UPDATE {table} SET {what} WHERE {place}", values)  # noqa: S608
        assert done.rowcount == 1
        database.commit()


def flipped(place: int) -> bytes:
    """Return the embedding of the spoilt image with a bit flipped; its norm is nearly as it was."""
    data = bytearray(vector_of(a_row(SPOILT, "5")).tobytes())
    data[place] ^= 1
    return bytes(data)


SPOILS = [
    ("images path = ?", "/text"),
    ("images path = ?", "/n004.jpg"),
    ("images path = CAST(x'2fff' AS TEXT)", None),
    ("images path = ?", 7),
    ("images path = ?", b""),
    ("images path = ?", b"rel"),
    ("images path = ?", b"/a\0b"),
    ("images id = ?", -3),
    ("images state = ?", "odd"),
    ("images state = CAST(x'ff' AS TEXT)", None),
    ("images size = ?", -4),
    ("images size = ?", "large"),
    ("images width = ?", 0),
    ("images height = ?", 1.5),
    ("images mtime_ns = ?", b"now"),
    ("images labels = ?", '{"a": 3}'),
    ("images labels = ?", "[]"),
    ("images labels = ?", "{"),
    ("images labels = ?", b"{}"),
    ("images labels = CAST(x'7b22ff223a2261227d' AS TEXT)", None),
    ("images predicted = ?", "[" * 100_000),
    ("images predicted = ?", '{"colour": {"valqe": "c1", "p": 0.5}}'),
    ("images predicted = ?", '{"colour": "c1"}'),
    ("images predicted = ?", P % "7"),
    ("images predicted = ?", P % "-0.1"),
    ("images predicted = ?", P % "NaN"),
    ("images predicted = ?", P % "true"),
    ("images predicted = CAST(x'7b22ff223a2261227d' AS TEXT)", None),
    ("embeddings digest = ?", "zz"),
    ("embeddings digest = ?", b"5" * 64),
    ("embeddings digest = CAST(x'ff' AS TEXT)", None),
    ("embeddings vector = ?", b"short"),
    ("embeddings vector = ?", "text"),
    ("embeddings vector = ?", flipped(0)),
    ("embeddings vector_key = ?", 5),
]
# A negative id is met by whoever looks for it: it is odd, and no damage.
SOUND = {("images id = ?", -3)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a gallery of nine images, each with bytes of its own."""
    rows = [a_row(f"/n{n:03}.jpg", "123456789"[n]) for n in range(9)]
    return make_gallery(tmp_path / "source", rows)


@pytest.mark.parametrize(("change", "value"), SPOILS, ids=lambda each: repr(each)[:50])
def test_verify_export_and_merge_agree(
    source: Path, tmp_path: Path, change: str, value: object
) -> None:
    """What one of them finds all find; the line names the source, and nothing is written."""
    spoil(source, change, value)
    target = make_gallery(tmp_path / "target", [a_row("/mine", "a")])
    report = verify_gallery(source)
    assert report.sound == ((change, value) in SOUND)
    if report.sound:
        assert export_gallery(source, tmp_path / "out.jsonl").images == 9
        assert merge_galleries([source], target).added == 9
        return
    calls: list[Callable[[], object]] = [
        partial(export_gallery, source, tmp_path / f"out.{form}") for form in EXCHANGE_FORMATS
    ]
    calls += [partial(merge_galleries, [source], target, on_conflict=policy) for policy in POLICIES]
    for call in calls:
        with pytest.raises(GalleryCorruptError, match=str(source)) as caught:
            call()
        said = str(caught.value)
        assert "\n" not in said
        assert len(said) < 1000
        assert SPOILT in said or "image 5" in said or "/a\0b" in said or "rel is damaged" in said
    assert list(tmp_path.glob("out*")) == []
    assert list(rows_of(target)) == ["/mine"]


def test_damage_to_a_late_row_stops_a_merge_before_its_first_commit(tmp_path: Path) -> None:
    """A source is looked through before anything is written, whatever the policy."""
    rows = [a_row(f"/n{n:03}.jpg", "5" if n == 4 else "1") for n in range(600)]
    good = make_gallery(tmp_path / "good", [a_row("/a"), *rows[5:]])
    bad = make_gallery(tmp_path / "bad", rows)
    spoil(bad, "embeddings vector = ?", flipped(6))
    target = make_gallery(tmp_path / "target")
    for policy in POLICIES:
        with pytest.raises(GalleryCorruptError, match=f"{bad}: the image {SPOILT} is damaged"):
            merge_galleries([good, bad], target, on_conflict=policy)
    assert rows_of(target) == {}


def test_an_index_at_odds_with_its_table_is_found_out(source: Path, tmp_path: Path) -> None:
    """A path that only the table has, or only the index, is neither exported nor merged."""
    with closing(sqlite3.connect(source / STORE_NAME)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = (source / STORE_NAME).read_bytes()
    places = [at for at in range(len(data)) if data.startswith(SPOILT.encode(), at)]
    assert len(places) == 2
    target = make_gallery(tmp_path / "target")
    for place in places:
        spoilt = bytearray(data)
        spoilt[place + 1] ^= 1
        (source / STORE_NAME).write_bytes(spoilt)
        assert not verify_gallery(source).sound
        with pytest.raises(GalleryCorruptError, match="row 5 missing from index"):
            export_gallery(source, tmp_path / "out.jsonl")
        with pytest.raises(GalleryCorruptError, match="row 5 missing from index"):
            merge_galleries([source], target)
    assert rows_of(target) == {}


def test_each_flaw_of_a_vector_has_its_code() -> None:
    """A naive look at one after the other gives the same codes as many at once."""
    good = vector_of(a_row("/a", "5"))
    blobs = [good.tobytes(), (good * 2).tobytes(), (good * float("nan")).tobytes(), b"", None]
    pairs = [(blob, vector_key(blob or b"") + odd) for blob in blobs for odd in (0, 1)]
    found = flaws_of_vectors(pairs, WIDTH)
    assert found == [flaws_of_vectors([pair], WIDTH)[0] for pair in pairs]
    assert found == [
        [], ["vector_changed"], ["vector_not_unit"], ["vector_changed", "vector_not_unit"],
        ["vector_not_finite"], ["vector_changed", "vector_not_finite"], *[["vector_length"]] * 4,
    ]  # fmt: skip
    assert {code for codes in found for code in codes} == set(VECTOR_FLAWS)
