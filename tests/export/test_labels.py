"""The label table: formats, images, attributes, and one clear line for everything wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.label_files import read_table
from boost_edge.export.labels import LabelTable, read_cells, read_labels
from boost_edge.runtime.errors import LabelTableError, MissingExtraError, UsageError

pa: Any = pytest.importorskip("pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet")

_GOOD = "file_name,colour,kind\n1.jpg,red,shirt\n2.jpg,blue,shoe\n3.jpg,red,shoe\n4.jpg,NA,shirt\n"
_ROWS: list[dict[str, Any]] = [
    {"file_name": "1.jpg", "colour": "red", "price": 9, "new": True},
    {"file_name": "2.jpg", "colour": "blue", "price": 7.5, "new": False},
    {"file_name": "3.jpg", "colour": "red", "price": 9.0, "new": True},
    {"file_name": "4.jpg", "colour": None, "price": None, "new": False},
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with the empty files 1.jpg to 9.jpg."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(1, 10):
        (folder / f"{number}.jpg").touch()
    return folder


def _write(images: Path, content: str | bytes, name: str = "labels.csv") -> Path:
    path = images.parent / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _read(images: Path, content: str | bytes, **options: Any) -> LabelTable:
    return read_labels(_write(images, content), images=images, **options)


def _refused(images: Path, content: str | bytes, **options: Any) -> str:
    """Return the one line that refuses a CSV file, which must name the file."""
    with pytest.raises(LabelTableError) as caught:
        _read(images, content, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(images.parent / "labels.csv"))
    return message


def _labels(table: LabelTable) -> dict[str, dict[str, str | None]]:
    """Undo the codes, one by one."""
    return {
        name: {
            attribute.name: attribute.values[code] if code >= 0 else None
            for attribute, code in zip(table.attributes, codes, strict=True)
        }
        for name, codes in zip(table.names, table.codes.tolist(), strict=True)
    }


# --- what is read


def test_csv_is_coded_with_unknown_cells_masked(images: Path) -> None:
    """Each known cell's code points at its value among the sorted values; unknown is -1."""
    table = _read(images, _GOOD)
    assert [(each.name, each.values) for each in table.attributes] == [
        ("colour", ("blue", "red")),
        ("kind", ("shirt", "shoe")),
    ]
    assert table.codes.dtype == np.int64
    assert table.codes.tolist() == [[1, 0], [0, 1], [1, 1], [-1, 0]]
    assert table.names == ("1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert table.paths == tuple(images / name for name in table.names)
    assert table.columns["colour"] == ("red", "blue", "red", "NA")
    assert (table.split, table.missing, table.duplicates) == (None, (), 0)
    assert len(table) == 4


@pytest.mark.parametrize("cell", ["", "  ", "NA", "na", "N/A", "n/a", "NaN", "nan", "NULL", "null"])
def test_unknown_spellings_are_masked(images: Path, cell: str) -> None:
    """Every spelling of "unknown" is masked, never a value of its own."""
    table = _read(images, f"file_name,kind\n1.jpg,a\n2.jpg,b\n3.jpg,a\n4.jpg,b\n5.jpg,{cell}\n")
    assert table.attributes[0].values == ("a", "b")
    assert table.codes[4, 0] == -1


def test_the_word_none_is_a_value(images: Path) -> None:
    """The text None is a label (a pattern can be none); only JSON's null is unknown."""
    table = _read(images, "file_name,pattern\n1.jpg,None\n2.jpg,dots\n", attributes=["pattern"])
    assert table.attributes[0].values == ("None", "dots")


def test_blanks_marks_quotes_and_blank_lines_are_handled(images: Path) -> None:
    """A UTF-8 mark, CRLF, blanks around cells, quoted commas and blank lines change nothing."""
    odd = (
        '\ufefffile_name , colour,"kind"\r\n1.jpg, red,"shirt"\r\n\r\n2.jpg,blue,shoe\r\n'
        '3.jpg,red,shoe\r\n"4.jpg",NA,shirt\r\n\r\n'
    )
    assert _labels(_read(images, odd)) == _labels(_read(images, _GOOD))
    quoted = _read(images, 'file_name,a\n1.jpg,"x, ""y"""\n2.jpg,"two\nlines"\n', attributes=["a"])
    assert quoted.columns["a"] == ('x, "y"', "two\nlines")


def test_three_formats_give_the_same_table(images: Path) -> None:
    """CSV, JSON Lines and Parquet of the same rows are the same table but for the digest."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_ROWS[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {**row, "new": str(row["new"]).lower(), "price": "9" if row["price"] == 9 else row["price"]}
        for row in _ROWS
    )
    lines = "".join(json.dumps(row) + "\n" for row in _ROWS)
    parquet = images.parent / "labels.parquet"
    pq.write_table(pa.Table.from_pylist(_ROWS), parquet)
    paths = [_write(images, text.getvalue()), _write(images, lines, "l.JSONL"), parquet]
    tables = [
        read_labels(path, images=images, attributes=["new", "colour", "price"]) for path in paths
    ]
    for table in tables:
        assert _labels(table) == _labels(tables[0])
        assert table.columns == tables[0].columns
    assert tables[0].columns["price"] == ("9", "7.5", "9", "")
    assert tables[0].columns["new"] == ("true", "false", "true", "false")
    assert len({table.sha256 for table in tables}) == 3


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"])),
            st.sampled_from(["red", "blue"]),
        ),
        min_size=1,
    )
)
def test_any_text_survives_csv_and_json(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    """Whatever text stands in a cell comes back, but for the blanks around it."""
    folder = tmp_path_factory.mktemp("any")
    rows = [("file_name", "text", "colour")] + [
        (f"{number}.jpg", *row) for number, row in enumerate(cells)
    ]
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    records = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    (folder / "a.jsonl").write_text(
        "\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8"
    )
    for name in ("a.csv", "a.jsonl"):
        table = read_table(folder / name)
        assert table.columns == rows[0]
        assert table.rows == tuple(tuple(cell.strip() for cell in row) for row in rows[1:])


def test_jsonl_keys_may_be_absent_and_null(images: Path) -> None:
    """An absent key and null are both unknown, in whatever line the key first appears."""
    lines = (
        '{"file_name": "1.jpg", "a": "x"}\n{"b": "u", "file_name": "2.jpg", "a": null}\n\n'
        '{"file_name": "3.jpg", "a": "y", "b": "v"}'
    )
    path = _write(images, lines, "labels.jsonl")
    assert _labels(read_labels(path, images=images, attributes=["a", "b"])) == {
        "1.jpg": {"a": "x", "b": None},
        "2.jpg": {"a": None, "b": "u"},
        "3.jpg": {"a": "y", "b": "v"},
    }


# --- which image


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".webp", ".JPG"])
def test_an_id_names_an_image_without_its_suffix(images: Path, suffix: str) -> None:
    """An id finds <id> with any of the usual suffixes, even where a file <id> exists."""
    (images / "77").touch()
    (images / f"77{suffix}").touch()
    table = _read(images, "id,a\n77,x\n1,y\n", attributes=["a"])
    assert table.image_column == "id"
    assert table.paths == (images / f"77{suffix}", images / "1.jpg")


def test_file_name_goes_before_id_and_the_given_column_before_both(images: Path) -> None:
    """The image column is the given one, else file_name, else id."""
    text = "photo,id,file_name,a\n3,2,1.jpg,x\n6.jpg,5,4.jpg,y\n"
    assert _read(images, text, attributes=["a"]).names == ("1.jpg", "4.jpg")
    given = _read(images, text, attributes=["a"], image_column="photo")
    assert given.paths == (images / "3.jpg", images / "6.jpg")


def test_images_in_subfolders_and_missing_ones_are_told_apart(images: Path) -> None:
    """A name may have folders; a missing image is listed as written and is in no other field."""
    (images / "deep" / "er").mkdir(parents=True)
    (images / "deep" / "er" / "x.png").touch()
    (images / "folder.jpg").mkdir()
    (images / "loop.jpg").symlink_to("loop.jpg")
    text = (
        "file_name,a\ndeep/er/x.png,u\n1.jpg,v\n0.jpg,w\nno/y.jpg,u\nfolder.jpg,u\nloop.jpg,u\n"
        "0.jpg,w\n"
    )
    table = _read(images, text, attributes=["a"])
    assert table.names == ("deep/er/x.png", "1.jpg")
    assert table.paths == (images / "deep/er/x.png", images / "1.jpg")
    assert table.missing == ("0.jpg", "no/y.jpg", "folder.jpg", "loop.jpg")
    assert table.attributes[0].values == ("u", "v")
    assert table.columns == {"a": ("u", "v")}


@pytest.mark.parametrize("name", ["../images/1.jpg", "/1.jpg", "a/../../x.jpg", ".", "./"])
def test_an_image_outside_the_folder_is_refused(images: Path, name: str) -> None:
    """A name that leads out of the image folder, or to the folder itself, is refused."""
    message = _refused(images, f"file_name,a\n1.jpg,x\n{name},y\n")
    assert f"line 3: image {name!r} " in message


def test_a_folder_that_cannot_be_listed_is_refused(images: Path) -> None:
    """Trouble with a folder is told, not taken for missing images."""
    path = _write(images, f"file_name,a\n1.jpg,x\n{'d' * 300}/2.jpg,y\n")
    with pytest.raises(LabelTableError, match="cannot be listed"):
        read_labels(path, images=images)


def test_a_blank_image_cell_is_refused(images: Path) -> None:
    """A row that names no image is an error with its line, not a missing image."""
    assert "line 3: the image column id is blank" in _refused(images, "id,a\n1,x\n ,y\n")


def test_no_image_at_all_is_refused(images: Path) -> None:
    """When not one image is found, the folder or the column is wrong."""
    message = _refused(images, "id,a\nx,u\ny,v\n")
    assert "none of its 2 images" in message
    assert "--image-column" in message


def test_an_image_folder_that_is_none_is_refused(images: Path) -> None:
    """An image folder that does not exist is a wrong argument, not a wrong table."""
    path = _write(images, _GOOD)
    with pytest.raises(UsageError, match="--images"):
        read_labels(path, images=images / "no")


def test_equal_rows_collapse_and_are_counted(images: Path) -> None:
    """A row that repeats image and labels is left out, however it spells name and unknown."""
    text = _GOOD + "./4.jpg,n/a,shirt\n1.jpg,red,shirt\n1.jpg,red,shirt\n"
    table = _read(images, text)
    assert table.duplicates == 3
    assert _labels(table) == _labels(_read(images, _GOOD))


def test_conflicting_rows_are_refused(images: Path) -> None:
    """Two rows that give one image different labels are an error with both lines."""
    message = _refused(images, _GOOD + "5.jpg,red,shoe\n2.jpg,blue,shirt\n")
    assert "2.jpg stands on line 3 and line 7 with different kind" in message
    message = _refused(images, "file_name,a,split\n1.jpg,x,train\n2.jpg,y,val\n1.jpg,x,test\n")
    assert "line 2 and line 4 with different split" in message


# --- which attributes


def test_default_attributes_are_the_categorical_columns(images: Path) -> None:
    """Numbers, constants, unknown columns, names and the split are no default attributes."""
    rows = [
        f"{n}.jpg,{'ab'[n % 2]},{2010 + n % 2},{n},Nice thing {n},same,NA,train"
        for n in range(1, 9)
    ]
    text = "file_name,kind,year,row,title,one,none,split\n" + "\n".join(rows)
    assert [each.name for each in _read(images, text).attributes] == ["kind"]
    asked = _read(images, text, attributes=["year", "kind"])
    assert [each.name for each in asked.attributes] == ["year", "kind"]


def test_no_default_attribute_is_refused(images: Path) -> None:
    """When no column looks like an attribute, the message lists the columns to choose from."""
    message = _refused(images, "file_name,year\n1.jpg,1\n2.jpg,2\n")
    assert "--attributes" in message
    assert "file_name, year" in message


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (["color"], "has no column color (--attributes): did you mean colour?"),
        (["Kind"], "did you mean kind?"),
        (["zzz"], "its columns are file_name, colour, kind, one, none"),
        (["one"], "attribute one has one value only ('x')"),
        (["none"], "attribute none is unknown (blank or NA) in every row"),
        (["kind", "kind"], "names kind twice"),
        (["file_name"], "names file_name though it is no label"),
        ([], "--attributes names no column"),
    ],
)
def test_unusable_attributes_are_refused(
    images: Path, attributes: list[str], expected: str
) -> None:
    """An attribute that is absent, or from which nothing can be learnt, is named."""
    text = "file_name,colour,kind,one,none\n1.jpg,red,a,x,NA\n2.jpg,blue,b,,\n3.jpg,red,b,x,NA\n"
    assert expected in _refused(images, text, attributes=attributes)


def test_too_many_values_are_refused_when_asked_for_and_left_out_else(images: Path) -> None:
    """``max_values`` bounds what is chosen by default and what may be asked for."""
    assert "has 2 values, more than 1" in _refused(images, _GOOD, attributes=["kind"], max_values=1)
    text = "file_name,a,b\n" + "".join(f"{n}.jpg,{n % 2},{'xyzw'[n % 4]}\n" for n in range(1, 9))
    assert "no column looks like" in _refused(images, text, max_values=3)


def test_one_value_because_the_other_image_is_missing_is_refused(images: Path) -> None:
    """Only rows whose image exists count as values."""
    message = _refused(images, "id,a\n1,x\n2,x\n0,y\n", attributes=["a"])
    assert "attribute a has one value only" in message


def test_wrong_image_column_suggests_the_nearest(images: Path) -> None:
    """An image column that is absent is answered with the nearest names."""
    assert "did you mean file_name?" in _refused(images, _GOOD, image_column="filename")


# --- the split column


def test_split_cells_are_read_in_every_spelling(images: Path) -> None:
    """Val, valid and validation are one part; case does not matter."""
    cells = ["train", "Training", "val", "VALID", "validation", "Test"]
    rows = "".join(f"{n}.jpg,{'xy'[n % 2]},{cell}\n" for n, cell in enumerate(cells, start=1))
    table = _read(images, "file_name,a,split\n" + rows)
    assert table.split == ("train", "train", "val", "val", "val", "test")
    assert [each.name for each in table.attributes] == ["a"]


def test_an_empty_split_column_is_none(images: Path) -> None:
    """A split column without any cell filled in is no split."""
    assert _read(images, "file_name,a,split\n1.jpg,x,\n2.jpg,y,\n", attributes=["a"]).split is None


@pytest.mark.parametrize(("cell", "said"), [("holdout", "'holdout'"), ("", "blank")])
def test_unknown_split_values_are_refused(images: Path, cell: str, said: str) -> None:
    """A part that is not train, val or test, or a gap among them, is an error with its line."""
    message = _refused(images, f"file_name,a,split\n1.jpg,x,train\n2.jpg,y,{cell}\n")
    assert f"line 3: split is {said}" in message


# --- files that cannot be used


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b'""\n', "column 1 of the header has no name"),
        (b"file_name,a\n", "has no rows below its header"),
        (b"file_name,a\n1.jpg,x\n2.jpg,y,z\n", "line 3 has 3 cells, but the header has 2: "),
        (b"file_name,a\n1.jpg\n2.jpg,y\n3,4,5\n", "line 2 has 1 cells, but the header has 2 (and"),
        (b"file_name,a,a\n1.jpg,x,y\n", "column a stands twice"),
        (b",file_name,a\n0,1.jpg,x\n", "column 1 of the header has no name"),
        (b"file_name;a\n1.jpg;x\n", "separated by ';'"),
        (b"name,colour\n1.jpg,x\n", "no column names the images"),
        (
            b'file_name,a\n1.jpg,x\n2.jpg,"y\n3.jpg,x\n',
            "row that starts on line 3 is not valid CSV",
        ),
        (b'file_name,a\n1.jpg,"x"y\n', "row that starts on line 2 is not valid CSV"),
        (_GOOD.encode("utf-16"), "is UTF-16: save the table as UTF-8"),
        (_GOOD.encode("utf-32"), "is UTF-32: save the table as UTF-8"),
        (_GOOD.encode("utf-16-le"), "line 1 holds a NUL character"),
        ("file_name,a\n1.jpg,beige\n2.jpg,rosé\n".encode("latin-1"), "line 3 is not UTF-8 (byte"),
    ],
)
def test_unusable_csv_is_refused_in_one_line(images: Path, content: bytes, expected: str) -> None:
    """Every kind of damage to a CSV file is told with its line and what to do."""
    assert expected in _refused(images, content)


def test_the_offset_of_a_wrong_byte_is_that_in_the_file(images: Path) -> None:
    """The byte that is not UTF-8 is shown with its value and its place."""
    message = _refused(images, b"\xef\xbb\xbffile_name,a\n1.jpg,ros\xe9\n")
    assert "line 2 is not UTF-8 (byte 0xe9 at offset 24)" in message


def test_many_ragged_rows_are_named_at_once(images: Path) -> None:
    """All ragged rows are counted and the first ones named, so that one look repairs them."""
    text = "file_name,a\n" + "".join(f"{n}.jpg,x,y\n" for n in range(1, 10))
    assert "line 2 has 3 cells, but the header has 2 (and 8 more rows: 3, 4, 5, 6, 7, ...)" in (
        _refused(images, text)
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('{"file_name": "1.jpg"}\n{"file_name": }\n', "line 2 is not one JSON object"),
        ('{"file_name": "1.jpg"}\n\n[1, 2]\n', "line 3 is not a JSON object"),
        ('{"file_name": "1.jpg", "a": ["x"]}\n', "line 1: column a holds a list"),
        ('{"file_name": "1.jpg", "a": {"b": 1}}\n', "line 1: column a holds a list, an object"),
        ('{"file_name": "1.jpg", "a": 1, "a": 2}\n', "a key stands twice"),
        ('{"file_name": "1.jpg", "a": "x\\u0000"}\n', "line 1: column a holds a character"),
        ('{"file_name": "1.jpg", "a": "\\ud800"}\n', "line 1: column a holds a character"),
        ('{"a\\nb": "1.jpg"}\n', "the name of column 1, 'a\\nb', holds"),
        ('{"\\ud800": "1.jpg"}\n', "the name of column 1, '\\ud800', holds"),
        ('{"": "1.jpg"}\n', "column 1 of the header has no name"),
        ('{"a": "x", " a": "y"}\n', "a key stands twice"),
        ("{}\n", "no column names the images"),
        ("[" * 100_000 + "\n", "line 1 is not one JSON object"),
    ],
)
def test_unusable_jsonl_is_refused_in_one_line(images: Path, lines: str, expected: str) -> None:
    """Every kind of damage to a JSON Lines file is told with its line."""
    path = _write(images, lines, "labels.jsonl")
    with pytest.raises(LabelTableError) as caught:
        read_labels(path, images=images)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"file_name": ["1.jpg", "2.jpg"], "a": [["x"], None]}, "row 1: column a holds a list"),
        ({"file_name": ["1.jpg", None], "a": ["x", "y"]}, "row 2: the image column file_name is"),
        ({"file_name": [], "a": []}, "has no rows"),
        ({"x": ["1.jpg"]}, "no column names the images"),
    ],
)
def test_unusable_parquet_is_refused_in_one_line(
    images: Path, columns: Mapping[str, Sequence[Any]], expected: str
) -> None:
    """Every kind of unusable Parquet table is told with its row."""
    path = images.parent / "labels.parquet"
    pq.write_table(pa.table(dict(columns)), path)
    with pytest.raises(LabelTableError) as caught:
        read_labels(path, images=images)
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", [b"PAR1 no", b"file_name,a\n1.jpg,x\n"])
def test_a_damaged_parquet_file_is_refused_in_one_line(images: Path, content: bytes) -> None:
    """A file that only claims to be Parquet is told so, without pyarrow's paragraphs."""
    path = _write(images, content, "labels.parquet")
    with pytest.raises(LabelTableError) as caught:
        read_labels(path, images=images)
    assert "is not a Parquet file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_without_pyarrow_names_the_extra(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pyarrow is not installed, the message is the pip command."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = _write(images, b"PAR1", "labels.parquet")
    with pytest.raises(MissingExtraError, match=r"pip install 'boost-edge\[train\]'"):
        read_labels(path, images=images)


def test_files_that_are_no_tables_are_refused(images: Path) -> None:
    """A missing file, a folder, a pipe, an unknown suffix: each has its own message."""
    pipe = images.parent / "pipe.csv"
    os.mkfifo(pipe)
    cases = {
        images.parent / "no.csv": "there is no such file",
        images: "is a folder",
        pipe: "is not a regular file",
        _write(images, _GOOD, "labels.xlsx"): "must be one of .csv, .jsonl, .parquet",
        images / "1.jpg" / "labels.csv": "cannot be read (Not a directory)",
        Path("\0.csv"): "cannot be read (embedded null byte)",
    }
    for path, expected in cases.items():
        with pytest.raises(LabelTableError) as caught:
            read_labels(path, images=images)
        assert expected in str(caught.value)
        assert str(caught.value).startswith(f"{path}: ")


# --- for the gallery


def test_read_cells_gives_every_known_cell(images: Path) -> None:
    """Cells are kept as text, numbers and constants too; unknown ones and the split are not."""
    text = "id,brand,price,split\n1,Acme,9,train\n2,Acme,NA,test\n0,Acme,1,test\n2,Acme,,test\n"
    cells = read_cells(_write(images, text), images=images)
    assert cells.by_image == {
        images / "1.jpg": {"brand": "Acme", "price": "9"},
        images / "2.jpg": {"brand": "Acme"},
    }
    assert cells.missing == ("0",)


def test_probabilities_are_no_labels(images: Path) -> None:
    """``p(NAME)`` beside NAME is left out, by default also of what is learnt; alone it is a column.

    Asked for by name it is taken, as any column is.
    """
    text = (
        "id,type,p(type),p(colour)\n"
        "1,a,high,x\n"
        "2,b,low,y\n"
        "4,a,high,x\n"
        "3,b,low,y\n"
    )  # fmt: skip
    path = _write(images, text)
    cells = read_cells(path, images=images).by_image
    assert cells[images / "1.jpg"] == {"type": "a", "p(colour)": "x"}
    assert [each.name for each in read_labels(path, images=images).attributes] == [
        "type",
        "p(colour)",
    ]
    [asked] = read_labels(path, images=images, attributes=["p(type)"]).attributes
    assert asked.values == ("high", "low")


def test_read_cells_refuses_a_conflict(images: Path) -> None:
    """Two rows that say different things of one image are an error with both lines."""
    path = _write(images, "id,price\n1,9\n1,8\n")
    with pytest.raises(LabelTableError, match="line 2 and line 3 with different cells"):
        read_cells(path, images=images)


def test_labels_need_no_torch() -> None:
    """Reading labels loads neither torch nor pyarrow, so that the base install can do it."""
    code = (
        "import sys, boost_edge.export.labels, boost_edge.export.splits; "
        "print(sorted({'torch', 'pyarrow', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the real data set


def test_the_fashion_set_is_read_as_it_is(shared: Path) -> None:
    """The Kaggle set's seven attributes are the default, with its gaps masked and counted."""
    folder = shared / "datasets" / "fashion-product-images-small"
    table = read_labels(folder / "styles.csv", images=folder / "images")
    assert len(table) == 40_441
    assert [(each.name, len(each.values)) for each in table.attributes] == [
        ("gender", 5),
        ("masterCategory", 7),
        ("subCategory", 45),
        ("articleType", 142),
        ("baseColour", 46),
        ("season", 4),
        ("usage", 8),
    ]
    assert (table.codes == -1).sum(axis=0).tolist() == [0, 0, 0, 0, 15, 21, 317]
    assert (table.missing, table.duplicates, table.split) == ((), 0, None)
    assert set(table.columns) >= {"productDisplayName", "year"}
    assert _labels(table)["15970"]["baseColour"] == "Navy Blue"
