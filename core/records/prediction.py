"""Findings and the prediction of a model for one unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.records.coded import Code, Evaluation, Measurement
from core.records.comparison import FindingComparison, OrganPlace
from core.records.spatial import Lps, Mask
from core.states import Outcome, Tier


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a model.

    Parameters
    ----------
    probability
        Calibrated probability; None where the model gives a ``score`` only, which is not calibrated.
    position_mm
        Position, LPS, mm.
    sop_instance_uid, frame
        Image, and its frame (from 1), that shows the finding.
    image_point
        (column, row) on that image in pixels; the centre of the first pixel is at (0.5, 0.5) (PS3.3 C.18.6).
    site, zone, side
        The organ; the part of it, and left or right, where the image shows them.
    place
        Place within that part of the organ, by which it can be found again in another examination; None where it is not known.
    comparison
        What the comparison with an earlier result says of it; None where there was none.
    """

    label: str
    code: Code
    probability: float | None = None
    score: float | None = None
    tier: Tier = Tier.UNCERTAIN
    position_mm: Lps | None = None
    diameter_mm: float | None = None
    sop_instance_uid: str = ""
    frame: int | None = None
    image_point: tuple[float, float] | None = None
    measurements: tuple[Measurement, ...] = ()
    site: Code | None = None
    zone: Code | None = None
    side: Code | None = None
    mask: Mask | None = None
    evaluations: tuple[Evaluation, ...] = ()
    place: OrganPlace | None = None
    comparison: FindingComparison | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answer of a model for one unit.

    Parameters
    ----------
    probabilities
        Calibrated probability of every class of a classifier; empty for a detector.
    reason
        Why the outcome is abstained or not_analysed.
    looked_for
        Sentence for a report without findings: what was looked for, at what size and at what operating point.
    notes
        Known limits of this answer, and what was dropped or tolerated in the input.
    not_covered
        What of the organ lies beyond the images, one sentence each. The sentences are in ``notes`` too.
    """

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    looked_for: str = ""
    notes: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
