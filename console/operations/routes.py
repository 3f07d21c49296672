"""The operations page: failed and waiting jobs, failed and held deliveries, quarantine, units without a route, and actions on them.

Each action asks for a reason and is an audit event with it. Requeueing, cancelling and retrying change rows only; the role that owns the
work takes it up from there.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool

from console.auth.guard import Accounts, SignedIn
from console.auth.replies import page, redirect
from console.operations.actions import ACTIONS, LONGEST_REASON, carry_out, subject_of
from console.parameters import RowId
from db.complete.unrouted import list_unrouted
from db.deliveries.delivery_admin import list_deliveries
from db.jobs.job_admin import list_jobs
from db.operations.alerts import current_alerts
from db.receive.quarantine import list_quarantined

MOST = 50


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the operations page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, *, status: int = 200, **context: Any) -> Response:
        shown: dict[str, Any] = {
            "alerts": current_alerts(database),
            "failed": [row for state in ("quarantined", "failed") for row in list_jobs(database, state=state, limit=MOST)],
            "queued": list_jobs(database, state="queued", limit=MOST),
            "deliveries": [row for state in ("held", "failed") for row in list_deliveries(database, state=state, limit=MOST)],
            "quarantine": list_quarantined(database, MOST),
            "unrouted": list_unrouted(database, since=None, limit=MOST),
            "most": MOST,
            **context,
        }
        return page(templates, request, "operations.html", status_code=status, **shown)

    @routes.get("/operations")
    def operations_page(request: Request) -> Response:
        """Show what needs a person."""
        return _page(request)

    @routes.post("/operations/{kind}/{row_id}/{verb}")
    async def act(request: Request, kind: str, row_id: RowId, verb: str, session: SignedIn) -> Response:
        """Carry out one action; the reason goes into the audit trail beside the event of the action itself."""
        form = await request.form()
        reason, action = str(form.get("reason", "")).strip(), (kind, verb)
        if action not in ACTIONS:
            return await run_in_threadpool(lambda: _page(request, status=404, error="There is no such action."))
        if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
            message = f"Give a reason of 1 to {LONGEST_REASON} characters on one line: it is kept in the audit trail."
            return await run_in_threadpool(lambda: _page(request, status=422, error=message))
        actor = f"user:{session.user.name}"
        if not await run_in_threadpool(lambda: carry_out(database, kind, row_id, verb, actor=actor, reason=reason)):
            message = f"{subject_of(kind, row_id)} is not in a state in which this is possible; it may have changed meanwhile."
            return await run_in_threadpool(lambda: _page(request, status=409, error=message))
        return redirect("/operations")

    return routes
