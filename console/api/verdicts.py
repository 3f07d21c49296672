"""Verdicts under /api/v1: reading them, giving one as the panel of the study page does, and releasing a result that waits for one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from console.api.commands import Reason
from console.api.description import API_ROUTES
from console.api.replies.verdict_resources import JudgedResult, VerdictOrder, judged_result
from console.auth.guard import Accounts, AsViewer, SignedIn
from console.model_labels import ModelLabels
from console.parameters import RowId
from console.verdicts.panel import assessment_destinations
from core.policy.verdicts import VerdictRefused
from core.records import Code
from core.settings.settings import Settings
from db.verdicts.releases import release_result
from db.verdicts.result_verdicts import ResultDetails, read_result, read_verdicts, record_result_view
from db.verdicts.verdicts import give_verdict


class Released(BaseModel):
    """A result was released."""

    deliveries: int = Field(description="Deliveries that were held and are sent now")


def build_router(accounts: Accounts, models_dir: Path, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1/results/{job_id}", tags=["verdicts"], **API_ROUTES)
    database, labels = accounts.database, ModelLabels(models_dir)

    def _result(job_id: int) -> ResultDetails:
        found = read_result(database, job_id)
        if found is None:
            raise HTTPException(404, f"there is no result of job {job_id}")
        return found

    def _classes(result: ResultDetails) -> Mapping[str, Code]:
        return labels.codes(result.row.model, result.row.pipeline_digest, result.findings)

    def _answer(result: ResultDetails, viewer: AsViewer) -> JudgedResult:
        """Return the verdicts on a result; the view is an audit event."""
        record_result_view(database, result, viewer=viewer.actor, address=viewer.address)
        return judged_result(result, read_verdicts(database, [result.row.id])[result.row.id], list(_classes(result)))

    @routes.get("/verdicts", summary="Verdicts on a result, and what it still needs")
    def verdicts(job_id: RowId, viewer: AsViewer) -> JudgedResult:
        """Return every verdict on a result. `seen` is sent back with the next one."""
        return _answer(_result(job_id), viewer)

    @routes.post("/verdicts", summary="Accept, correct or reject a finding, or add a missed one", status_code=201)
    def record_verdict(job_id: RowId, order: VerdictOrder, session: SignedIn, viewer: AsViewer) -> JudgedResult:
        """Record one verdict of the user of the token, and return all.

        The last verdict on a finding supersedes those before it. 409: the result was replaced, or another verdict was given since it
        was read; read it again. Or no model has answered (`no_answer`), so that nothing can be accepted or missed. 422: the verdict lacks
        a part, or has one that does not belong to it.
        """
        result = _result(job_id)
        known = _classes(result)
        try:
            if order.label and order.label not in known:
                raise VerdictRefused(f"the model has no class {order.label!r}", hint=f"choose one of {', '.join(known)}")
            draft, seen = order.draft(known.get(order.label)), order.seen_result()
        except VerdictRefused as error:
            raise HTTPException(422, f"{error}: {error.hint}") from error
        try:
            give_verdict(database, job_id, draft, user=session.user.name, seen=seen, takes_assessment=assessment_destinations(current()))
        except VerdictRefused as error:
            raise HTTPException(409, f"{error}: {error.hint}") from error
        return _answer(_result(job_id), viewer)

    @routes.post("/release", summary="Release a result that waits for a clinician's verdict")
    def release(job_id: RowId, why: Reason, viewer: AsViewer) -> Released:
        """Release a result to every destination that still waits, as the verdict panel does."""
        _result(job_id)
        try:
            released = release_result(database, job_id, actor=viewer.actor, cause="clinician", reason=why.reason)
        except VerdictRefused as error:
            raise HTTPException(409, str(error)) from error
        return Released(deliveries=released)

    return routes
