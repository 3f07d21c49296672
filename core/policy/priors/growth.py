"""What the sizes of one nodule in two examinations say: the differences, and whether they exceed the measuring error.

Two limits must be exceeded before a nodule is called larger or smaller: the measuring error of the model, and a quarter of the volume, from
which on the British Thoracic Society speaks of growth (Callister et al., Thorax 2015; 70 Suppl 2:ii1, section 3). The volume doubling
time is that of exponential growth (Schwartz 1961): days * ln 2 / ln(volume now / volume then). The difference of the mean of long and short
axis is given besides: Lung-RADS 2022 speaks of growth where it exceeds 1.5 mm within 12 months (Christensen et al., CHEST 2024;
165(3):738-753), and the mean of both axes is what the Fleischner Society measures (MacMahon et al., Radiology 2017; 284:228-243).
"""

import math
from dataclasses import dataclass

from core.records import Change

BTS_PERCENT = 25.0
LUNG_RADS_MM, LUNG_RADS_DAYS = 1.5, 365
LEAST_DAYS = 30  # a doubling time from a shorter interval is mostly error
# Half of the values of a normal error are within this part of its standard deviation; 95 % of the differences of two within 1.96 * sqrt(2).
_MEDIAN_SHARE, _DIFFERENCE_95 = 0.6745, 1.96 * math.sqrt(2)


@dataclass(frozen=True, slots=True)
class MeasuringError:
    """Median relative error of a measured volume, as the model card states it: of nodules below ``small_below_mm``, and of others."""

    small_below_mm: float
    small: float
    other: float

    def ratio_95(self, diameter_mm: float | None) -> float:
        """Return the ratio of two measured volumes of an unchanged nodule that 19 of 20 do not exceed; ``diameter_mm``: the smaller one.

        The error is taken as normal in the logarithm of the volume, and as independent in both examinations.
        """
        median = self.small if diameter_mm is not None and diameter_mm < self.small_below_mm else self.other
        return math.exp(_DIFFERENCE_95 * math.log1p(median) / _MEDIAN_SHARE)


def judge_volumes(then_mm3: float, now_mm3: float, least_ratio: float) -> Change:
    """Return larger or smaller where the ratio of the volumes exceeds ``least_ratio`` and 1.25; volumes are above 0."""
    limit = math.log(max(least_ratio, 1 + BTS_PERCENT / 100))
    grown = math.log(now_mm3 / then_mm3)
    return Change.LARGER if grown > limit else Change.SMALLER if grown < -limit else Change.WITHIN_ERROR


def doubling_days(then_mm3: float, now_mm3: float, days: int) -> float | None:
    """Return the volume doubling time; None where the volume has not grown, or the interval is shorter than `LEAST_DAYS`."""
    if days < LEAST_DAYS or now_mm3 <= then_mm3:
        return None
    return round(days * math.log(2) / math.log(now_mm3 / then_mm3))


def is_lung_rads_growth(difference_mm: float | None, days: int) -> bool:
    """Whether the mean axis has grown by more than Lung-RADS 2022 allows within 12 months."""
    return difference_mm is not None and difference_mm > LUNG_RADS_MM and days <= LUNG_RADS_DAYS
