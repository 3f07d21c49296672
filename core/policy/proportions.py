"""Shares of counted events with their uncertainty."""

import math
from dataclasses import dataclass

Z_95 = 1.959964  # quantile of the normal distribution for a two-sided interval of 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``n``; ``low`` and ``high`` are the limits of the 95 % interval (0 and 1 where ``n`` is 0)."""

    count: int
    n: int

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None where nothing was counted."""
        return self.count / self.n if self.n else None

    @property
    def low(self) -> float:
        """Lower limit of the Wilson score interval."""
        return wilson_interval(self.count, self.n)[0]

    @property
    def high(self) -> float:
        """Upper limit of the Wilson score interval."""
        return wilson_interval(self.count, self.n)[1]


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion; (0, 1) where ``n`` is 0.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.

    Raises
    ------
    ValueError
        ``count`` is not within 0 and ``n``.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no proportion")
    if n == 0:
        return 0.0, 1.0
    share, square = count / n, Z_95 * Z_95
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate_interval(count: int, units: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean number of events per unit, of independent events (Byar's approximation to Poisson's exact limits).

    N. E. Breslow, N. E. Day, Statistical Methods in Cancer Research II, IARC 1987, chapter 2.

    Raises
    ------
    ValueError
        There are no units, or the count is negative.
    """
    if units < 1 or count < 0:
        raise ValueError(f"{count} events in {units} units are no rate")
    low = count * (1 - 1 / (9 * count) - Z_95 / (3 * math.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z_95 / (3 * math.sqrt(more))) ** 3
    return max(0.0, low) / units, high / units
