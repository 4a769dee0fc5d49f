"""Every command is documented: help, examples, and the page made from them."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from boost_edge.cli.main import VERBS, cli
from boost_edge.cli.reference import commands, reference

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {context.command_path: context for context in commands()}


def examples_of(context: click.Context) -> list[list[str]]:
    """Return the words of each command line after ``Example:`` in a help."""
    _, _, after = context.get_help().partition("Example:\n")
    block = after.partition("\n\n")[0].replace("\\\n", " ")
    return [shlex.split(line) for line in block.splitlines()]


def find_command(words: list[str]) -> click.Context:
    """Return the context of the command that an example calls."""
    paths = [" ".join(words[:length]) for length in (3, 2)]
    return next(COMMANDS[path] for path in paths if path in COMMANDS)


def test_verbs_are_the_design_s() -> None:
    """The verbs are those of the design, in the order of its pipeline, with the groups' own."""
    assert VERBS == (
        "train", "export", "tune", "index", "query", "label", "choose", "review", "facets",
        "duplicates", "inspect", "verify", "compact", "gallery", "bench", "doctor", "demo",
    )  # fmt: skip
    assert set(COMMANDS) == {
        "boost-edge",
        *(f"boost-edge {verb}" for verb in VERBS),
        "boost-edge bench split",
        "boost-edge bench quality",
        "boost-edge bench quantisers",
        "boost-edge bench versus",
        "boost-edge bench ablate",
        "boost-edge bench honesty",
        "boost-edge bench curve",
        "boost-edge bench choose",
        "boost-edge bench agreement",
        "boost-edge bench models",
        "boost-edge bench latency",
        "boost-edge bench overhead",
        "boost-edge bench cost",
        "boost-edge bench compare",
        "boost-edge bench regression",
        "boost-edge bench alternatives",
        "boost-edge bench search",
        "boost-edge bench crossover",
        "boost-edge bench report",
        "boost-edge bench card",
        "boost-edge gallery export",
        "boost-edge gallery import",
        "boost-edge gallery merge",
    }
    assert cli.get_command(COMMANDS["boost-edge"], "frob") is None


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_is_for(path: str) -> None:
    """Every command and every option has a help text, and the help fits 80 columns."""
    context = COMMANDS[path]
    assert context.command.help
    for option in context.command.get_params(context):
        if isinstance(option, click.Option):
            assert option.help, option.name
    assert max(len(line) for line in context.get_help().splitlines()) <= 80


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_can_be_typed(path: str) -> None:
    """Every command has examples; their options exist, and the required ones are there."""
    examples = examples_of(COMMANDS[path])
    assert examples
    for words in examples:
        assert words[0] == "boost-edge"
        called = find_command(words)
        options = [each for each in called.command.params if isinstance(each, click.Option)]
        known = {name for option in options for name in option.opts}
        given = {word for word in words if word.startswith("-") and word != "-"}
        assert given <= known, words
        assert all(given & set(option.opts) for option in options if option.required), words


def test_the_list_of_verbs_is_not_cut() -> None:
    """The first sentence of each verb of ours fits the list of verbs."""
    ours = (
        *("train", "export", "tune", "index", "query", "label", "review", "facets", "duplicates"),
        *("inspect", "gallery", "bench"),
    )
    for name in ours:
        assert not COMMANDS[f"boost-edge {name}"].command.get_short_help_str(65).endswith("...")


def test_the_page_is_up_to_date() -> None:
    """docs/cli.md is what --help says: python -m boost_edge.cli.reference > docs/cli.md."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference()
