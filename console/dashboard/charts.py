"""Charts as SVG: shapes with classes of the style sheet, a title, and every value as text for screen readers in the table below them."""

from dataclasses import dataclass

from db.dashboard import RESULTS, DayFigures

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 880, 220, 44, 22, 8


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
    """Return a stacked bar for each day, in the order of `RESULTS`, and the axis."""
    top = _top_of(max(1, *(day.total for day in days)), (2, 4, 10))  # half of it is a whole number of jobs
    plot, width = HEIGHT - BOTTOM - TOP, (WIDTH - LEFT) / len(days)
    bars = []
    for index, day in enumerate(days):
        y = float(HEIGHT - BOTTOM)
        for kind in RESULTS:
            count = day.results.get(kind, 0)
            if count:
                height = plot * count / top
                y -= height
                bars.append(
                    Bar(LEFT + width * (index + 0.15), y, width * 0.7, height, kind, f"{day.day}: {count} {kind.replace('_', ' ')}")
                )
    return bars, _axis(days, top, "")


def time_lines(days: list[DayFigures]) -> tuple[str, str, list[Dot], Axis]:
    """Return the points of the lines of median and 95th percentile in seconds, a dot for each of them, and the axis.

    Days without results are left out.
    """
    top = _top_of(max([1.0, *(day.p95_s for day in days if day.p95_s is not None)]))
    plot, width = HEIGHT - BOTTOM - TOP, (WIDTH - LEFT) / len(days)
    dots = []
    for index, day in enumerate(days):
        for kind, words, value in (("p95", "95th percentile", day.p95_s), ("p50", "median", day.p50_s)):
            if value is not None:
                dots.append(Dot(LEFT + width * (index + 0.5), TOP + plot * (1 - value / top), kind, f"{day.day}: {words} {value:.1f} s"))

    def points(kind: str) -> str:
        return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots if dot.kind == kind)

    return points("p50"), points("p95"), dots, _axis(days, top, " s")
