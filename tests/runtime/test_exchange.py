"""Exchange files: what goes out comes in, to the last bit, and damage is refused as a whole."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.moving import MODEL, WIDTH, a_row, make_gallery, path_of, rows_of

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.errors import (
    ExchangeFileError,
    GalleryCorruptError,
    GalleryError,
    MissingExtraError,
    UsageError,
)
from boost_edge.runtime.exchange import EXCHANGE_FORMATS, Batch, End, ExchangeFormat, Header
from boost_edge.runtime.exchange_export import export_gallery
from boost_edge.runtime.exchange_import import import_gallery
from boost_edge.runtime.exchange_jsonl import read_jsonl, write_jsonl
from boost_edge.runtime.exchange_parquet import read_parquet, write_parquet
from boost_edge.runtime.exchange_rows import check_rows, row_from_json, row_to_json
from boost_edge.runtime.image_rows import STATES, ImageRow

formats = pytest.mark.parametrize("form", EXCHANGE_FORMATS)
HEADER = Header(created_with="tests", model_sha256=MODEL, dimensions=WIDTH, count=0)

names = st.binary(min_size=1, max_size=40).filter(lambda name: 0 not in name)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
large = st.integers(0, 2**63 - 1)
image_rows = st.builds(
    ImageRow,
    id=st.none(),
    path=names.map(path_of),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=large,
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    width=st.integers(1, 2**63 - 1),
    height=st.integers(1, 2**63 - 1),
    predicted=st.dictionaries(
        texts, st.builds(Prediction, value=texts, p=st.floats(0, 1)), max_size=3
    ),
    labels=st.dictionaries(texts, texts, max_size=3),
    state=st.sampled_from(STATES),
)
# Any bits at all, as long as the norm is 1: the sign of a zero and the smallest numbers too.
small = st.floats(-(2.0**-100), 2.0**-100, width=32) | st.sampled_from([0.0, -0.0, 0.125])
vectors = st.lists(small, min_size=WIDTH - 1, max_size=WIDTH - 1).map(
    lambda rest: np.array([np.sqrt(1 - sum(float(each) ** 2 for each in rest)), *rest], np.float32)
)


def written(form: ExchangeFormat, batches: list[Batch]) -> io.BytesIO:
    """Return an exchange file of some rows."""
    file = io.BytesIO()
    header = dataclasses.replace(HEADER, count=sum(map(len, batches)))
    (write_parquet if form == "parquet" else write_jsonl)(file, header, batches)
    return file


def read(form: ExchangeFormat, file: io.BytesIO) -> Batch:
    """Return the rows of an exchange file."""
    batches = (read_parquet if form == "parquet" else read_jsonl)(file, "file")
    return [pair for batch in batches for pair in batch]


@given(row=image_rows, vector=vectors)
def test_a_row_comes_back_from_json(row: ImageRow, vector: np.ndarray[Any, Any]) -> None:
    """Any row is one line of ASCII, and is read back as it was, to the last bit."""
    text = row_to_json(row, vector)
    assert text.isascii()
    assert "\n" not in text
    again, bits = row_from_json(json.loads(text), dimensions=WIDTH)
    assert again == row
    assert os.fsencode(again.path) == os.fsencode(row.path)
    assert bits.tobytes() == vector.tobytes()
    assert check_rows([again], bits[None]) is None


@pytest.mark.parametrize("labels", [{"a": 1}, {"a": None}, {1: "a"}, ["a"]], ids=str)
def test_a_row_whose_labels_are_no_text_has_a_flaw(labels: Any) -> None:
    """A gallery that an earlier version let such labels into is not exported or merged."""
    vector = np.eye(WIDTH, dtype=np.float32)[:1]
    row = a_row("/a.png", labels=labels)
    found = check_rows([a_row("/b.png", labels={"a": "1"}), row], np.repeat(vector, 2, axis=0))
    assert found is not None
    assert found[0] == 1
    assert "label" in found[1]


@formats
@settings(deadline=None, max_examples=40)
@given(batch=st.lists(st.tuples(image_rows, vectors), max_size=5))
def test_a_file_comes_back(form: ExchangeFormat, batch: Batch) -> None:
    """Any rows come back in their order from both forms, to the last bit."""
    found = read(form, written(form, [batch]))
    assert [row for row, _ in found] == [row for row, _ in batch]
    assert [v.tobytes() for _, v in found] == [v.tobytes() for _, v in batch]


def test_json_lines_can_be_read_without_us() -> None:
    """The document's words are enough: base64 of little-endian floats, sha256 of all before."""
    row = a_row(path_of(b"caf\xc3\xa9.png"), labels={"season": "Summer"})
    odd = a_row(path_of(b"\xff.png"))
    vector = np.zeros(WIDTH, np.float32)
    vector[:2] = 0.6, -0.8
    data = written("jsonl", [[(row, vector), (odd, vector)]]).getvalue()
    header, first, second, end = map(json.loads, data.splitlines())
    assert header == {
        "format": "boost-edge gallery", "format_version": 1, "created_with": "tests",
        "model_sha256": MODEL, "dimensions": WIDTH, "count": 2,
    }  # fmt: skip
    assert first["path"] == "/café.png"
    assert base64.b64decode(second["path_base64"]) == b"/\xff.png"
    assert "path" not in second
    assert (first["labels"], first["state"], first["size"]) == ({"season": "Summer"}, "live", 110)
    unpacked = struct.unpack(f"<{WIDTH}f", base64.b64decode(first["vector"]))
    assert unpacked[:3] == (np.float32(0.6), np.float32(-0.8), 0)
    before = data[: data.rindex(b'{"end"')]
    said = {"bytes": len(before), "sha256": hashlib.sha256(before).hexdigest()}
    assert end == {"end": said}


def test_parquet_can_be_read_without_us() -> None:
    """Plain columns, metadata in JSON, and a checksum of all that is before the footer."""
    import pyarrow.parquet as parquet

    row = a_row(path_of(b"\xff.png"), labels={"season": "Summer"})
    vector = np.eye(WIDTH, dtype=np.float32)[0]
    # More than one group of rows.
    pairs = [(dataclasses.replace(row, path=f"/{n}"), vector) for n in range(5000)]
    file = written("parquet", [[(row, vector)], pairs])
    table: Any = parquet.ParquetFile(file)
    assert table.metadata.num_row_groups > 1
    first = table.read_row_group(0).slice(0, 1).to_pylist()[0]
    assert first["path"] == b"/\xff.png"
    assert json.loads(first["labels"]) == {"season": "Summer"}
    assert first["vector"] == vector.tolist()
    metadata = table.metadata.metadata
    assert json.loads(metadata[b"boost_edge.exchange"])["count"] == 5001
    data = file.getvalue()
    footer = int.from_bytes(data[-8:-4], "little")
    before = data[: len(data) - 8 - footer]
    said = {"bytes": len(before), "sha256": hashlib.sha256(before).hexdigest()}
    assert json.loads(metadata[b"boost_edge.end"]) == said
    assert len(read("parquet", file)) == 5001


@pytest.mark.parametrize("dimensions", [2**31, 2**63])
def test_a_width_that_no_column_has(tmp_path: Path, dimensions: int) -> None:
    """A footer that claims one that Arrow cannot even express is damage like any other."""
    import pyarrow.parquet as parquet

    whole: Any = parquet.ParquetFile(written("parquet", [[(a_row("/a"), np.eye(WIDTH)[0])]]))
    header = dataclasses.asdict(dataclasses.replace(HEADER, count=1, dimensions=dimensions))
    end = dataclasses.asdict(End(bytes=1, sha256=""))
    said = {"boost_edge.exchange": json.dumps(header), "boost_edge.end": json.dumps(end)}
    file = tmp_path / "a.parquet"
    parquet.write_table(whole.read().replace_schema_metadata(said), file)
    gallery = make_gallery(tmp_path / "gallery")
    with pytest.raises(ExchangeFileError, match="is damaged, or no exchange file") as caught:
        import_gallery(file, gallery)
    assert "\n" not in str(caught.value)


def sealed(lines: list[bytes]) -> bytes:
    """Return an exchange file of some lines with the right end."""
    before = b"".join(line + b"\n" for line in lines)
    said = {"bytes": len(before), "sha256": hashlib.sha256(before).hexdigest()}
    return before + json.dumps({"end": said}).encode() + b"\n"


def edited(**changes: Any) -> bytes:
    """Return a well-formed file whose second row has some values changed; None removes one."""
    record = json.loads(row_to_json(a_row("/b"), np.eye(WIDTH, dtype=np.float32)[0]))
    record = {name: each for name, each in (record | changes).items() if each is not None}
    header = json.dumps(dataclasses.asdict(dataclasses.replace(HEADER, count=2)))
    good = row_to_json(a_row("/a"), np.eye(WIDTH, dtype=np.float32)[0])
    return sealed([header.encode(), good.encode(), json.dumps(record).encode()])


def packed(*numbers: float) -> str:
    """Return a vector that starts with some numbers."""
    vector = np.zeros(WIDTH, "<f4")
    vector[: len(numbers)] = numbers
    return base64.b64encode(vector.tobytes()).decode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "b"}, "line 3: its path is not absolute"),
        ({"path": "/b\0"}, "its path is not absolute"),
        ({"path": "/\ud800"}, "line 3"),
        ({"path": None}, "path is None"),
        ({"path_base64": "Lw=="}, "unknown keys: path"),
        ({"path": None, "path_base64": "!"}, "line 3"),
        ({"digest": "A" * 64}, "digest is not"),
        ({"digest": 7}, "digest is not"),
        ({"size": -1}, "size is -1"),
        ({"size": True}, "size is True"),
        ({"mtime_ns": 2**63}, "mtime_ns is"),
        ({"width": 0}, "width is 0"),
        ({"height": 1.5}, "height is 1.5"),
        ({"state": "odd"}, "state is 'odd'"),
        ({"labels": {"a": 1}}, "labels.a is 1"),
        ({"labels": []}, "labels is not an object"),
        ({"labels": {"a": "b\udcff"}}, r"label 'a' is 'b\\udcff': it holds NUL or half of a"),
        ({"labels": {"a\ud800": "b"}}, r"label 'a\\ud800' is 'b': it holds NUL or half of a"),
        ({"labels": {"a": "b\0"}}, r"label 'a' is 'b\\x00': it holds NUL or half of a"),
        ({"predicted": {"a": {"value": "\udcff", "p": 1}}}, "predicted 'a' is '.udcff': it holds"),
        ({"predicted": {"a": "b"}}, "predicted.a is not an object"),
        ({"predicted": {"a": {"value": "b", "p": float("nan")}}}, "predicted a is nan"),
        ({"predicted": {"a": {"value": "b", "p": 7}}}, "predicted a is 7.0"),
        ({"predicted": {"a": {"value": "b", "p": -0.5}}}, "predicted a is -0.5"),
        ({"predicted": {"a": {"value": "b", "p": 10**400}}}, "predicted.a.p is too large"),
        ({"predicted": {"a": {"value": "b", "p": True}}}, "predicted.a.p is True"),
        ({"predicted": {"a": {"value": 1, "p": 0.5}}}, "predicted.a.value is 1"),
        ({"predicted": {"a": {"value": "b", "q": 0.5}}}, "missing or unknown keys: p, q"),
        ({"vector": None}, "missing or unknown keys: vector"),
        ({"vector": "AAAA"}, "vector has 3 bytes, not 64"),
        ({"vector": packed(float("nan"))}, "line 3: its vector is not finite"),
        ({"vector": packed(float("inf"))}, "its vector is not finite"),
        ({"vector": packed(1.1)}, "not finite and of norm 1 or 0"),
        ({"extra": 1}, "missing or unknown keys: extra"),
        ({"path": "/a"}, "the path /a comes twice"),
    ],
)
def test_a_bad_row_refuses_the_file(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """One row that no gallery may hold, and nothing is written, though the checksum is right."""
    gallery = make_gallery(tmp_path / "gallery")
    with pytest.raises(ExchangeFileError, match=message) as caught:
        import_gallery(io.BytesIO(edited(**changes)), gallery)
    assert "\n" not in str(caught.value)
    assert rows_of(gallery) == {}


def test_a_good_edit_is_taken(tmp_path: Path) -> None:
    """What other programs write is taken where it is right; a vector may be 0."""
    gallery = make_gallery(tmp_path / "gallery")
    zero = edited(digest="0" * 64, vector=packed(), path="/\u00e9")
    assert import_gallery(io.BytesIO(zero), gallery).added == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (b"[]\n", "line 1 is not a JSON object"),
        (b"\xff\n", "line 1 is not JSON"),
        (b"{}\n", "missing or unknown keys"),
        (b'{"format_version": 2}\n', "exchange format 2 is not known"),
        (edited()[:-1], "cut off in line 4"),
        (edited() + b"\n", "something follows its end"),
        (b"".join(edited().splitlines(keepends=True)[:-1]), "cut off"),
        (sealed(edited().splitlines()[:-2]), "1 rows, not 2"),
        (edited().replace(b'"bytes": ', b'"bytes": 1'), "checksum"),
    ],
)
def test_what_is_no_exchange_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """Another file, a part of one, or more than one is refused in one line."""
    gallery = make_gallery(tmp_path / "gallery")
    with pytest.raises(ExchangeFileError, match=message) as caught:
        import_gallery(io.BytesIO(data), gallery)
    assert "\n" not in str(caught.value)
    assert rows_of(gallery) == {}


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """Return a gallery of 300 images, more than one batch, with odd paths and deleted ones."""
    rows = [
        a_row(
            path_of(b"%03d\xff.png" % number),
            "0123456789abcdef"[number % 16],
            labels={"n": str(number % 3)} if number % 2 else {},
            state="deleted" if number % 50 == 0 else "live",
        )
        for number in range(300)
    ]
    random.Random(0).shuffle(rows)  # noqa: S311 - an order, not a secret
    return make_gallery(tmp_path / "some", rows)


@formats
@pytest.mark.parametrize("deleted", [True, False])
def test_a_gallery_comes_back(
    some: Path, tmp_path: Path, form: ExchangeFormat, deleted: bool
) -> None:
    """All rows, in their order, with equal vectors; a second time changes nothing."""
    file = tmp_path / f"some.{form}"
    seen: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    report = export_gallery(some, file, deleted=deleted, progress=note)
    expected = {path: row for path, row in rows_of(some).items() if deleted or row.state == "live"}
    assert (report.images, report.deleted) == (len(expected), 6 if deleted else 0)
    assert seen[-1] == ("export", len(expected), len(expected))
    target = make_gallery(tmp_path / "target")
    done = import_gallery(file, target)
    assert (done.added, done.images) == (len(expected), 294)
    assert list(rows_of(target).items()) == list(expected.items())
    again = import_gallery(file, target)
    assert (again.added, again.unchanged, again.conflicts) == (0, len(expected), 0)
    other = tmp_path / f"again.{form}"
    export_gallery(target, other, deleted=deleted)
    assert other.read_bytes() == file.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == sorted(
        [file.name, other.name]
    )


@formats
@pytest.mark.parametrize("where", ["anywhere", "end", "cut"])
def test_damage_anywhere_is_refused(
    some: Path, tmp_path: Path, form: ExchangeFormat, where: str
) -> None:
    """A flipped bit or a lost end writes nothing, or is where it changes nothing at all."""
    file, spoilt = tmp_path / f"some.{form}", tmp_path / f"spoilt.{form}"
    export_gallery(some, file)
    whole = file.read_bytes()
    target = make_gallery(tmp_path / "target", [a_row("/other")])
    before = rows_of(target)
    dice = random.Random(len(whole))  # noqa: S311 - places, not secrets
    said: list[str] = []
    harmless = 0
    for number in range(60):
        place = dice.randrange(len(whole) - 4096 if where == "end" else 0, len(whole))
        data = bytearray(whole)
        data[place] ^= 1 << dice.randrange(8)
        spoilt.write_bytes(whole[:place] if where == "cut" else data)
        try:
            import_gallery(spoilt, target)
        except ExchangeFileError as error:
            said.append(str(error))
            assert rows_of(target) == before
        else:
            assert rows_of(target) == before | {
                path: row for path, row in rows_of(some).items() if row.state == "live"
            }
            harmless += 1
            target = make_gallery(tmp_path / f"target{number}", [a_row("/other")])
    refused = len(said)
    assert not any("\n" in each for each in said)
    # The footer of Parquet names its writer, and more that no row depends on.
    assert refused == 60 or (form == "parquet" and where != "cut")
    assert refused > 30
    print(f"{form} {where}: {refused} refused, {harmless} harmless")  # noqa: T201 - for the record


def test_what_a_row_may_not_be_is_not_exported(tmp_path: Path) -> None:
    """A damaged gallery is not exported, and an older file at the place stays."""
    gallery = make_gallery(tmp_path / "gallery", [a_row("/good"), a_row("relative")])
    out = tmp_path / "out.jsonl"
    out.write_text("older")
    with pytest.raises(GalleryCorruptError, match=r"relative is damaged .its path.*verify"):
        export_gallery(gallery, out)
    assert out.read_text() == "older"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gallery", "out.jsonl"]


def test_the_suffix_says_the_format(some: Path, tmp_path: Path) -> None:
    """Another suffix needs to be told; what is told counts."""
    with pytest.raises(UsageError, match=r"neither in \.jsonl nor in \.parquet"):
        export_gallery(some, tmp_path / "some.txt")
    export_gallery(some, tmp_path / "some.txt", format="jsonl")
    export_gallery(some, tmp_path / "some.JSONL")
    assert (tmp_path / "some.txt").read_bytes() == (tmp_path / "some.JSONL").read_bytes()
    assert export_gallery(some, tmp_path / "a.parquet").format == "parquet"
    with pytest.raises(UsageError, match="is not one of jsonl, parquet"):
        export_gallery(some, tmp_path / "a", format="csv")  # type: ignore[arg-type]


def test_where_nothing_can_be_written(some: Path, tmp_path: Path) -> None:
    """A folder, and a folder that is not there, are one line each."""
    with pytest.raises(GalleryError, match="is a folder"):
        export_gallery(some, tmp_path, format="jsonl")
    nowhere = tmp_path / "no" / "a.jsonl"
    with pytest.raises(GalleryError, match=f"cannot be written: there is no folder {tmp_path}/no"):
        export_gallery(some, nowhere)
    assert not nowhere.parent.exists()
    with pytest.raises(GalleryError, match=r"File name too long: nothing was written: choose"):
        export_gallery(some, tmp_path / f"{'n' * 250}.jsonl")
    with pytest.raises(UsageError, match="no gallery"):
        export_gallery(tmp_path / "no", tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match="no such file"):
        import_gallery(tmp_path / "no.jsonl", some)
    for named in (None, "jsonl"):
        with pytest.raises(UsageError, match="is a folder: give the file"):
            import_gallery(tmp_path, some, format=named)


def test_parquet_needs_its_extra(
    some: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, JSON lines work and Parquet names the pip command."""
    export_gallery(some, tmp_path / "some.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for call in (
        lambda: export_gallery(some, tmp_path / "other.parquet"),
        lambda: import_gallery(tmp_path / "some.parquet", some),
    ):
        forbidden: Callable[[], object] = call
        with pytest.raises(MissingExtraError, match=r"pip install 'boost-edge\[parquet\]'"):
            forbidden()
    assert not (tmp_path / "other.parquet").exists()
    export_gallery(some, tmp_path / "some.jsonl")
