"""What a clinician may decide on a result, when a result counts as judged, and to whom it is released then.

A verdict is on one finding (accepted, corrected, rejected), on an answer without findings (accepted), or adds a finding that the model
lacks (missed), which can be taken back (retracted). A later verdict on the same thing supersedes the earlier one. A result with a missed
finding is not accepted as a whole. Where no model has answered (`NO_ANSWER`), nothing is accepted or missed: a finding that the images show
is no miss of a model then, and would count as one in every figure. What was added to such a result before is kept, and can be taken back.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.errors import NodeError
from core.records import Code, Lps
from core.states import Outcome

LARGEST_MM = 500.0
WAITING_NOTE = "waits for a clinician's verdict"
"""Note of a delivery that is held until its result was judged or released (``release = "after_verdict"``)."""
AMENDED_NOTE = "a clinician has changed the result, and no assessment goes here: release it or give it up"
"""Note of one that is held on because the destination would get the result without the amendment."""
NO_ANSWER = {
    Outcome.ABSTAINED: "the model abstained, so there is no answer to judge",
    Outcome.NOT_ANALYSED: "no model has analysed the images, so there is no answer to judge",
}
"""By outcome: why it cannot be said of a result that nothing, or something, was missed, where no model has answered."""


class VerdictKind(StrEnum):
    """What was decided."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    MISSED = "missed"  # a finding that the model lacks
    RETRACTED = "retracted"  # a missed finding is taken back


class RejectionReason(StrEnum):
    """Why a finding was rejected; each has a code (`core.concepts.verdict_codes`)."""

    NORMAL_ANATOMY = "normal_anatomy"
    ARTIFACT = "artifact"
    NOT_RELEVANT = "not_relevant"
    DUPLICATE = "duplicate"
    POOR_IMAGE = "poor_image"
    OTHER = "other"


class VerdictRefused(NodeError):
    """A verdict that cannot be recorded: incomplete, contradictory, or on a result that has changed meanwhile."""


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """A point on an image.

    ``point``: (column, row) in pixels, the centre of the first pixel is at (0.5, 0.5) (PS3.3 C.18.6); of a whole slide in the Total Pixel
    Matrix. ``frame``: from 1, None for a single-frame image and for a whole slide.
    """

    sop_instance_uid: str
    point: tuple[float, float]
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class VerdictDraft:
    """A verdict as it was entered; valid once built.

    Parameters
    ----------
    finding_id
        The finding; None for a verdict on a result without findings, and for a missed finding.
    label, code
        The class of a missed finding, or the other class of a correction.
    place, diameter_mm
        The position and size of a missed finding, or the other ones of a correction.
    retracts
        The verdict that a retraction takes back.

    Raises
    ------
    VerdictRefused
        Parts that the kind needs are missing, or it has parts that it must not have.
    """

    kind: VerdictKind
    finding_id: int | None = None
    reason: RejectionReason | None = None
    label: str = ""
    code: Code | None = None
    place: MarkedPlace | None = None
    diameter_mm: float | None = None
    retracts: int | None = None

    def __post_init__(self) -> None:
        changes = bool(self.label) or self.place is not None or self.diameter_mm is not None
        if (self.kind is VerdictKind.REJECTED) != (self.reason is not None):
            raise VerdictRefused("a rejection, and nothing else, has a reason", hint="choose one of the listed reasons")
        if self.kind in (VerdictKind.CORRECTED, VerdictKind.REJECTED) and self.finding_id is None:
            raise VerdictRefused(f"{self.kind} needs a finding", hint="choose a finding; to add one, mark it as missed")
        if self.kind in (VerdictKind.MISSED, VerdictKind.RETRACTED) and self.finding_id is not None:
            raise VerdictRefused(f"{self.kind} is not about a finding of the model", hint="reload the page and try again")
        if self.kind is VerdictKind.CORRECTED and not changes:
            raise VerdictRefused("a correction changes nothing", hint="give another class, another position or another diameter")
        if self.kind is VerdictKind.MISSED and (not self.label or self.place is None):
            raise VerdictRefused("a missed finding needs its class and its place", hint="choose a class and mark the place on the image")
        if self.kind not in (VerdictKind.CORRECTED, VerdictKind.MISSED) and changes:
            raise VerdictRefused(f"{self.kind} changes no class, position or size", hint="choose correct instead")
        if (self.kind is VerdictKind.RETRACTED) != (self.retracts is not None):
            raise VerdictRefused("a retraction, and nothing else, names a verdict", hint="reload the page and try again")
        if bool(self.label) != (self.code is not None):
            raise VerdictRefused("a class has a label and a code", hint="choose one of the classes of the model")
        if self.diameter_mm is not None and not 0.0 < self.diameter_mm <= LARGEST_MM:
            raise VerdictRefused(f"a diameter is above 0 and at most {LARGEST_MM:g} mm", hint="give it in millimetres")


def position_on_slice(
    point: tuple[float, float], orientation: tuple[float, ...] | None, position: Lps | None, spacing_mm: tuple[float, float] | None
) -> Lps | None:
    """Return the place of an image point in patient coordinates (LPS, mm); None where the image has no geometry.

    PS3.3 C.7.6.2.1.1. ``point``: (column, row) in pixels, the centre of the first pixel at (0.5, 0.5). ``spacing_mm``: between rows,
    between columns (0028,0030).
    """
    if orientation is None or position is None or spacing_mm is None or len(orientation) != 6:
        return None
    along_row, along_column = (point[0] - 0.5) * spacing_mm[1], (point[1] - 0.5) * spacing_mm[0]
    x, y, z = (position[axis] + orientation[axis] * along_row + orientation[axis + 3] * along_column for axis in range(3))
    return x, y, z


def is_judged(findings: Collection[int], judged: Collection[int], *, whole: bool, missed: int) -> bool:
    """Return whether a clinician has decided on everything that a result states.

    ``findings``, ``judged``: numbers of its findings, and of those with a verdict. ``whole``: the result itself was accepted. ``missed``:
    how many missed findings were added. A result without findings is judged when it was accepted or a missed finding was added.
    """
    return set(findings) <= set(judged) if findings else whole or missed > 0


def destinations_to_release(waiting: Iterable[str], *, amended: bool, takes_assessment: Collection[str]) -> list[str]:
    """Return the destinations to which a judged result is released.

    Where a clinician has accepted everything, to all that wait. Where the result was amended (a finding corrected, rejected or added),
    to those that receive the assessment too: elsewhere the result would stand there without the amendment. A person releases it there.
    """
    return [name for name in waiting if not amended or name in takes_assessment]


def rejected_note(user: str) -> str:
    """Return the note of a delivery that ends because a clinician has rejected every finding, and its destination takes no assessment."""
    return f"rejected by {user}: nothing of the result is left, and no assessment goes here"
