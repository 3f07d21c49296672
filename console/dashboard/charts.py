"""Charts as SVG: shapes with classes of the style sheet, a title, and every value as text for screen readers in the table below them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from db.dashboard import RESULTS, TIERS, DayFigures

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 600, 190, 46, 22, 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a stacked bar, in the units of the chart's view box; ``kind`` is a class of the style sheet."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Lines across the chart with their labels: (y, label)."""

    marks: tuple[tuple[float, str], ...]
    days: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """One day of a line, so that a single day is seen too; ``kind`` is a class of the style sheet."""

    x: float
    y: float
    kind: str
    title: str


def _top_of(highest: float, factors: tuple[int, ...] = (1, 2, 5)) -> float:
    """Return a round number of at least ``highest``: one of ``factors`` times a power of ten."""
    step = 1.0
    while True:
        for factor in factors:
            if factor * step >= highest:
                return factor * step
        step *= 10


def _axis(days: list[DayFigures], top: float, unit: str) -> Axis:
    plot = HEIGHT - BOTTOM - TOP
    marks = tuple((TOP + plot * (1 - part), f"{top * part:g}{unit}") for part in (0.0, 0.5, 1.0))
    width = (WIDTH - LEFT) / len(days)
    every = max(1, len(days) // 7)
    names = tuple((LEFT + width * (index + 0.5), f"{day.day:%d %b}") for index, day in enumerate(days) if index % every == 0)
    return Axis(marks, names)


def result_bars(days: list[DayFigures]) -> tuple[list[Bar], Axis]:
    """Return a stacked bar of results for each day, in the order of `RESULTS`, and the axis."""
    return _stacked(days, RESULTS, lambda day: day.results)


def tier_bars(days: list[DayFigures]) -> tuple[list[Bar], Axis]:
    """Return a stacked bar of findings for each day, in the order of `TIERS`, and the axis."""
    return _stacked(days, TIERS, lambda day: day.tiers)


def _stacked(days: list[DayFigures], kinds: Sequence[str], counts: Callable[[DayFigures], Mapping[str, int]]) -> tuple[list[Bar], Axis]:
    top = _top_of(max(1, *(sum(counts(day).values()) for day in days)), (2, 4, 10))  # half of it is a whole number
    plot, width = HEIGHT - BOTTOM - TOP, (WIDTH - LEFT) / len(days)
    bars = []
    for index, day in enumerate(days):
        y = float(HEIGHT - BOTTOM)
        for kind in kinds:
            count = counts(day).get(kind, 0)
            if count:
                height = plot * count / top
                y -= height
                words = kind.replace("_", " ")
                place = round(LEFT + width * (index + 0.15), 1), round(y, 1), round(width * 0.7, 1), round(height, 1)
                bars.append(Bar(*place, kind, f"{day.day}: {words} {count}"))
    return bars, _axis(days, top, "")


@dataclass(frozen=True, slots=True)
class TimeChart:
    """Lines of median (``p50``) and 95th percentile (``p95``) as points of SVG, a dot for each value, and the axis."""

    p50: str
    p95: str
    dots: list[Dot]
    axis: Axis


def result_times(days: list[DayFigures]) -> TimeChart:
    """Return the chart of the seconds from the last image to the result. Days without results are left out."""
    return _times(days, lambda day: (day.p50_s, day.p95_s))


def queue_times(days: list[DayFigures]) -> TimeChart:
    """Return the chart of the seconds that jobs waited in the queue. Days without jobs are left out."""
    return _times(days, lambda day: (day.queue_p50_s, day.queue_p95_s))


def _times(days: list[DayFigures], values: Callable[[DayFigures], tuple[float | None, float | None]]) -> TimeChart:
    top = _top_of(max([1.0, *(high for high in (values(day)[1] for day in days) if high is not None)]))
    plot, width = HEIGHT - BOTTOM - TOP, (WIDTH - LEFT) / len(days)
    dots = []
    for index, day in enumerate(days):
        median, high = values(day)
        for kind, words, value in (("p95", "95th percentile", high), ("p50", "median", median)):
            if value is not None:
                place = round(LEFT + width * (index + 0.5), 1), round(TOP + plot * (1 - value / top), 1)
                dots.append(Dot(*place, kind, f"{day.day}: {words} {value:.1f} s"))

    def points(kind: str) -> str:
        return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots if dot.kind == kind)

    return TimeChart(points("p50"), points("p95"), dots, _axis(days, top, " s"))
