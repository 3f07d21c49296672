"""Earlier results, and what the comparison of a finding with them says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Change(StrEnum):
    """What the comparison with an earlier result says of a finding. The words are stored."""

    NOT_MATCHED = "not_matched"  # no comparable finding was found; this does not say that the finding is new
    NOT_JUDGED = "not_judged"  # matched, and there is no measuring error, or it was measured in another way
    WITHIN_ERROR = "within_error"
    LARGER = "larger"
    SMALLER = "smaller"


@dataclass(frozen=True, slots=True)
class OrganPlace:
    """Place of a finding within the part of the organ that it lies in, such as one lung.

    ``share``: along x, y and z of the patient (LPS), 0 at the lower and 1 at the upper end of the part; it may lie a little outside.
    ``extent_mm``: length of the part along the same axes.
    """

    share: tuple[float, float, float]
    extent_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PriorFinding:
    """A finding of an earlier result. ``where``: its place in words; ``side``: meaning of the code; ``rejected``: by a clinician."""

    number: int
    label: str
    meaning: str
    diameter_mm: float | None = None
    mean_axis_mm: float | None = None
    volume_mm3: float | None = None
    where: str = ""
    side: str = ""
    place: OrganPlace | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class PriorResult:
    """An earlier result that was chosen for the comparison.

    ``days``: between the studies. ``reports``: by destination, the report that it has stored: SOP Class, SOP Instance and Series UID.
    ``superseded``: it was, when it was chosen, and the job that takes its place had no answer yet.
    """

    job_id: int
    model_version: str
    pipeline_digest: str
    study_instance_uid: str
    study_date: str
    study_time: str
    days: int
    outcome: str
    findings: tuple[PriorFinding, ...] = ()
    reports: Mapping[str, tuple[str, str, str]] = field(default_factory=dict, hash=False)
    superseded: bool = False
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class FindingComparison:
    """What the comparison with one earlier result says of a finding.

    ``job_id`` to ``days`` name the result. ``finding``: number of the matched finding in it; None: ``reason`` says why there is none.
    ``distance_mm``: between both places after both were brought to lungs of the same size. ``*_before``: as measured then. Differences are
    now minus then. ``doubling_days``: only where the volume has grown beyond the measuring error.
    """

    job_id: int
    model_version: str
    study_date: str
    days: int
    change: Change
    finding: int | None = None
    distance_mm: float | None = None
    diameter_mm_before: float | None = None
    volume_mm3_before: float | None = None
    mean_axis_difference_mm: float | None = None
    diameter_difference_mm: float | None = None
    volume_difference_mm3: float | None = None
    volume_percent: float | None = None
    doubling_days: float | None = None
    reason: str = ""
