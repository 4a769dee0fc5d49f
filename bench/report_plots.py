"""The kinds of pictures in a report.

Every series has a marker of its own, so that colour alone never tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from boost_edge.bench.report_svg import COLOURS, FONT, MARKERS, add_legend, make_canvas, to_svg

__all__ = [
    "Line",
    "Mark",
    "bars",
    "dots",
    "frontier",
    "lines",
    "log_ticks",
    "pairs",
    "stages",
]

_LONG, _FEWEST_TICKS = 16, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A value with its interval, over queries; ``colour`` is one of the page's.

    ``seeds`` is its interval over seeds, drawn as a thinner line.
    """

    label: str
    colour: str
    value: float
    low: float
    high: float
    note: str = ""
    seeds: tuple[float, float] | None = None

    def ends(self) -> tuple[float, float]:
        """Return how far its lines reach."""
        low, high = self.seeds or (self.low, self.high)
        return min(low, self.low), max(high, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of values with intervals; ``flat`` ones are levels to compare with."""

    label: str
    colour: str
    marks: tuple[tuple[float, float, float, float], ...]
    flat: bool = False


def bars(
    groups: Sequence[tuple[str, Sequence[Mark]]], *, axis: str, title: str, description: str
) -> str:
    """Return bars in groups, one below the other, with intervals and a note at the end of each."""
    rows = sum(len(marks) + 1.3 for _, marks in groups)
    figure, axes = make_canvas(rows * 17 + 40)
    place, ticks, names = 0.0, [], []
    lowest = min((0.0, *(mark.ends()[0] for _, marks in groups for mark in marks)))
    highest = max((0.0, *(mark.ends()[1] for _, marks in groups for mark in marks)))
    span = highest - lowest or 1.0
    for group, marks in groups:
        axes.text(
            0.015 * span, place, group, weight="bold", va="center", size=FONT, color=COLOURS["ink"]
        )
        for mark in marks:
            place += 1
            ticks.append(place)
            names.append(mark.label)
            colour = COLOURS[mark.colour]
            axes.barh(place, mark.value, height=0.72, color=colour, linewidth=0)
            _whisker(axes, mark, place)
            axes.text(
                max(mark.ends()[1], 0.0) + 0.015 * span, place, mark.note, va="center",
                size=FONT, color=COLOURS["ink"],
            )  # fmt: skip
        place += 1.3
    axes.set_yticks(ticks, names)
    axes.set_ylim(place - 0.6, -0.6)
    axes.set_xlim(lowest - 0.02 * span, highest + 0.2 * span)
    axes.axvline(0, color=COLOURS["ink"], linewidth=1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
    return to_svg(figure, title, description)


def pairs(
    rows: Sequence[tuple[str, float, Sequence[Mark]]],
    level: tuple[str, float] | None,
    *,
    axis: str,
    title: str,
    description: str,
) -> str:
    """Return rows ``(name, before, afters)`` from zero on, and a level to compare all with.

    What is noted at a row's end is of its last mark.
    """
    figure, axes = make_canvas(len(rows) * 34 + 75)
    highest = max(max(before, *(mark.ends()[1] for mark in marks)) for _, before, marks in rows)
    seen: dict[str, Any] = {}
    for place, (_, before, marks) in enumerate(rows):
        reach = max(before, *(mark.ends()[1] for mark in marks))
        ends = [before, *(mark.value for mark in marks)]
        axes.plot([min(ends), max(ends)], [place, place], color=COLOURS["soft"], linewidth=1)
        for mark in marks:
            colour = COLOURS[mark.colour]
            axes.plot([mark.low, mark.high], [place, place], color=colour, linewidth=3.5)
            axes.plot(mark.ends(), [place, place], color=colour, linewidth=1.4)
        named = [("raw", before, "raw"), *((each.label, each.value, each.colour) for each in marks)]
        for name, at, tone in named:
            [seen[name]] = axes.plot(
                [at], [place], MARKERS[tone], color=COLOURS[tone], markersize=7, linestyle="none"
            )
        axes.text(
            reach + 0.03 * highest, place, marks[-1].note, va="center", size=FONT,
            color=COLOURS["ink"],
            bbox={"facecolor": COLOURS["card"], "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    if level is not None:
        name, at = level
        seen[name] = axes.axvline(at, color=COLOURS["ink"], linewidth=1.3, linestyle=":")
    axes.set_xlim(0, highest * 1.16)
    axes.set_yticks(range(len(rows)), [_broken(name) for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(axis)
    add_legend(figure, seen)
    return to_svg(figure, title, description)


def _broken(name: str) -> str:
    """Return a name that leaves room: where it is long, what stands in brackets on a new line."""
    return name.replace(" (", "\n(") if len(name) > _LONG else name


def _whisker(axes: Any, mark: Mark, place: float) -> None:
    # A line of the paper's colour below it keeps it visible on its bar.
    for colour, more in (("card", 2.2), ("ink", 0.0)):
        for ends, width in ((mark.ends(), 0.6), ((mark.low, mark.high), 1.8)):
            axes.plot(ends, [place, place], color=COLOURS[colour], linewidth=width + more)


def dots(
    groups: Sequence[tuple[str, Sequence[Mark]]], *, axis: str, title: str, description: str
) -> str:
    """Return values with intervals, one line for each group, to both sides of zero."""
    most = max(len(marks) for _, marks in groups)
    figure, axes = make_canvas(len(groups) * max(36, most * 13) + 70)
    apart = min(0.24, 0.64 / most)
    axes.axvline(0, color=COLOURS["ink"], linewidth=1)
    seen: dict[str, Any] = {}
    for place, (_, marks) in enumerate(groups):
        for shift, mark in enumerate(marks):
            at = place + (shift - (len(marks) - 1) / 2) * apart
            colour = COLOURS[mark.colour]
            axes.plot([mark.low, mark.high], [at, at], color=colour, linewidth=1.8)
            axes.plot(mark.ends(), [at, at], color=colour, linewidth=0.7)
            [seen[mark.label]] = axes.plot(
                [mark.value], [at], MARKERS[mark.colour], color=colour, markersize=5,
                linestyle="none",
            )  # fmt: skip
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    # Lines between the groups, not through them.
    axes.grid(visible=False, axis="y")
    for place in range(1, len(groups)):
        axes.axhline(place - 0.5, color=COLOURS["line"], linewidth=0.7)
    axes.set_xlabel(axis)
    add_legend(figure, seen)
    return to_svg(figure, title, description)


def lines(
    series: Sequence[Line],
    *,
    across: str,
    axis: str,
    title: str,
    description: str,
    log: bool = False,
) -> str:
    """Return lines over a number, with intervals; the ticks are the numbers measured."""
    figure, axes = make_canvas(300)
    seen: dict[str, Any] = {}
    ticks = sorted({mark[0] for line in series if not line.flat for mark in line.marks})
    for line in series:
        colour = COLOURS[line.colour]
        if line.flat:
            level = line.marks[0][1]
            style = "--" if line.colour == "raw" else ":"
            seen[line.label] = axes.axhline(level, color=colour, linewidth=1.5, linestyle=style)
            continue
        across_at, middle, low, high = zip(*line.marks, strict=True)
        axes.vlines(across_at, low, high, color=colour, linewidth=1.4)
        [seen[line.label]] = axes.plot(
            across_at, middle, color=colour, marker=MARKERS[line.colour], markersize=5
        )
    if log:
        axes.set_xscale("log")
    axes.set_xticks(
        ticks, [f"{tick:,g}" if tick >= 1 or not tick else f"{tick:.0%}" for tick in ticks]
    )
    axes.minorticks_off()
    axes.set_xlabel(across)
    axes.set_ylabel(axis)
    add_legend(figure, seen)
    return to_svg(figure, title, description)


def frontier(
    marks: Sequence[tuple[str, str, float, float]],
    best: Sequence[tuple[float, float]],
    *,
    across: str,
    axis: str,
    title: str,
    description: str,
) -> str:
    """Return named points ``(name, colour, x, y)``, and the steps of those that none surpasses."""
    figure, axes = make_canvas(300)
    axes.set_xscale("log")
    across_at, up = [mark[2] for mark in marks], [mark[3] for mark in marks]
    axes.set_xlim(min(across_at) / 1.6, max(across_at) * 1.6)
    # From zero on: a small difference must look small.
    axes.set_ylim(0, max(up) * 1.2)
    if best:
        xs, ys = zip(*best, strict=True)
        axes.step(
            [*xs, max(across_at) * 1.6], [*ys, ys[-1]], where="post", color=COLOURS["soft"],
            linewidth=1.3, linestyle="--",
        )  # fmt: skip
    middle = (min(across_at) * max(across_at)) ** 0.5
    for name, colour, x, y in marks:
        axes.plot([x], [y], MARKERS[colour], color=COLOURS[colour], markersize=8)
        # To the side where there is room, and off the dashed line.
        left, above = x <= middle, (x, y) in best
        axes.annotate(
            _broken(name), (x, y), xytext=(6 if left else -6, 5 if above else -5),
            textcoords="offset points", ha="left" if left else "right",
            va="bottom" if above else "top", size=FONT, color=COLOURS["ink"],
        )  # fmt: skip
    shown = log_ticks(*axes.get_xlim())
    axes.set_xticks(shown, [f"{tick:,g}" for tick in shown])
    axes.minorticks_off()
    axes.set_xlabel(across)
    axes.set_ylabel(axis)
    return to_svg(figure, title, description)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers in between: powers of ten, and as many others as make three."""
    shown: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        shown = [step * 10.0**power for power in range(-3, 7) for step in steps]
        shown = [tick for tick in shown if low <= tick <= high]
        if len(shown) >= _FEWEST_TICKS:
            break
    return shown


def stages(
    rows: Sequence[tuple[str, Sequence[float]]],
    names: Sequence[str],
    *,
    axis: str,
    title: str,
    description: str,
) -> str:
    """Return one bar for each row, put together from its stages."""
    figure, axes = make_canvas(len(rows) * 34 + 75)
    colours = [COLOURS[name] for name in ("raw", "hidden", "attributes", "blend")]
    seen: dict[str, Any] = {}
    longest = max(sum(values) for _, values in rows)
    for place, (_, values) in enumerate(rows):
        start = 0.0
        for name, value, colour in zip(names, values, colours, strict=True):
            drawn = axes.barh(
                place, value, left=start, height=0.6, color=colour, edgecolor=COLOURS["card"],
                linewidth=0.8,
            )  # fmt: skip
            seen[name] = drawn[0]
            start += value
        axes.text(
            start + 0.01 * longest,
            place,
            f"{start:,.0f}",
            va="center",
            size=FONT,
            color=COLOURS["ink"],
        )
    axes.set_xlim(0, longest * 1.12)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(axis)
    add_legend(figure, seen)
    return to_svg(figure, title, description)
