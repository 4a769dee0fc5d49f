"""What is not installed is named with the command that installs it."""

from __future__ import annotations

import pytest

from boost_edge.cli.extras import need_train_extra
from boost_edge.runtime.errors import MissingExtraError


def test_a_missing_library_names_the_pip_command() -> None:
    """An import that fails for want of the extra says what to type."""
    with (
        pytest.raises(MissingExtraError, match=r"training needs torch.*'boost-edge\[train\]'"),
        need_train_extra("training"),
    ):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")


def test_any_other_missing_module_is_a_bug() -> None:
    """An import that fails for another reason is not dressed up."""
    with pytest.raises(ModuleNotFoundError), need_train_extra("training"):
        raise ModuleNotFoundError("No module named 'boost_edge.gone'", name="boost_edge.gone")
