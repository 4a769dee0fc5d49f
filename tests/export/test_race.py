"""Timing in turns: the medians are right, and no one is favoured."""

from __future__ import annotations

from boost_edge.export.race import take_turns


class Machine:
    """A clock that moves when something is called, slower and slower."""

    def __init__(self, seconds: tuple[float, ...]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.called: list[int] = []

    def work(self, place: int) -> None:
        """Take the time of one call."""
        self.called.append(place)
        self.now += self.seconds[place] * (1 + len(self.called) / 1000)


def race(machine: Machine, *, turns: int, seconds: float) -> tuple[float, ...]:
    """Time both of a machine's works."""
    return take_turns(
        [lambda: machine.work(0), lambda: machine.work(1)],
        turns=turns,
        seconds=seconds,
        clock=lambda: machine.now,
    )


def test_drift_hits_all() -> None:
    """A machine that gets slower and slower changes both medians, and hardly their ratio."""
    machine = Machine((0.040, 0.020))
    slow, fast = race(machine, turns=12, seconds=1e9)
    assert slow > 41
    assert abs(slow / fast - 2) < 0.02
    assert machine.called.count(0) == machine.called.count(1) == 12 * 6
    # Every other turn the second one begins.
    assert machine.called[:6] == [0] * 6
    assert machine.called[6:18] == [1] * 12


def test_slow_models_get_two_turns() -> None:
    """What takes long is timed in two turns of each, in both orders."""
    machine = Machine((100.0, 50.0))
    slow, fast = race(machine, turns=12, seconds=30)
    assert machine.called.count(0) == machine.called.count(1) == 2 * 6
    assert slow > fast
