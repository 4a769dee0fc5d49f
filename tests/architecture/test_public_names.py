"""What is public is what is exported, and it is documented."""

from __future__ import annotations

import inspect

import boost_edge
from boost_edge import _HOME_OF  # pyright: ignore[reportPrivateUsage] - the table under test
from boost_edge.runtime import errors


def test_public_names_can_be_had() -> None:
    """Every name in ``__all__`` exists, is documented, and is found lazily or defined."""
    for name in boost_edge.__all__:
        value = getattr(boost_edge, name)
        assert name == "__version__" or inspect.getdoc(value)
    assert set(boost_edge.__all__) == set(_HOME_OF) | {"__version__"}
    assert dir(boost_edge) == sorted(boost_edge.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public fails as it does in any module."""
    assert not hasattr(boost_edge, "no_such_name")


def test_error_tree_is_drawn_in_full() -> None:
    """Every error class is public, descends from the base, and stands in the drawing."""
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.BoostEdgeError)
    }
    assert classes == set(errors.__all__)
    for name in classes:
        assert name in (errors.__doc__ or "")
