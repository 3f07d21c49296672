"""The verdict panel of a result, the forms by which a clinician judges it, and the release of a result that waits for a verdict.

The panel stands on the study page, and the viewer embeds it: ``GET /results/{job_id}/verdicts`` gives the panel alone, and a form that is
sent with the header ``X-Fragment: verdicts`` is answered with the new panel instead of a redirect (docs/api.md).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.formats import format_error
from console.model_labels import ModelLabels
from console.parameters import PostedForm, RowId
from console.verdicts.forms import read_draft, read_seen
from console.verdicts.panel import REASONS, assessment_destinations, build_panel
from core.policy.verdicts import VerdictRefused
from core.settings.settings import Settings
from db.accounts.sessions import Session
from db.verdicts.releases import release_result
from db.verdicts.result_verdicts import ResultDetails, images_of_result, read_result, read_verdicts, record_result_view
from db.verdicts.verdicts import give_verdict

FRAGMENT = ("x-fragment", "verdicts")


def build_router(accounts: Accounts, templates: Jinja2Templates, models_dir: Path, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes of verdicts."""
    routes = APIRouter(include_in_schema=False)
    database, labels = accounts.database, ModelLabels(models_dir)

    def _result(job_id: int) -> ResultDetails:
        found = read_result(database, job_id)
        if found is None:
            raise HTTPException(404, "there is no such result")
        return found

    def _panel(request: Request, job_id: int, session: Session, *, error: str = "", status: int = 200) -> Response:
        result = _result(job_id)
        record_result_view(database, result, viewer=f"user:{session.user.name}", address=client_address(request))
        known = labels.codes(result.row.model, result.row.pipeline_digest, result.findings)
        panel = build_panel(result.row, result.findings, read_verdicts(database, [job_id])[job_id], known, session, error)
        opened = request.method != "GET" or request.headers.get("sec-fetch-dest") == "document"
        template = "verdict_page.html" if opened and not _as_fragment(request) else "verdict_panel.html"
        study = f"/studies/{result.row.study_id}"
        return page(templates, request, template, status_code=status, panel=panel, reasons=REASONS, study=study)

    def _answer(request: Request, job_id: int, session: Session, act: Callable[[ResultDetails], Any]) -> Response:
        """Carry out one form; answer with the new panel, or send the browser back to the study page."""
        result = _result(job_id)
        try:
            act(result)
        except VerdictRefused as error:
            return _panel(request, job_id, session, error=format_error(error), status=409)
        if _as_fragment(request):
            return _panel(request, job_id, session)
        return redirect(f"/studies/{result.row.study_id}#verdicts-{job_id}")

    @routes.get("/results/{job_id}/verdicts")
    def verdict_panel(request: Request, job_id: RowId, session: SignedIn) -> Response:
        """Show the panel alone, or as a page where a browser opens its address; the view is an audit event."""
        return _panel(request, job_id, session)

    @routes.post("/results/{job_id}/verdicts")
    def record_verdict(request: Request, form: PostedForm, job_id: RowId, session: SignedIn) -> Response:
        """Record one verdict (`console.verdicts.forms`)."""

        def act(result: ResultDetails) -> None:
            known = labels.codes(result.row.model, result.row.pipeline_digest, result.findings)
            draft, seen = read_draft(form, known, images_of_result(database, job_id)), read_seen(form)
            wanted = assessment_destinations(current())
            give_verdict(database, job_id, draft, user=session.user.name, seen=seen, takes_assessment=wanted)

        return _answer(request, job_id, session, act)

    @routes.post("/results/{job_id}/release")
    def release(request: Request, job_id: RowId, session: SignedIn) -> Response:
        """Release a result that waits for a verdict to every destination."""

        def act(result: ResultDetails) -> None:
            release_result(database, result.row.id, actor=f"user:{session.user.name}", cause="clinician")

        return _answer(request, job_id, session, act)

    return routes


def _as_fragment(request: Request) -> bool:
    name, value = FRAGMENT
    return request.headers.get(name) == value
