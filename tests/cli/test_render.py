"""Tables that fit a terminal, and text that cannot break one."""

from __future__ import annotations

import pytest

from boost_edge.cli.render import counts, megabytes, printable, table, wrapped

HEADER = ["rank", "path", "agrees"]
ROWS = [["1", "a/long/folder/of/photos/1.jpg", "colour"], ["10", "2.jpg", "all but season"]]


def lay_out(*, right: tuple[int, ...] = (0,)) -> list[str]:
    """Lay out the rows, the path being what may lose its beginning."""
    return table(HEADER, ROWS, right=right, squeeze=1)


def test_table_in_a_file_is_whole() -> None:
    """Where stdout is no terminal nothing is cut, and columns are aligned."""
    assert lay_out() == [
        "rank  path                           agrees",
        "   1  a/long/folder/of/photos/1.jpg  colour",
        "  10  2.jpg                          all but season",
    ]


def test_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path loses its beginning first, then the last column its end."""
    monkeypatch.setenv("COLUMNS", "40")
    assert lay_out() == [
        "rank  path                agrees",
        "   1  …r/of/photos/1.jpg  colour",
        "  10  2.jpg               all but season",
    ]
    monkeypatch.setenv("COLUMNS", "32")
    assert lay_out()[1:] == ["   1  …hotos/1.jpg  colour", "  10  2.jpg         all but sea…"]


def test_wide_letters_keep_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that take two columns count as two, combining marks as none."""
    rows = [["日本", "a"], ["e\u0301", "b"]]
    assert table(["x", "y"], rows) == ["x     y", "日本  a", "e\u0301     b"]
    monkeypatch.setenv("COLUMNS", "20")
    cut = table(["x", "y"], [["日" * 10, "a"]], squeeze=0)
    assert cut[1] == f"…{'日' * 8}  a"


def test_a_terminal_too_small_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns stop shrinking where nothing could be read any more."""
    monkeypatch.setenv("COLUMNS", "5")
    assert lay_out()[1] == "   1  …hotos/1.jpg  colour"
    assert wrapped("some words", indent="  ") == ["  some words"]


def test_text_wraps_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line is wrapped and indented in a terminal, and whole in a file."""
    text = "colour black (0.18), t-shirt (0.20)"
    assert wrapped(text, indent="  ") == [f"  {text}"]
    monkeypatch.setenv("COLUMNS", "26")
    assert wrapped(text, indent="  ") == ["  colour black (0.18),", "  t-shirt (0.20)"]


def test_a_word_that_does_not_fit_is_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long first word is broken like others, and loses nothing to its indent."""
    monkeypatch.setenv("COLUMNS", "30")
    for word in ("Linux-6.1.0-x86_64-glibc", "Linux-6.1.0-on-a-machine-of-a-long-name"):
        lines = wrapped(f"{word} 2.36", indent=" " * 12)
        assert lines[0] == f"{'':12}{word[:18]}"
        assert "".join(line[12:] for line in lines).replace(" ", "") == f"{word}2.36"
        assert all(line.startswith(" " * 12) and len(line) <= 30 for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31m", r"\x1b[31m"),
        ("caf\udce9", r"caf\udce9"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("日本 ünï", "日本 ünï"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """What would break a line, colour a terminal or turn its text round is escaped."""
    assert printable(text) == shown


def test_numbers() -> None:
    """Sizes and counts read as people write them."""
    assert megabytes(11_234_567) == "11.2 MB"
    assert counts({"test": 8, "train": 1200, "val": 0}) == "1,200 train, 0 val, 8 test"
