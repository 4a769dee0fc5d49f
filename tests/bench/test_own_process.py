"""A process of a measurement's own."""

from __future__ import annotations

import pytest

from boost_edge.bench.own_process import run_python
from boost_edge.runtime.errors import BoostEdgeError


def test_it_says_what_was_printed_in_its_own_environment() -> None:
    """Only what is given stands in the environment of the process."""
    code = "import os; print(os.environ.get('SAID'), os.environ.get('HOME'))"
    assert run_python(("-c", code), what="saying", environment={"SAID": "so"}) == "so None\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(3)", "counting failed: exit code 3"),
        ("import sys; print('one', 'two', sep='\\n', file=sys.stderr); sys.exit(1)", "failed: two"),
    ],
)
def test_a_failure_is_told_by_its_last_line(code: str, says: str) -> None:
    """Or by the exit code, where nothing was said."""
    with pytest.raises(BoostEdgeError, match=says):
        run_python(("-c", code), what="counting")
