"""Charts of the models page as SVG: shares with their intervals, and calibration. Every value also stands in a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.policy.proportions import Share
from db.operations.model_performance import CalibrationBin

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 600, 170, 46, 22, 8
SQUARE, MARGIN = 260, 34


@dataclass(frozen=True, slots=True)
class Mark:
    """A value at ``x``, ``y`` with its interval from ``low`` to ``high`` (both y), in units of the view box."""

    x: float
    y: float
    low: float
    high: float
    label: str
    title: str


def share_marks(shares: Sequence[tuple[str, Share]]) -> list[Mark]:
    """Return a mark for each named share, from left to right; shares of nothing are left out."""
    plot, width = HEIGHT - BOTTOM - TOP, (WIDTH - LEFT) / max(1, len(shares))

    def height(value: float) -> float:
        return TOP + plot * (1 - value)

    return [
        Mark(LEFT + width * (index + 0.5), height(share.value), height(share.low), height(share.high), name[5:], _words(name, share))
        for index, (name, share) in enumerate(shares)
        if share.value is not None
    ]


def calibration_marks(bins: Sequence[CalibrationBin]) -> list[Mark]:
    """Return a mark for each tenth: mean probability to the right, share that was right upwards."""
    side = SQUARE - 2 * MARGIN

    def height(value: float) -> float:
        return MARGIN + side * (1 - value)

    return [
        Mark(
            MARGIN + side * one.mean, height(one.right.value), height(one.right.low), height(one.right.high), "",
            _words(f"mean probability {one.mean:.0%}", one.right),
        )
        for one in bins
        if one.right.value is not None
    ]  # fmt: skip


def _words(name: str, share: Share) -> str:
    return f"{name}: {share.value or 0.0:.0%} ({share.count} of {share.n}; 95 % interval {share.low:.0%} to {share.high:.0%})"
