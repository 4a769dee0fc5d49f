"""The filter language: what SQLite answers is what a plain evaluator over dicts does."""

from __future__ import annotations

import dataclasses
import json
import operator
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.where import parse_where

# An image: its labels, and its predictions as attribute -> (value, probability).
Image = tuple[dict[str, str], dict[str, tuple[str, float]]]
# What an expression says of an image; None: unknown.
Truth = bool | None
Number = int | float
Evaluate = Callable[[Image], Truth]

NUMBER = re.compile(r"\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)\s*", re.ASCII)
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    """Return a database with the two columns that a filter reads."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute(
            "CREATE TABLE images (id INTEGER PRIMARY KEY, predicted TEXT, labels TEXT)"
        )
        yield database


def passing(table: sqlite3.Connection, text: str, images: list[Image]) -> list[int]:
    """Return the places of the images that pass, as SQLite sees it."""
    where = parse_where(text)
    table.execute("DELETE FROM images")
    table.executemany(
        "INSERT INTO images VALUES (?, ?, ?)",
        (
            (
                place,
                json.dumps({n: {"value": value, "p": p} for n, (value, p) in predicted.items()}),
                json.dumps(labels),
            )
            for place, (labels, predicted) in enumerate(images)
        ),
    )
    sql = f"SELECT id FROM images WHERE {where.sql} ORDER BY id"  # noqa: S608 - what is tested
    return [place for (place,) in table.execute(sql, where.values)]


def number_of(text: str) -> Number | None:
    """Return the number that a text is, if it is one."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    digits = found[1]
    return int(digits) if digits.lstrip("+-").isdigit() else float(digits)


def look_up(source: str, name: str, image: Image) -> str | None:
    """Return the value of an attribute."""
    labels, predicted = image
    label = labels.get(name)
    value = predicted[name][0] if name in predicted else None
    return {"label": label, "predicted": value, "": value if label is None else label}[source]


def compare(found: str | float | None, sign: str, value: str | Number) -> Truth:
    """Compare as docs/filters.md says."""
    if found is None:
        return None
    if isinstance(value, str):
        assert isinstance(found, str)
        return bool(COMPARE[sign](found, value))
    number = number_of(found) if isinstance(found, str) else found
    if number is None:
        return {"=": False, "!=": True}.get(sign)
    return bool(COMPARE[sign](number, value))


def either(left: Truth, right: Truth) -> Truth:
    """Return Kleene's or."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def negate(truth: Truth) -> Truth:
    """Return Kleene's not."""
    return None if truth is None else not truth


def in_quotes(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"


NAMES = ["colour", "size", "base colour", "éß😀", "label.x", "back\\slash", "p", "and", "a'b"]
WORDS = ["Red", "red", "XL", "T-shirt", "42", "-7", "3.50", "1e2", "007", " 5 ", "5 EU", "", "it's"]
names = st.sampled_from(NAMES)
plain = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.sampled_from(WORDS) | st.text(plain, max_size=6)
numbers = st.integers(-50, 2100) | st.integers(-200, 200).map(lambda each: each / 8)
probabilities = st.integers(0, 64).map(lambda each: each / 64)
images_strategy = st.lists(
    st.tuples(
        st.dictionaries(names, texts, max_size=4),
        st.dictionaries(names, st.tuples(texts, probabilities), max_size=4),
    ),
    min_size=1,
    max_size=12,
)


@st.composite
def attributes(draw: st.DrawFn) -> tuple[str, Callable[[Image], str | None]]:
    """Draw an attribute as written and as looked up."""
    source, name = draw(st.sampled_from(["", "label", "predicted"])), draw(names)
    bare = re.fullmatch(r"[\w\\ß]+", name) and name not in {"and", "back\\slash", "éß😀"}
    written = name if bare and draw(st.booleans()) else in_quotes(name)
    if name == "colour" and draw(st.booleans()):
        written = f'"{name}"'
    prefix = f"{source}." if source else ""
    return prefix + written, lambda image: look_up(source, name, image)


@st.composite
def values(draw: st.DrawFn) -> tuple[str, str | Number]:
    """Draw a value as written and as it is."""
    if draw(st.booleans()):
        number = draw(numbers)
        return str(number), number
    text = draw(texts)
    if re.fullmatch(r"[A-Za-z]+", text) and text.lower() not in {"and", "or", "not", "in"}:
        return text, text
    return in_quotes(text), text


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Evaluate]:
    """Draw a condition and what it means."""
    written, get = draw(attributes())
    match draw(st.sampled_from(["compare", "in", "p", "known"])):
        case "compare":
            sign, (spelled, value) = draw(st.sampled_from(list(COMPARE))), draw(values())
            return f"{written}{sign} {spelled}", lambda image: compare(get(image), sign, value)
        case "in":
            some = draw(st.lists(values(), min_size=1, max_size=4))
            word = draw(st.sampled_from(["in", "not in", "NOT IN"]))
            text = f"{written} {word}({', '.join(spelled for spelled, _ in some)})"

            def evaluate(image: Image) -> Truth:
                truth: Truth = False
                for _, value in some:
                    truth = either(truth, compare(get(image), "=", value))
                return truth if word == "in" else negate(truth)

            return text, evaluate
        case "p":
            name, sign, bar = draw(names), draw(st.sampled_from(list(COMPARE))), draw(probabilities)

            def likely(image: Image) -> Truth:
                return compare(image[1][name][1] if name in image[1] else None, sign, bar)

            return f"p({in_quotes(name)}) {sign}{bar}", likely
        case _:
            return f"known({written})", lambda image: get(image) is not None


def extend(inner: st.SearchStrategy[tuple[str, Evaluate]]) -> st.SearchStrategy[Any]:
    """Combine expressions; parentheses only where they are needed or drawn."""

    def negation(one: tuple[str, Evaluate]) -> tuple[str, Evaluate]:
        text, evaluate = one
        return f"not ({text})", lambda image: negate(evaluate(image))

    def both(pair: tuple[tuple[str, Evaluate], tuple[str, Evaluate]]) -> tuple[str, Evaluate]:
        (left, one), (right, two) = pair
        # x and y = not (not x or not y)
        return (
            f"({left}) AND ({right})",
            lambda image: negate(either(negate(one(image)), negate(two(image)))),
        )

    def any_of(pair: tuple[tuple[str, Evaluate], tuple[str, Evaluate]]) -> tuple[str, Evaluate]:
        (left, one), (right, two) = pair
        # or binds least: its sides need no parentheses.
        return f"{left}\tor {right}", lambda image: either(one(image), two(image))

    pairs = st.tuples(inner, inner)
    return st.one_of(inner.map(negation), pairs.map(both), pairs.map(any_of))


expressions = st.recursive(conditions(), extend, max_leaves=8)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(expression=expressions, images=images_strategy)
def test_sqlite_answers_as_a_plain_evaluator(
    table: sqlite3.Connection, expression: tuple[str, Evaluate], images: list[Image]
) -> None:
    """Whatever is asked of whatever images, exactly those of which it is true pass."""
    text, evaluate = expression
    expected = [place for place, image in enumerate(images) if evaluate(image) is True]
    assert passing(table, text, images) == expected


fragments = st.sampled_from(
    [
        *"()=<>,'\" ",
        "!=",
        "and",
        "or",
        "not",
        "in",
        "p(",
        "known(",
        "colour",
        "label.",
        "1e999",
        "\n",
    ]
)


@settings(deadline=None, max_examples=500)
@given(text=st.text() | st.lists(fragments, max_size=15).map(" ".join))
@example(text="(" * 100_000)
@example(text="not " * 100_000)
@example(text="a=1 or " * 100_000)
@example(text="a=" + "9" * 10_000)
@example(text="a=" + "0" * 10_000)
@example(text="a='" + "''" * 10_000)
@example(text="a=\udcff")
@example(text="a='\0'")
@example(text='label. "x" = 1')
@example(text="")
def test_any_text_is_a_filter_or_a_usage_error(table: sqlite3.Connection, text: str) -> None:
    """No text breaks the parser or SQLite, and an error is one short line of UTF-8."""
    try:
        passing(table, text, [({}, {})])
    except UsageError as error:
        message = str(error)
        message.encode()
        assert "\n" not in message
        assert message.isprintable()
        assert len(message) < 400


RED: Image = ({}, {"colour": ("Red", 0.75)})
BLUE: Image = ({"colour": "Blue"}, {"colour": ("Red", 0.75)})
UNKNOWN: Image = ({}, {})
SIZED: list[Image] = [({"size": size}, {}) for size in ("9", "10", "10.0", "XL", "1e1")]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("colour = Red", [0]),
        ("label.colour = Blue", [1]),
        ("predicted.colour = Red", [0, 1]),
        ("p(colour) >= 0.75", [0, 1]),
        ("p(colour) > 0.75", []),
        ("p(predicted.colour) in (0.5, 0.75)", [0, 1]),
        ("colour != Red", [1]),
        ("not colour = Red", [1]),
        ("not (colour = Red and colour = Red)", [1]),
        ("colour not in (Red)", [1]),
        ("colour = Red or not known(colour)", [0, 2]),
        ("known(label.colour)", [1]),
        ("not colour = Red or colour = Red", [0, 1]),
        ("colour = Green or colour = Red and colour = Red", [0]),
        ("'colour'=\"Red\"", [0]),
        ('predicted."colour" IN (Red, Green)', [0, 1]),
        ("colour = red", []),
    ],
)
def test_labels_come_first_and_unknown_never_passes(
    table: sqlite3.Connection, text: str, places: list[int]
) -> None:
    """A label hides the prediction; what is unknown passes neither a condition nor its opposite."""
    assert passing(table, text, [RED, BLUE, UNKNOWN]) == places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("size = 10", [1, 2, 4]),
        ("size = '10'", [1]),
        ("size in (9, XL)", [0, 3]),
        ("size < 10", [0]),
        ("size >= 10", [1, 2, 4]),
        ("not size < 10", [1, 2, 4]),
        ("size != 10", [0, 3]),
        ("size < '9'", [1, 2, 4]),
        ("size > 9.5e0", [1, 2, 4]),
        ("size > -1", [0, 1, 2, 4]),
    ],
)
def test_numbers_compare_as_numbers(
    table: sqlite3.Connection, text: str, places: list[int]
) -> None:
    """A bare number is compared as a number, a quoted one as text."""
    assert passing(table, text, SIZED) == places


def test_very_large_whole_numbers_are_exact(table: sqlite3.Connection) -> None:
    """A product code of 18 digits is not rounded."""
    images: list[Image] = [({"code": f"90071992547409{end}"}, {}) for end in (92, 93)]
    assert passing(table, "code = 9007199254740993", images) == [1]


def test_a_long_list_of_values_is_fine(table: sqlite3.Connection) -> None:
    """``in`` takes more values than SQLite takes parameters."""
    many = ", ".join([*map(str, range(50_000)), *(f"w{each}" for each in range(50_000))])
    images: list[Image] = [({"x": value}, {}) for value in ("49999", "w49999", "50000")]
    assert passing(table, f"x in ({many})", images) == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1 (at ^): expected an attribute, p(...), not or (, found the end: ^"),
        (
            "gender = and colour = Red",
            "column 10 (at ^): expected a value (in quotes if it is 'and' itself), found 'and': "
            "gender = ^and colour = Red",
        ),
        ("gender Women", "column 8 (at ^): expected = != < <= > >= or in, found 'Women'"),
        ("gender == Women", "column 9 (at ^): expected a value, found '='"),
        ("a = b c", "column 7 (at ^): expected and, or, or the end, found 'c': a = b ^c"),
        ("(a = b", "column 7 (at ^): expected and, or, or ), found the end: (a = b^"),
        ("a = 'b", "column 5 (at ^): expected a closing quote after this one: a = ^'b"),
        ("a = b; drop", "column 6 (at ^): expected a word, a quote or an operator, found ';'"),
        ("a in b", "column 6 (at ^): expected ( and a list of values, found 'b'"),
        ("a in (b c)", "column 9 (at ^): expected , or ), found 'c'"),
        ("a not = b", "column 7 (at ^): expected in, found '='"),
        ("p(a) > high", "column 8 (at ^): expected a number, found 'high'"),
        ("p(label.a) > 1", "column 3 (at ^): p(...) is of a prediction, not of a label"),
        ("known(a", "column 8 (at ^): expected ), found the end"),
        ("label. = b", "column 1 (at ^): expected an attribute, p(...), not or (; this name is"),
        ("a = 1e999", "column 5 (at ^): expected a number that is not so large"),
        ("'a\"b' = c", "column 1 (at ^): an attribute with a quotation mark in its name"),
        ("a =\nb\x1b c", "column 6 (at ^): expected a word"),
        ("x = y and " * 20 + "z", "found the end: ... = y and x = y and"),
    ],
)
def test_an_error_points_at_its_place(text: str, message: str) -> None:
    """The message is one line with the column, what was expected, and the expression."""
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("count", "fine"), [(10, True), (11, False)])
@pytest.mark.parametrize("opening", ["(", "not "])
def test_depth_is_limited(
    table: sqlite3.Connection, opening: str, count: int, *, fine: bool
) -> None:
    """Ten levels work in SQLite, one more is refused."""
    text = opening * count + "x = 1" + (")" * count if opening == "(" else "")
    if fine:
        assert passing(table, text, [({"x": "1"}, {})]) == [0]
    else:
        with pytest.raises(UsageError, match="10 levels"):
            parse_where(text)


def test_two_hundred_conditions_are_fine(table: sqlite3.Connection) -> None:
    """As many conditions as are allowed, as deep as is allowed, are no trouble for SQLite."""
    deep = "(x > 1 or x = 0.5 and " * 10 + "x not in (1, a)" + ")" * 10
    text = "x < 1 and " * 177 + f"x > 1 or x = 0.5 and {deep}"
    assert passing(table, text, [({"x": "0.5"}, {})]) == [0]
    with pytest.raises(UsageError, match="200 conditions"):
        parse_where(f"{text} and x = 1")


@given(text=st.text(), value=st.text())
def test_text_never_becomes_sql(text: str, value: str) -> None:
    """The SQL of a comparison is the same whatever is compared."""
    assume(text and '"' not in text)
    try:
        where = parse_where(f"{in_quotes(text)} = {in_quotes(value)}")
    except UsageError:
        return
    assert dataclasses.replace(where, text="", values=(), names=()).sql == parse_where("a='b'").sql
    assert where.values[-1] == value
