"""Records a verdict: the row, its audit event, the assessment to be made, and the release of what waited, in one transaction."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, text

from core.policy.admission import WHOLE_SLIDE
from core.policy.verdicts import (
    NO_ANSWER,
    MarkedPlace,
    VerdictDraft,
    VerdictKind,
    VerdictRefused,
    destinations_to_release,
    position_on_slice,
)
from core.records import Lps
from db import audit
from db.engine import Database
from db.notify import notify
from db.row_values import header_from_json
from db.verdicts.assessment_queue import queue_assessment
from db.verdicts.releases import keep_unreleased, release_held
from db.verdicts.result_state import LockedResult, SeenResult, lock_result, read_locked

_MEANWHILE = "somebody has given a verdict since you opened the page"
_WITHOUT_ANSWER = "write what you see into your report; an operator can have the images analysed again"
_INPUT = text("""
    SELECT i.header FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
    WHERE ji.job_id = :job_id AND i.sop_instance_uid = :sop_instance_uid
""")
_ADD = text("""
    INSERT INTO verdicts (job_id, finding_id, verdict, reason, label, code_value, code_scheme, code_meaning, position_mm, diameter_mm,
                          sop_instance_uid, frame, image_point, supersedes, user_name, seen_revision, seen_at)
    VALUES (:job_id, :finding_id, :verdict, :reason, :label, :code_value, :code_scheme, :code_meaning, :position_mm, :diameter_mm,
            :sop_instance_uid, :frame, :image_point, :supersedes, :user_name, :seen_revision, :seen_at)
    RETURNING id
""")

# The same request of the same clinician: what it added counts still, or it was made from the same page.
_SENT_BEFORE = text("""
    SELECT v.id FROM verdicts v
    WHERE v.job_id = :job_id AND v.verdict = 'missed' AND v.user_name = :user_name AND v.label = :label
      AND v.sop_instance_uid = :sop_instance_uid AND v.frame IS NOT DISTINCT FROM :frame
      AND v.image_point = CAST(:image_point AS double precision[]) AND v.diameter_mm IS NOT DISTINCT FROM :diameter_mm
      AND (v.seen_at = :seen_at OR NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id))
    ORDER BY v.id DESC LIMIT 1
""")


def give_verdict(
    database: Database, job_id: int, draft: VerdictDraft, *, user: str, seen: SeenResult, takes_assessment: Collection[str] = ()
) -> int:
    """Record a verdict of ``user`` on the result of a job and return its number.

    A missed finding that was recorded already is not recorded again: a client whose answer was lost sends it once more.

    When the result is judged as a whole, an assessment is asked for and held deliveries are released (`core.policy.verdicts`).

    Parameters
    ----------
    takes_assessment
        Destinations whose result profile lists ``assessment``.

    Raises
    ------
    VerdictRefused
        The result was replaced or judged by somebody else since the reader saw it, or finding or image are not of this result.
    """
    with database.begin() as connection:
        result = lock_result(connection, job_id)
        if seen.revision != result.job.revision:
            raise VerdictRefused("the result has another revision than the page showed", hint="reload the page and judge again")
        supersedes = _superseded(result, draft, seen)
        values = {
            "job_id": job_id,
            "finding_id": draft.finding_id,
            "verdict": draft.kind.value,
            "reason": draft.reason.value if draft.reason else "",
            "label": draft.label,
            "code_value": draft.code.value if draft.code else "",
            "code_scheme": draft.code.scheme if draft.code else "",
            "code_meaning": draft.code.meaning if draft.code else "",
            "diameter_mm": draft.diameter_mm,
            "supersedes": supersedes,
            "user_name": user,
            "seen_revision": seen.revision,
            "seen_at": seen.at,
            **_place_values(connection, job_id, draft.place),
        }
        if draft.kind is VerdictKind.MISSED and (known := connection.execute(_SENT_BEFORE, values).scalar_one_or_none()) is not None:
            return int(known)
        id = int(connection.execute(_ADD, values).scalar_one())
        details = {name: values[name] for name in ("finding_id", "verdict", "reason", "label", "supersedes", "seen_revision")}
        details |= {"verdict_id": id, "seen_at": seen.at.isoformat()}
        audit.record(connection, actor=f"user:{user}", action="verdict.given", subject=f"job:{job_id}", details=details)
        _follow_up(connection, read_locked(connection, result.job), id, user, takes_assessment)
        notify(connection, "delivery")
    return id


def _superseded(result: LockedResult, draft: VerdictDraft, seen: SeenResult) -> int | None:
    """Return the verdict that the new one replaces, None where it is the first on its subject."""
    if draft.finding_id is not None and draft.finding_id not in result.findings:
        raise VerdictRefused(f"finding {draft.finding_id} is not of job {result.job.id}", hint="reload the page and judge again")
    if draft.finding_id is None and draft.kind is VerdictKind.ACCEPTED and result.findings:
        raise VerdictRefused("a result with findings is judged finding by finding", hint="accept or reject each finding")
    if draft.finding_id is None and draft.kind is not VerdictKind.RETRACTED and result.job.outcome in NO_ANSWER:
        raise VerdictRefused(NO_ANSWER[result.job.outcome], hint=_WITHOUT_ANSWER)
    missed = [row.id for row in result.current if row.verdict == VerdictKind.MISSED]
    if draft.finding_id is None and draft.kind is VerdictKind.ACCEPTED and missed:
        if missed[-1] > seen.verdict:
            raise VerdictRefused(_MEANWHILE, hint="look at it, then judge again")
        raise VerdictRefused("the result has a missed finding, so it is not complete", hint="take the missed finding back first")
    before = next((row for row in result.current if _same_subject(row, draft)), None)
    if draft.kind is VerdictKind.RETRACTED and before is None:
        raise VerdictRefused("the missed finding was taken back already", hint="reload the page")
    if before is not None and before.id > seen.verdict:
        raise VerdictRefused(_MEANWHILE, hint="look at it, then judge again")
    return None if before is None else int(before.id)


def _same_subject(row: Any, draft: VerdictDraft) -> bool:
    """Whether a current verdict is on what the draft is on. A missed finding replaces the statement that there is nothing."""
    if draft.finding_id is not None:
        return bool(row.finding_id == draft.finding_id)
    if draft.kind is VerdictKind.RETRACTED:
        return bool(row.id == draft.retracts and row.verdict == VerdictKind.MISSED)
    return bool(row.finding_id is None and row.verdict == VerdictKind.ACCEPTED)


def _place_values(connection: Connection, job_id: int, place: MarkedPlace | None) -> dict[str, Any]:
    """Return the columns of a marked place; the position in the patient follows from the header of the image."""
    if place is None:
        return {"sop_instance_uid": "", "frame": None, "image_point": None, "position_mm": None}
    found = connection.execute(_INPUT, {"job_id": job_id, "sop_instance_uid": place.sop_instance_uid}).scalar_one_or_none()
    if found is None:
        raise VerdictRefused("the marked image is none of those that the model was given", hint="mark the place on another image")
    header = header_from_json(found)
    column, row = place.point
    # Rows and Columns of a whole slide are those of a tile, and the place lies in its Total Pixel Matrix.
    rows, columns = (None, None) if header.sop_class_uid == WHOLE_SLIDE else (header.rows, header.columns)
    if not 0.0 <= column <= (columns or column) or not 0.0 <= row <= (rows or row):
        raise VerdictRefused("the marked place is outside of the image", hint="mark a place on the image")
    if not 1 <= (place.frame or 1) <= header.number_of_frames:
        raise VerdictRefused(f"the image has {header.number_of_frames} frames", hint="mark the place on one of them")
    position: Lps | None = None
    if header.number_of_frames == 1 and header.sop_class_uid != WHOLE_SLIDE:
        position = position_on_slice(place.point, header.orientation, header.position, header.pixel_spacing_mm)
    return {
        "sop_instance_uid": place.sop_instance_uid,
        "frame": place.frame,
        "image_point": [column, row],
        "position_mm": None if position is None else list(position),
    }


def _follow_up(connection: Connection, result: LockedResult, verdict: int, user: str, takes_assessment: Collection[str]) -> None:
    """Ask for an assessment and release what waits, when everything is judged; a change after an assessment needs a new one.

    What is not released is held on, or ends where nothing of the result is left.
    """
    queue_assessment(connection, result.job.id, verdict, judged=result.judged)
    names: list[str] = []
    if result.judged:
        names = destinations_to_release(result.job.awaiting_verdict, amended=result.amended, takes_assessment=takes_assessment)
        release_held(connection, result.job, names, actor=f"user:{user}", cause="verdicts")
    others = [name for name in result.job.awaiting_verdict if name not in names]
    keep_unreleased(connection, result, others, actor=f"user:{user}", user=user)
