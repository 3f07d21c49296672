"""Verdicts as programs read and send them under /api/v1."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from console.api.replies.study_resources import Resource
from console.parameters import LARGEST_ID, NO_NUL
from core.clock import system_clock
from core.policy.verdicts import LARGEST_MM, NO_ANSWER, MarkedPlace, RejectionReason, VerdictDraft, VerdictKind, VerdictRefused
from core.records import Code
from db.verdicts.result_state import SeenResult
from db.verdicts.result_verdicts import ResultDetails, ResultVerdicts

UID = r"^[0-9.]{1,64}$"
LARGEST_PIXEL = 65535  # Rows and Columns are of VR US

Number = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Pixel = Annotated[float, Field(ge=0, le=LARGEST_PIXEL, allow_inf_nan=False)]


class SeenState(BaseModel):
    """What the reader had on the screen: as it was read, it is sent back with a verdict."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    at: AwareDatetime = Field(description="When it was read")
    verdict: Annotated[int, Field(ge=0, le=LARGEST_ID)] = Field(0, description="Number of the last verdict, 0 without one")


class VerdictPlace(BaseModel):
    """A point on an image that the model was given."""

    sop_instance_uid: str = Field(pattern=UID)
    column: Pixel = Field(description="Pixels; the centre of the first pixel is at 0.5 (PS3.3 C.18.6)")
    row: Pixel
    frame: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="From 1; empty for a single-frame image")


class VerdictOrder(BaseModel):
    """A verdict on one finding, on a result without findings, or of a finding that the model missed."""

    verdict: VerdictKind
    finding_id: Number | None = Field(None, description="The finding that is accepted, corrected or rejected; empty otherwise")
    reason: RejectionReason | None = Field(None, description="Of a rejection, and of nothing else")
    label: str = Field("", max_length=64, pattern=NO_NUL, description="Class of a missed finding, or the other class of a correction")
    place: VerdictPlace | None = Field(None, description="Of a missed finding, or the other place of a correction")
    diameter_mm: Annotated[float, Field(gt=0, le=LARGEST_MM)] | None = None
    retracts: Number | None = Field(None, description="Number of the verdict `missed` that is taken back by `retracted`")
    seen: SeenState

    def draft(self, code: Code | None) -> VerdictDraft:
        """Return the verdict; ``code``: of the class.

        Raises
        ------
        VerdictRefused
            A part is missing, or is there although the kind of verdict has none.
        """
        place = self.place
        marked = None if place is None else MarkedPlace(place.sop_instance_uid, (place.column, place.row), place.frame)
        return VerdictDraft(self.verdict, self.finding_id, self.reason, self.label, code, marked, self.diameter_mm, self.retracts)

    def seen_result(self) -> SeenResult:
        """Return what the reader had seen.

        Raises
        ------
        VerdictRefused
            The time lies in the future.
        """
        if self.seen.at > system_clock():
            raise VerdictRefused("seen.at lies in the future", hint="send `seen` back as it was read")
        return SeenResult(self.seen.revision, self.seen.at.astimezone(UTC), self.seen.verdict)


class VerdictEntry(Resource):
    """One verdict."""

    id: int
    finding_id: int | None = Field(description="Empty for a missed finding and for a verdict on a result without findings")
    verdict: VerdictKind
    reason: str
    label: str
    code_value: str
    code_scheme: str
    code_meaning: str
    position_mm: list[float] | None = Field(description="x, y, z in LPS, millimetres; from the header of the marked image")
    diameter_mm: float | None
    sop_instance_uid: str
    frame: int | None
    image_point: list[float] | None = Field(description="Column and row in that image, pixels")
    supersedes: int | None
    user_name: str
    seen_revision: int
    seen_at: datetime
    at: datetime
    current: bool = Field(description="No later verdict supersedes it")


class JudgedResult(BaseModel):
    """The verdicts on one result, and what a further one needs."""

    job_id: int
    study_id: int
    state: str = Field(description="State of the job: a superseded or cancelled result takes no verdict")
    judged: bool = Field(description="A clinician has decided on everything that the result states")
    no_answer: str = Field(description="Why nothing can be accepted or added as missed: no model has answered; else empty")
    findings: list[int] = Field(description="Numbers of the findings of the model")
    labels: list[str] = Field(description="Classes of a correction or a missed finding")
    waiting: list[str] = Field(description="Destinations whose deliveries wait for a verdict")
    verdicts: list[VerdictEntry] = Field(description="All of them, the oldest first")
    seen: SeenState


def judged_result(result: ResultDetails, verdicts: ResultVerdicts, labels: list[str]) -> JudgedResult:
    """Return the verdicts on a result as they are at this moment."""
    findings, row = [int(finding.id) for finding in result.findings], result.row
    waiting: list[Any] = verdicts.held.destinations if verdicts.held is not None and verdicts.held.waits else []
    return JudgedResult(
        job_id=row.id,
        study_id=row.study_id,
        state=row.state,
        judged=verdicts.judged(findings),
        no_answer=NO_ANSWER.get(row.outcome, ""),
        findings=findings,
        labels=labels,
        waiting=waiting,
        verdicts=[VerdictEntry.model_validate(entry) for entry in verdicts.history],
        seen=SeenState(revision=row.revision, at=system_clock(), verdict=verdicts.last),
    )
