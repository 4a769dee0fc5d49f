"""The filter language of ``--where``: text in, a parameterised SQL condition out.

::

    expression = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation = "not" negation | "(" expression ")" | condition
    condition = attribute ("=" | "!=" | "<" | "<=" | ">" | ">=") value
              | attribute ["not"] "in" "(" value { "," value } ")"
              | "known" "(" attribute ")"
    attribute = name | "label." name | "predicted." name | "p" "(" name ")"

A name or value is a bare word (letters, digits and ``_ . + - / : % # &``) or a quoted text
(``'it''s'``, ``"x"``); a bare value that is a number is compared as one. docs/filters.md says what
each form means. Text of the user only ever becomes a bound parameter, never SQL.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.where_sql import (
    EITHER,
    LABEL,
    PREDICTED,
    Sql,
    Value,
    as_number,
    compare,
    json_path,
)
from boost_edge.runtime.where_tokens import Token, filter_error, nearest_name, tokenise

__all__ = ["Name", "Where", "parse_where", "unknown_name"]

# SQLite before 3.46 parses with a stack of 100 entries, of which "(a or b and (" takes eight; and
# it takes chains of at most 1,000 operators.
_MAX_DEPTH = 10
_MAX_CONDITIONS = 200

_KEYWORDS = ("and", "or", "not", "in")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

_IN_TEXTS = "{0} IN (SELECT value FROM json_each(?))"
_IN_NUMBERS = "{0} IN (SELECT CAST(value AS NUMERIC) FROM json_each(?))"

_Source = Literal["label", "predicted", "either"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """An attribute that an expression names; ``column`` counts from 0.

    ``source`` is where its value comes from: the user's label, the prediction, or the label where
    an image has one and else the prediction.
    """

    source: _Source
    name: str
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A filter: ``sql`` is a condition on a row of ``images``, ``values`` its parameters."""

    text: str
    sql: str
    values: tuple[Value, ...]
    names: tuple[Name, ...]


def parse_where(text: str) -> Where:
    """Read a filter.

    Raises
    ------
    UsageError
        When it is none; the message shows where, and what was expected there.
    """
    parser = _Parser(text)
    sql, values = parser.whole()
    return Where(text=text, sql=sql, values=values, names=tuple(parser.names))


def unknown_name(where: Where, name: Name, known: Iterable[str]) -> UsageError:
    """Return the error for a name that no attribute has, with the nearest that there is."""
    kind = {"label": "label", "predicted": "predicted attribute", "either": "attribute"}
    problem = f"no {kind[name.source]} is called {name.name!r}, {nearest_name(name.name, known)}"
    return filter_error(where.text, name.column, problem)


class _Parser:
    """Reads one expression from left to right. A method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenise(text)
        self._at = 0
        self._depth = 0
        self._conditions = 0
        self.names: list[Name] = []

    def whole(self) -> Sql:
        found = self._expression()
        if self._next.kind != "end":
            raise self._expected("and, or, or the end")
        return found

    def _expression(self) -> Sql:
        return self._chain("or", " OR ")

    def _chain(self, word: Literal["or", "and"], joint: str) -> Sql:
        part = self._conjunction if word == "or" else self._negation
        parts = [part()]
        while self._next.is_word(word):
            self._at += 1
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        return f"({joint.join(sql for sql, _ in parts)})", _joined(parts)

    def _conjunction(self) -> Sql:
        return self._chain("and", " AND ")

    def _negation(self) -> Sql:
        if not (self._next.is_word("not") or self._next.is_sign("(")):
            return self._condition()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._expected(f"at most {_MAX_DEPTH} levels of parentheses and not")
        if self._take().is_sign("("):
            inside = self._expression()
            self._sign(")", "and, or, or )")
        else:
            sql, values = self._negation()
            inside = f"(NOT {sql})", values
        self._depth -= 1
        return inside

    def _condition(self) -> Sql:
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise self._expected(f"at most {_MAX_CONDITIONS} conditions; in (...) takes any number")
        if self._calls("known"):
            self._at += 2
            sql, paths = self._attribute("an attribute")
            self._sign(")", ")")
            return f"({sql} IS NOT NULL)", paths
        number = self._calls("p")
        attribute = (
            self._probability() if number else self._attribute("an attribute, p(...), not or (")
        )
        if self._next.is_sign(*_COMPARISONS):
            sign = self._take().text
            return compare(attribute, sign, self._value(number=number), number=number)
        negated = self._next.is_word("not")
        self._at += negated
        if not self._next.is_word("in"):
            raise self._expected("in" if negated else f"{' '.join(_COMPARISONS)} or in")
        self._at += 1
        sql, values = self._membership(attribute, number=number)
        return (f"(NOT {sql})" if negated else sql), values

    def _membership(self, attribute: Sql, *, number: bool) -> Sql:
        self._sign("(", "( and a list of values")
        values = [self._value(number=number)]
        while self._next.is_sign(","):
            self._at += 1
            values.append(self._value(number=number))
        self._sign(")", ", or )")
        texts = [each for each in values if isinstance(each, str)]
        numbers = [each for each in values if not isinstance(each, str)]
        sql, paths = attribute
        parts: list[Sql] = [
            (shape.format(sql), (*paths, json.dumps(some)))
            for shape, some in ((_IN_TEXTS, texts), (_IN_NUMBERS, numbers))
            if some
        ]
        return f"({' OR '.join(sql for sql, _ in parts)})", _joined(parts)

    def _probability(self) -> Sql:
        self._at += 2
        name = self._name("an attribute that the model predicts")
        if name.source == "label":
            raise self._refused(name.column, "p(...) is of a prediction, not of a label")
        self.names.append(Name(source="predicted", name=name.name, column=name.column))
        self._sign(")", ")")
        return PREDICTED, (json_path(name.name) + ".p",)

    def _attribute(self, expected: str) -> Sql:
        name = self._name(expected)
        self.names.append(name)
        label, value = json_path(name.name), json_path(name.name) + ".value"
        match name.source:
            case "label":
                return LABEL, (label,)
            case "predicted":
                return PREDICTED, (value,)
            case _:
                return EITHER, (label, value)

    def _name(self, expected: str) -> Name:
        token = self._operand(expected)
        source: _Source = "either"
        name = token.text
        if token.kind == "word":
            if name.startswith("label."):
                source, name = "label", name.removeprefix("label.")
            elif name.startswith("predicted."):
                source, name = "predicted", name.removeprefix("predicted.")
            # label."two words": the name follows as a text of its own.
            after = token.column + len(token.text)
            if not name and (self._next.kind, self._next.column) == ("text", after):
                name = self._take().text
        if not name:
            raise self._refused(token.column, f"expected {expected}; this name is empty")
        if '"' in name:
            raise self._refused(token.column, "an attribute with a quotation mark in its name")
        return Name(source=source, name=name, column=token.column)

    def _value(self, *, number: bool) -> Value:
        token = self._operand("a number" if number else "a value")
        found = as_number(token.text) if token.kind == "word" else None
        if found is not None:
            if not math.isfinite(found):
                raise self._refused(token.column, "expected a number that is not so large")
            return found
        if number:
            self._at -= 1
            raise self._expected("a number")
        return token.text

    def _operand(self, expected: str) -> Token:
        """Take a word or a quoted text."""
        if self._next.kind in ("sign", "end"):
            raise self._expected(expected)
        if self._next.kind == "word" and self._next.text.lower() in _KEYWORDS:
            raise self._expected(f"{expected} (in quotes if it is {self._next.text!r} itself)")
        return self._take()

    def _calls(self, function: str) -> bool:
        token = self._next
        return (token.kind, token.text) == ("word", function) and self._tokens[
            self._at + 1
        ].is_sign("(")

    def _sign(self, sign: str, expected: str) -> None:
        if not self._next.is_sign(sign):
            raise self._expected(expected)
        self._at += 1

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _expected(self, what: str) -> UsageError:
        found = "the end" if self._next.kind == "end" else repr(self._next.text[:40])
        return filter_error(self._text, self._next.column, f"expected {what}, found {found}")

    def _refused(self, column: int, why: str) -> UsageError:
        return filter_error(self._text, column, why)


def _joined(parts: Iterable[Sql]) -> tuple[Value, ...]:
    return tuple(value for _, values in parts for value in values)
