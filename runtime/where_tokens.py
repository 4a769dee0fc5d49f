"""The words of a filter or a preference, and errors that point into it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from boost_edge.runtime.errors import UsageError

__all__ = ["Token", "filter_error", "nearest_name", "tokenise"]

# As difflib.get_close_matches: below, a guess says less than the names that there are.
_NEAR = 0.6
_MOST_NAMES = 20
# So much of a long expression is shown on either side of an error.
_CONTEXT = 60

_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""
    (?P<sign> <= | >= | != | [=<>(),] )
    | (?P<text> '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<word> [\w.+\-/:%\#&]+ )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One piece of an expression; ``column`` counts from 0.

    ``text`` is a quoted text without its quotes.
    """

    kind: Literal["sign", "text", "word", "end"]
    text: str
    column: int

    def is_word(self, word: str) -> bool:
        """Say whether it is this word without quotes, in any case."""
        return self.kind == "word" and self.text.lower() == word

    def is_sign(self, *signs: str) -> bool:
        """Say whether it is one of these signs."""
        return self.kind == "sign" and self.text in signs


def tokenise(text: str, *, what: str = "filter") -> list[Token]:
    """Cut an expression into tokens, the last of which is its end; ``what`` it is, for errors.

    Raises
    ------
    UsageError
        Where a quote is not closed, or a character belongs to no token.
    """
    # SQLite takes no other text.
    bad = re.search("[\0\ud800-\udfff]", text)
    if bad:
        raise filter_error(text, bad.start(), "expected text in UTF-8", what=what)
    tokens: list[Token] = []
    at = _after_space(text, 0)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at] in "'\"":
                raise filter_error(text, at, "expected a closing quote after this one", what=what)
            problem = f"expected a word, a quote or an operator, found {text[at]!r}"
            raise filter_error(text, at, problem, what=what)
        raw = found.group()
        if found["sign"]:
            tokens.append(Token(kind="sign", text=raw, column=at))
        elif found["word"]:
            tokens.append(Token(kind="word", text=raw, column=at))
        else:
            inner = raw[1:-1].replace(raw[0] * 2, raw[0])
            tokens.append(Token(kind="text", text=inner, column=at))
        at = _after_space(text, found.end())
    return [*tokens, Token(kind="end", text="", column=len(text))]


def filter_error(text: str, column: int, problem: str, *, what: str = "filter") -> UsageError:
    """Return the error at a column of an expression, where a caret stands in the message."""
    start, end = max(0, column - _CONTEXT), column + _CONTEXT
    before = ("..." if start else "") + _on_one_line(text[start:column])
    after = _on_one_line(text[column:end]) + ("..." if end < len(text) else "")
    return UsageError(f"{what}, column {column + 1} (at ^): {problem}: {before}^{after}")


def nearest_name(wrong: str, known: Iterable[str]) -> str:
    """Return the end of an error about a name that nothing has: what it may mean, or all names."""
    names = sorted(known)
    if not names:
        return "the gallery has none"
    near = {
        each: SequenceMatcher(None, wrong.casefold(), each.casefold()).ratio() for each in names
    }
    nearest = max(names, key=near.__getitem__)
    if near[nearest] >= _NEAR:
        return f"did you mean {nearest!r}?"
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f"there is {', '.join(map(repr, names[:_MOST_NAMES]))}{more}"


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _on_one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)
