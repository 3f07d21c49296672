"""How one metric differs between two versions of a model, and whether that counts as a loss."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of two versions on what both have answered.

    Attributes
    ----------
    metric, subgroup
        Name of the metric; ``subgroup`` is "" for all cases.
    cases
        Number of held-out images of a classifier, or of nodules of a detector.
    before, after
        The metric of both versions.
    low, high
        The 95 % interval of ``after - before``.
    tolerance
        A loss up to this is within what a retraining with another seed changes.
    """

    metric: str
    subgroup: str
    cases: int
    before: float
    after: float
    low: float
    high: float
    tolerance: float

    @property
    def difference(self) -> float:
        """``after - before``."""
        return self.after - self.before

    @property
    def is_worse(self) -> bool:
        """Whether the new version loses more than the tolerance, or loses anything with certainty."""
        return self.difference < -self.tolerance or self.high < 0
