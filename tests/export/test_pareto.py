"""The front of options: against the definition written out, and by what must always hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boost_edge.export.pareto import pareto_front

# Few different values, so that equal ones are common.
options = st.integers(1, 3).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 4), min_size=columns, max_size=columns), min_size=1, max_size=12
    )
)


def naive_front(costs: list[list[int]]) -> list[bool]:
    """Return the front by asking of each option whether any other dominates it."""

    def dominates(one: list[int], other: list[int]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    return [not any(dominates(other, each) for other in costs) for each in costs]


def as_costs(costs: list[list[int]]) -> NDArray[np.float64]:
    """Return options as the function takes them."""
    return np.array(costs, np.float64)


@given(options)
def test_the_front_is_what_nothing_dominates(costs: list[list[int]]) -> None:
    """The front is that of the definition."""
    assert pareto_front(as_costs(costs)).tolist() == naive_front(costs)


@given(options)
def test_every_option_is_on_the_front_or_beaten_by_it(costs: list[list[int]]) -> None:
    """The front is never empty, and for whatever is not on it there is a better one on it."""
    values = as_costs(costs)
    front = pareto_front(values)
    assert front.any()
    for each in values[~front]:
        no_worse = (values[front] <= each).all(axis=1)
        assert (no_worse & (values[front] < each).any(axis=1)).any()


@given(options)
def test_the_order_does_not_matter(costs: list[list[int]]) -> None:
    """Options in another order, and costs on another scale, give the same front."""
    values = as_costs(costs)
    order = np.random.default_rng(len(costs)).permutation(len(values))
    assert pareto_front(np.exp(values[order])).tolist() == pareto_front(values)[order].tolist()


@given(options)
def test_the_best_of_a_column_is_on_the_front(costs: list[list[int]]) -> None:
    """An option that alone has the least of some cost is on the front."""
    values = as_costs(costs)
    front = pareto_front(values)
    for column in values.T:
        least = np.flatnonzero(column == column.min())
        assert len(least) > 1 or front[least[0]]
